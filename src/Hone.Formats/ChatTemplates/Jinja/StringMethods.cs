using System.Text;

namespace Hone.Formats.ChatTemplates.Jinja;

/// <summary>Methods of <c>str</c>. Positions count in code points.</summary>
internal static partial class StringMethods
{
    private delegate object? Body(string text, object?[] arguments, Evaluator evaluator);

    private static readonly Dictionary<string, (Signature Signature, Body Body)> All = Build();

    public static Function? Find(object owner, string name)
    {
        if (name is "format" or "format_map")
        {
            return new Function(name, (evaluator, arguments) => Like(owner, BraceFormat.Apply(owner, arguments, name == "format_map", evaluator)), "builtin_function_or_method");
        }

        if (name is "encode" or "translate" or "maketrans")
        {
            return new Function(name, (_, _) => throw Errors.Runtime($"The method 'str.{name}' is not supported in chat templates."));
        }

        return !All.TryGetValue(name, out var method) ? null : new Function(
            name,
            (evaluator, arguments) =>
            {
                var text = PyType.TextOf(owner)!;
                evaluator.Budget.SpendText(text.Length);
                if (owner is Markup)
                {
                    arguments = Escaped(name, arguments, evaluator);
                }

                return Like(owner, method.Body(text, method.Signature.Bind(arguments), evaluator));
            },
            "builtin_function_or_method");
    }

    /// <summary>Texts made from safe text are safe.</summary>
    private static object? Like(object owner, object? value) => owner is Markup ? value switch
    {
        string text => new Markup(text),
        PyList list => new PyList(list.Items.ConvertAll(item => Like(owner, item))),
        PyTuple tuple => new PyTuple([.. tuple.Items.Select(item => Like(owner, item))]),
        _ => value,
    } : value;

    /// <summary>What is put into safe text is escaped first; the methods that only cut take their arguments as they are.</summary>
    private static Arguments Escaped(string method, Arguments arguments, Evaluator evaluator)
    {
        object? Escape(object? value) => value is string ? Html.Escape(value, evaluator) : value;
        return method switch
        {
            "join" when arguments.Positional is [var items] && Sequences.Items(items) is not null =>
                new Arguments([new PyList(evaluator.ToList(items).ConvertAll(item => (object?)Html.Escape(item, evaluator)))], arguments.Keywords),
            "replace" or "center" or "ljust" or "rjust" when arguments.Positional.Count > 1 =>
                new Arguments([arguments.Positional[0], .. arguments.Positional.Skip(1).Select(Escape)], arguments.Keywords),
            _ => arguments,
        };
    }

    private static Dictionary<string, (Signature Signature, Body Body)> Build()
    {
        var all = new Dictionary<string, (Signature, Body)>(StringComparer.Ordinal);
        void Add(string names, string parameters, Body body)
        {
            foreach (var name in names.Split(' '))
            {
                all[name] = (new Signature(name, parameters), body);
            }
        }

        AddCasing(Add);
        AddPredicates(Add);
        AddSearching(Add);
        AddSplitting(Add);
        AddPadding(Add);
        return all;
    }

    private delegate void Adder(string names, string parameters, Body body);

    private static void AddCasing(Adder add)
    {
        add("upper", "", (text, _, _) => Casing.Upper(text));
        add("lower", "", (text, _, _) => Casing.Lower(text));
        add("casefold", "", (text, _, _) => Casing.Fold(text));
        add("capitalize", "", (text, _, _) => Casing.Capitalize(text));
        add("title", "", (text, _, _) => Casing.Title(text));
        add("swapcase", "", (text, _, _) => Casing.Swap(text));
    }

    private static void AddPredicates(Adder add)
    {
        void AddAll(string name, Func<Rune, bool> predicate, bool whenEmpty = false) =>
            add(name, "", (text, _, _) => text.Length == 0 ? whenEmpty : text.EnumerateRunes().All(predicate));

        AddAll("isalnum", Characters.IsAlphanumeric);
        AddAll("isalpha", Rune.IsLetter);
        AddAll("isdecimal", Characters.IsDecimal);
        AddAll("isdigit", Characters.IsDigit);
        AddAll("isnumeric", Characters.IsNumeric);
        AddAll("isspace", rune => rune.IsBmp && Characters.IsSpace((char)rune.Value));
        AddAll("isascii", rune => rune.IsAscii, whenEmpty: true);
        AddAll("isprintable", Characters.IsPrintable, whenEmpty: true);
        add("isidentifier", "", (text, _, _) =>
            text.Length > 0 && Characters.IsIdentifierStart(text.EnumerateRunes().First()) && text.EnumerateRunes().All(Characters.IsIdentifierPart));
        add("isupper", "", (text, _, _) => Casing.IsUpperText(text));
        add("islower", "", (text, _, _) => Casing.IsLowerText(text));
        add("istitle", "", (text, _, _) => Casing.IsTitleText(text));
    }

