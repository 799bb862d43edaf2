using System.Numerics;

namespace Hone.Formats.ChatTemplates.Jinja;

/// <summary>Jinja's tests by name: <c>value is NAME</c>.</summary>
internal static class Tests
{
    public static readonly IReadOnlyDictionary<string, Applied> All = Build();

    private static Dictionary<string, Applied> Build()
    {
        var all = new Dictionary<string, Applied>(StringComparer.Ordinal);
        void Add(string names, string parameters, Func<Evaluator, object?[], bool> body)
        {
            var signature = new Signature(names.Split(' ')[0], parameters);
            foreach (var name in names.Split(' '))
            {
                all[name] = (evaluator, arguments) => body(evaluator, signature.Bind(arguments));
            }
        }

        void AddKind(string names, Func<object?, bool> body) => Add(names, "value", (_, a) => body(a[0]));

        AddKind("defined", value => value is not Undefined);
        AddKind("undefined", value => value is Undefined);
        AddKind("none", value => value is null);
        AddKind("boolean", value => value is bool);
        AddKind("true", value => value is true);
        AddKind("false", value => value is false);
        AddKind("integer", value => value is long or BigInteger);
        AddKind("float", value => value is double);
        AddKind("number", PyType.IsNumber);
        AddKind("string", value => value is string or Markup);
        AddKind("mapping", value => value is PyDict);
        AddKind("sequence", value => value is string or Markup or PyList or PyTuple or PyDict or PyRange or Undefined);
        AddKind("iterable", value => value is LoopContext || Sequences.Items(value) is not null);
        AddKind("callable", value => value is Callable or LoopContext or Undefined);
        AddKind("escaped", value => value is Markup);
        Add("lower", "value", (e, a) => Casing.IsLowerText(e.Str(a[0])));
        Add("upper", "value", (e, a) => Casing.IsUpperText(e.Str(a[0])));
        Add("odd", "value", (e, a) => HasRemainder(e, a[0], 2L, 1));
        Add("even", "value", (e, a) => HasRemainder(e, a[0], 2L, 0));
        Add("divisibleby", "value, num", (e, a) => HasRemainder(e, a[0], a[1], 0));
        Add("filter", "value", (_, a) => PyDict.Key(a[0]) is string name && Filters.All.ContainsKey(name));
        Add("test", "value", (_, a) => PyDict.Key(a[0]) is string name && all.ContainsKey(name));
        Add("sameas", "value, other", (_, a) => IsSame(a[0], a[1]));
        Add("== eq equalto", "a, b", (e, a) => e.Holds(Comparison.Equal, a[0], a[1]));
        Add("!= ne", "a, b", (e, a) => e.Holds(Comparison.NotEqual, a[0], a[1]));
        Add("> gt greaterthan", "a, b", (e, a) => e.Holds(Comparison.Greater, a[0], a[1]));
        Add(">= ge", "a, b", (e, a) => e.Holds(Comparison.GreaterOrEqual, a[0], a[1]));
        Add("< lt lessthan", "a, b", (e, a) => e.Holds(Comparison.Less, a[0], a[1]));
        Add("<= le", "a, b", (e, a) => e.Holds(Comparison.LessOrEqual, a[0], a[1]));
        Add("in", "value, seq", (e, a) => e.Holds(Comparison.In, a[0], a[1]));
        return all;
    }

    private static bool HasRemainder(Evaluator evaluator, object? value, object? divisor, long remainder) =>
        Comparing.AreEqual(Arithmetic.Apply(TokenKind.Mod, value, divisor, evaluator), remainder, evaluator.Budget);

    /// <summary>One and the same object; small integers, booleans and none are such everywhere.</summary>
    private static bool IsSame(object? left, object? right) => ReferenceEquals(left, right) || (left, right) switch
    {
        (bool a, bool b) => a == b,
        (long a, long b) => a == b && a is >= -5 and <= 256,
        (string a, string b) => a == b,
        _ => false,
    };
}
