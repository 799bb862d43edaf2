using System.Numerics;

namespace Hone.Formats.ChatTemplates.Jinja;

internal static class PyType
{
    /// <summary>Python's name of a value's type.</summary>
    public static string Name(object? value) => value switch
    {
        null => "NoneType",
        bool => "bool",
        long or BigInteger => "int",
        double => "float",
        string => "str",
        PyList => "list",
        PyTuple { Fields.Length: > 0 } => "_GroupTuple",
        PyTuple => "tuple",
        PyDict => "dict",
        Undefined => "Undefined",
        Markup => "Markup",
        PyRange => "range",
        PyIterator iterator => iterator.TypeName,
        DictView view => view.Part switch { DictPart.Keys => "dict_keys", DictPart.Values => "dict_values", _ => "dict_items" },
        SliceValue => "slice",
        Namespace => "Namespace",
        LoopContext => "LoopContext",
        Cycler => "Cycler",
        Callable callable => callable.TypeName,
        _ => "object",
    };

    /// <summary>The text of a str or Markup, else null.</summary>
    public static string? TextOf(object? value) => value switch
    {
        string text => text,
        Markup markup => markup.Text,
        _ => null,
    };

    /// <summary>A number a bool or int stands for, else null.</summary>
    public static BigInteger? IntegerOf(object? value) => value switch
    {
        bool flag => flag ? BigInteger.One : BigInteger.Zero,
        long number => number,
        BigInteger number => number,
        _ => null,
    };

    public static bool IsNumber(object? value) => value is bool or long or BigInteger or double;

    public static bool IsTrue(object? value) => value switch
    {
        null or Undefined => false,
        bool flag => flag,
        long number => number != 0,
        double number => number != 0,
        string text => text.Length > 0,
        Markup markup => markup.Text.Length > 0,
        PyIterator or Namespace or Callable or Cycler => true,
        _ => Sequences.Length(value) is not 0,
    };
}
