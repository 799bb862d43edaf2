using System.Numerics;

namespace Hone.Formats.ChatTemplates.Jinja;

// A template's values: null is None; bool, long (BigInteger beyond it), double and string are themselves; the rest is below.
// A long is never boxed as a BigInteger, so that equal integers have one form.

/// <summary>Stands for "no value": an unset variable or an argument not given.</summary>
internal sealed class Missing
{
    public static readonly Missing Value = new();

    private Missing()
    {
    }
}

internal sealed class PyList(List<object?> items)
{
    public List<object?> Items { get; } = items;
}

internal sealed class PyTuple(params object?[] items)
{
    public object?[] Items { get; } = items;

    /// <summary>Names of the items, where the tuple has them.</summary>
    public string[] Fields { get; init; } = [];
}

/// <summary>What reading something absent gives: prints as nothing, and most uses of it fail with its message.</summary>
internal sealed class Undefined(string message, string errorType = "UndefinedError")
{
    public string Message { get; } = message;

    public static Undefined Variable(string name) => new($"'{name}' is undefined");

    public static Undefined Member(object? owner, object? key) => new(
        key is string name
            ? $"'{DescribeOwner(owner)}' has no attribute {Text.Repr(name)}"
            : $"{DescribeOwner(owner)} has no element {Text.Repr(key)}");

    public static Undefined Unsafe(object? owner, string attribute) =>
        new($"access to attribute {Text.Repr(attribute)} of '{PyType.Name(owner)}' object is unsafe.", "SecurityError");

    public ChatTemplateException Fail() => new(errorType, Message);

    private static string DescribeOwner(object? owner) => owner is null ? "None" : $"{PyType.Name(owner)} object";
}

/// <summary>Text marked as safe HTML: what is joined to it gets escaped.</summary>
internal sealed class Markup(string text)
{
    public string Text { get; } = text;
}

internal sealed class PyRange(long start, long stop, long step)
{
    public const int MaxLength = 100_000;

    public long Start { get; } = start;

    public long Stop { get; } = stop;

    public long Step { get; } = step;

    public long Length { get; } = LengthOf(start, stop, step);

    public long this[long index] => Start + (index * Step);

    public static long LengthOf(BigInteger start, BigInteger stop, BigInteger step)
    {
        var length = step.Sign > 0 ? (stop - start + step - 1) / step : (start - stop - step - 1) / -step;
        return length.Sign <= 0 ? 0 : length > MaxLength ? long.MaxValue : (long)length;
    }
}

/// <summary>A generator: its items can be read once.</summary>
internal sealed class PyIterator(IEnumerable<object?> items, string typeName = "generator")
{
    public IEnumerator<object?> Items { get; } = items.GetEnumerator();

    public string TypeName { get; } = typeName;
}

internal enum DictPart
{
    Keys, Values, Items,
}

internal sealed class DictView(PyDict dict, DictPart part)
{
    public PyDict Dict { get; } = dict;

    public DictPart Part { get; } = part;

    public IEnumerable<object?> Items => Part switch
    {
        DictPart.Keys => Dict.Keys,
        DictPart.Values => Dict.Values,
        _ => Dict.Entries.Select(entry => (object?)new PyTuple(entry.Key, entry.Value)),
    };
}

internal sealed class SliceValue(object? start, object? stop, object? step)
{
    public object? Start { get; } = start;

    public object? Stop { get; } = stop;

    public object? Step { get; } = step;
}

/// <summary>The only value a template can change: <c>{% set ns.name = … %}</c>.</summary>
internal sealed class Namespace(PyDict attributes)
{
    public PyDict Attributes { get; } = attributes;
}

/// <summary>Something a template can call.</summary>
internal abstract class Callable(string name, string typeName)
{
    public string Name { get; } = name;

    public string TypeName { get; } = typeName;

    public abstract object? Call(Evaluator evaluator, Arguments arguments);
}

internal sealed class Function(string name, Func<Evaluator, Arguments, object?> body, string typeName = "function") : Callable(name, typeName)
{
    public override object? Call(Evaluator evaluator, Arguments arguments) => body(evaluator, arguments);
}

internal sealed class Macro(MacroNode node, Scope scope) : Callable(node.Name ?? "caller", "Macro")
{
    public MacroNode Node { get; } = node;

    public Scope Scope { get; } = scope;

    public override object? Call(Evaluator evaluator, Arguments arguments) => evaluator.CallMacro(this, arguments);
}
