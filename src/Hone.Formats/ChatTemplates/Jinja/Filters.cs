using System.Numerics;

namespace Hone.Formats.ChatTemplates.Jinja;

/// <summary>A filter or test: the value it is applied to is the first argument.</summary>
internal delegate object? Applied(Evaluator evaluator, Arguments arguments);

/// <summary>Jinja's filters by name.</summary>
internal static partial class Filters
{
    public static readonly IReadOnlyDictionary<string, Applied> All = Build();

    private static Dictionary<string, Applied> Build()
    {
        var all = new Dictionary<string, Applied>(StringComparer.Ordinal);
        void Add(string names, string parameters, Func<Evaluator, object?[], object?> body)
        {
            var signature = new Signature(names.Split(' ')[0], parameters);
            foreach (var name in names.Split(' '))
            {
                all[name] = (evaluator, arguments) => body(evaluator, signature.Bind(arguments));
            }
        }

        AddTexts(Add);
        AddNumbers(Add);
        AddSequences(Add);
        Add("default d", "value, default_value='', boolean=false", (_, a) => a[0] is Undefined || (PyType.IsTrue(a[2]) && !PyType.IsTrue(a[0])) ? a[1] : a[0]);
        Add("attr", "obj, name", (e, a) => AttributeOnly(a[0], a[1], e.Budget));
        Add("tojson", "x, ensure_ascii=false, indent=none, separators=none, sort_keys=false", (e, a) => JsonText.Write(e, a));
        Add("pprint", "value", (e, a) => Text.Repr(a[0], e.Budget));
        all["map"] = (e, a) => new PyIterator(Map(e, a));
        all["select"] = (e, a) => new PyIterator(Select(e, a, selects: true, byAttribute: false));
        all["reject"] = (e, a) => new PyIterator(Select(e, a, selects: false, byAttribute: false));
        all["selectattr"] = (e, a) => new PyIterator(Select(e, a, selects: true, byAttribute: true));
        all["rejectattr"] = (e, a) => new PyIterator(Select(e, a, selects: false, byAttribute: true));
        all["format"] = Format;
        foreach (var name in new[] { "random", "urlize" })
        {
            all[name] = (_, _) => throw Errors.Runtime($"The filter '{name}' is not supported in chat templates.");
        }

        return all;
    }

    private static object? AttributeOnly(object? owner, object? name, Budget budget)
    {
        if (PyType.TextOf(name) is not { } text)
        {
            throw Errors.Type("attribute name must be string");
        }

        return Members.Own(owner, text) is Missing ? Undefined.Member(owner, text) : Members.Attribute(owner, text, budget);
    }

    /// <summary>An argument that has to be an integer, cut to what any length can be.</summary>
    public static int Integer(object? value, string what) => PyType.IntegerOf(value) is { } number
        ? (int)BigInteger.Max(int.MinValue, BigInteger.Min(int.MaxValue, number))
        : value is Undefined undefined ? throw undefined.Fail()
        : throw Errors.Type($"{what}: '{PyType.Name(value)}' object cannot be interpreted as an integer");

    private static string RequiredText(object? value, string what) => PyType.TextOf(value)
        ?? throw (value is Undefined undefined ? undefined.Fail() : Errors.Type($"{what}: expected a str, not {PyType.Name(value)}"));

    /// <summary>A filter's result in the form of its operand: what was safe stays safe.</summary>
    private static object Like(object? operand, string text) => operand is Markup ? new Markup(text) : text;

    private static object? Like(object? operand, object? value) => operand is Markup && value is string text ? new Markup(text) : value;

    private static object? Format(Evaluator evaluator, Arguments arguments)
    {
        var rest = arguments.Skip(1);
        if (rest.Positional.Count > 0 && rest.Keywords.Count > 0)
        {
            throw Errors.FilterArgument("can't handle positional and keyword arguments at the same time");
        }

        object? values = new PyTuple([.. rest.Positional]);
        if (rest.Keywords.Count > 0)
        {
            var dict = new PyDict();
            rest.Keywords.ForEach(item => dict.Set(item.Name, item.Value));
            values = dict;
        }