    private static string Required(object? value, string method) => PyType.TextOf(value)
        ?? throw (value is Undefined undefined ? undefined.Fail() : Errors.Type($"{method}: expected str, not {PyType.Name(value)}"));

    /// <summary>The UTF-16 range that bounds in code points stand for; null where the start lies behind the end.</summary>
    private static (int Start, int End)? Range(string text, object? start, object? end)
    {
        var length = Text.Length(text);
        long Position(object? bound) => Filters.Integer(bound, "slice index") is var index && index < 0 ? Math.Max(0, (long)index + length) : index;
        var from = start is null ? 0 : Position(start);
        var to = end is null ? length : Math.Min(length, Position(end));
        return from > to ? null : (Text.UnitIndex(text, (int)from), Text.UnitIndex(text, (int)to));
    }

    private static void AddSearching(Adder add)
    {
        add("startswith", "prefix, start=none, end=none", (text, a, e) => Affix("startswith", text, a, e, (part, affix) => part.StartsWith(affix)));
        add("endswith", "suffix, start=none, end=none", (text, a, e) => Affix("endswith", text, a, e, (part, affix) => part.EndsWith(affix)));
        add("find", "sub, start=none, end=none", (text, a, _) => Find(text, a, "find", isLast: false));
        add("rfind", "sub, start=none, end=none", (text, a, _) => Find(text, a, "rfind", isLast: true));
        add("index", "sub, start=none, end=none", (text, a, _) => Find(text, a, "index", isLast: false) is var at && at < 0 ? throw Errors.Value("substring not found") : at);
        add("rindex", "sub, start=none, end=none", (text, a, _) => Find(text, a, "rindex", isLast: true) is var at && at < 0 ? throw Errors.Value("substring not found") : at);
        add("count", "sub, start=none, end=none", (text, a, _) =>
        {
            var sub = Required(a[0], "count");
            return Range(text, a[1], a[2]) is not { } range ? 0L
                : sub.Length == 0 ? Text.Length(text[range.Start..range.End]) + 1L
                : text.AsSpan(range.Start, range.End - range.Start).Count(sub);
        });
        add("replace", "old, new, count=-1", (text, a, e) =>
            Text.Replace(text, Required(a[0], "replace"), Required(a[1], "replace"), Filters.Integer(a[2], "replace"), e.Budget));
        add("removeprefix", "prefix", (text, a, _) => Required(a[0], "removeprefix") is var prefix && text.StartsWith(prefix, StringComparison.Ordinal) ? text[prefix.Length..] : text);
        add("removesuffix", "suffix", (text, a, _) => Required(a[0], "removesuffix") is var suffix && text.EndsWith(suffix, StringComparison.Ordinal) ? text[..^suffix.Length] : text);
    }

    private delegate bool AffixTest(ReadOnlySpan<char> text, ReadOnlySpan<char> affix);

    private static object? Affix(string method, string text, object?[] a, Evaluator evaluator, AffixTest test)
    {
        var affixes = a[0] is PyTuple tuple ? tuple.Items : [a[0]];
        evaluator.Budget.Spend(affixes.Length);
        var texts = Array.ConvertAll(affixes, affix => Required(affix, $"{method} first arg must be str or a tuple of str"));
        return Range(text, a[1], a[2]) is { } range && Array.Exists(texts, affix => test(text.AsSpan(range.Start, range.End - range.Start), affix));
    }

    private static long Find(string text, object?[] a, string method, bool isLast)
    {
        var sub = Required(a[0], method);
        if (Range(text, a[1], a[2]) is not { } range)
        {
            return -1;
        }

        var part = text.AsSpan(range.Start, range.End - range.Start);
        var at = isLast ? sub.Length == 0 ? part.Length : part.LastIndexOf(sub) : part.IndexOf(sub);
        return at < 0 ? -1 : Text.Length(text[..(range.Start + at)]);
    }
}