        var format = arguments.Positional[0];
        return PercentFormat.Apply(format is Markup ? format : evaluator.Str(format), values, evaluator);
    }

    /// <summary>What <c>attribute="a.b.0"</c> reads from an item.</summary>
    private static Func<object?, object?> Getter(object? attribute, bool ignoresCase, object? otherwise, Evaluator evaluator)
    {
        var parts = Parts(attribute);
        return item =>
        {
            foreach (var part in parts)
            {
                evaluator.Budget.Spend(1);
                item = Members.Item(item, part, evaluator.Budget);
                item = otherwise is not null && item is Undefined ? otherwise : item;
            }

            return Lowered(item, ignoresCase, evaluator.Budget);
        };
    }

    private static object? Lowered(object? value, bool ignoresCase, Budget budget)
    {
        if (!ignoresCase || PyType.TextOf(value) is not { } text)
        {
            return value;
        }

        budget.SpendText(text.Length);
        return Casing.Lower(text);
    }

    private static List<object?> Parts(object? attribute) => attribute switch
    {
        null => [],
        _ when PyType.TextOf(attribute) is { } path => [.. path.Split('.').Select(part =>
            part.Length > 0 && part.All(char.IsAsciiDigit) ? Integers.Normalize(BigInteger.Parse(part)) : (object?)part)],
        _ => [attribute],
    };

    // Python's generators: what is wrong with the arguments shows when the first item is asked for.
    private static IEnumerable<object?> Map(Evaluator evaluator, Arguments arguments)
    {
        var value = arguments.Positional[0];
        if (!PyType.IsTrue(value))
        {
            yield break;
        }

        var apply = Mapping(evaluator, arguments.Skip(1));
        foreach (var item in evaluator.Iterate(value))
        {
            yield return apply(item);
        }
    }

    private static Func<object?, object?> Mapping(Evaluator evaluator, Arguments arguments)
    {
        if (arguments.Positional.Count == 0 && arguments.Keywords.Exists(item => item.Name == "attribute"))
        {
            var bound = new Signature("map", "attribute, default=none").Bind(arguments);
            return Getter(bound[0], ignoresCase: false, bound[1], evaluator);
        }

        if (arguments.Positional.Count == 0)
        {
            throw Errors.FilterArgument("map requires a filter argument");
        }

        var rest = arguments.Skip(1);
        return item => Named(All, arguments.Positional[0], "filter")(evaluator, WithFirst(item, rest));
    }

    private static Applied Named(IReadOnlyDictionary<string, Applied> all, object? name, string what) =>
        PyDict.Key(name) is string text && all.TryGetValue(text, out var found) ? found : throw Errors.Runtime($"No {what} named {Text.Repr(name)}.");

    private static Arguments WithFirst(object? first, Arguments rest) => new([first, .. rest.Positional], rest.Keywords);

    private static IEnumerable<object?> Select(Evaluator evaluator, Arguments arguments, bool selects, bool byAttribute)
    {
        var value = arguments.Positional[0];
        if (!PyType.IsTrue(value))
        {
            yield break;
        }

        var passes = Predicate(evaluator, arguments.Skip(1), byAttribute);
        foreach (var item in evaluator.Iterate(value))
        {
            if (passes(item) == selects)
            {
                yield return item;
            }
        }
    }

    private static Func<object?, bool> Predicate(Evaluator evaluator, Arguments arguments, bool byAttribute)
    {
        if (byAttribute && arguments.Positional.Count == 0)
        {
            throw Errors.FilterArgument("Missing parameter for attribute name");
        }

        var read = byAttribute ? Getter(arguments.Positional[0], ignoresCase: false, null, evaluator) : item => item;
        var test = arguments.Skip(byAttribute ? 1 : 0);
        if (test.Positional.Count == 0)
        {
            return item => PyType.IsTrue(read(item));
        }

        var rest = test.Skip(1);
        return item => PyType.IsTrue(Named(Tests.All, test.Positional[0], "test")(evaluator, WithFirst(read(item), rest)));
    }
}
