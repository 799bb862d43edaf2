using System.Numerics;
using System.Text;

namespace Hone.Formats.ChatTemplates.Jinja;

internal static partial class Text
{
    /// <summary><c>str(value)</c>.</summary>
    public static string Str(object? value, Budget budget) => value switch
    {
        string text => text,
        Markup markup => markup.Text,
        Undefined => "",
        long number => number.ToString(System.Globalization.CultureInfo.InvariantCulture),
        _ => Print(value, budget),
    };

    public static string Repr(string text)
    {
        var builder = new StringBuilder();
        AppendRepr(builder, text);
        return builder.ToString();
    }

    /// <summary><c>repr</c> of a plain value, for messages.</summary>
    public static string Repr(object? value) => Print(value, new Budget(new ChatTemplateLimits(), CancellationToken.None));

    public static string Repr(object? value, Budget budget) => Print(value, budget);

    private static string Print(object? value, Budget budget)
    {
        var builder = new StringBuilder();
        Append(builder, value, budget, new HashSet<object>(ReferenceEqualityComparer.Instance));
        return builder.ToString();
    }

    private static void Append(StringBuilder builder, object? value, Budget budget, HashSet<object> open)
    {
        budget.Spend(1);
        switch (value)
        {
            case null:
                builder.Append("None");
                break;
            case bool flag:
                builder.Append(flag ? "True" : "False");
                break;
            case long or BigInteger:
                budget.Spend(value is BigInteger ? 100 : 0);
                builder.Append(Integers.ToText(PyType.IntegerOf(value)!.Value));
                break;
            case double number:
                builder.Append(Floats.Repr(number));
                break;
            case string text:
                budget.SpendText(builder.Length + (long)text.Length);
                AppendRepr(builder, text);
                break;
            case Markup markup:
                builder.Append("Markup(");
                AppendRepr(builder, markup.Text);
                builder.Append(')');
                break;
            case PyList list:
                AppendItems(builder, value, list.Items, "[", "]", budget, open);
                break;
            case PyTuple tuple:
                AppendItems(builder, value, tuple.Items, "(", tuple.Items.Length == 1 ? ",)" : ")", budget, open);
                break;
            case DictView view:
                AppendItems(builder, value, view.Items, $"{PyType.Name(view)}([", "])", budget, open);
                break;
            case PyDict dict:
                AppendDict(builder, dict, budget, open);
                break;
            case Namespace ns:
                budget.Enter();
                builder.Append("<Namespace ");
                Append(builder, ns.Attributes, budget, open);
                builder.Append('>');
                budget.Leave();
                break;
            case Undefined:
                builder.Append("Undefined");
                break;
            case PyRange range:
                builder.Append("range(").Append(range.Start).Append(", ").Append(range.Stop);
                builder.Append(range.Step == 1 ? ")" : $", {range.Step})");
                break;
            case LoopContext loop:
                builder.Append("<LoopContext ").Append(loop.Index).Append('/').Append(loop.Length).Append('>');
                break;
            case Macro { Node.Name: null }:
                builder.Append("<Macro anonymous>");
                break;
            case Callable callable:
                builder.Append('<').Append(callable.TypeName).Append(' ').Append(Repr(callable.Name)).Append('>');
                break;
            default:
                // Python prints an address here; a fixed text keeps rendering repeatable.
                builder.Append('<').Append(PyType.Name(value)).Append(" object>");
                break;
        }
    }

    private static void AppendItems(
        StringBuilder builder, object owner, IEnumerable<object?> items, string start, string end, Budget budget, HashSet<object> open)
    {
        if (!open.Add(owner))
        {
            builder.Append(start).Append("...").Append(end);
            return;
        }

        budget.Enter();
        builder.Append(start);
        var isFirst = true;
        foreach (var item in items)
        {
            builder.Append(isFirst ? "" : ", ");
            isFirst = false;
            Append(builder, item, budget, open);
        }

        builder.Append(end);
        budget.Leave();
        open.Remove(owner);
    }

    private static void AppendDict(StringBuilder builder, PyDict dict, Budget budget, HashSet<object> open)
    {
        if (!open.Add(dict))
        {
            builder.Append("{...}");
            return;
        }

        budget.Enter();
        builder.Append('{');
        var isFirst = true;
        foreach (var (key, value) in dict.Entries)
        {
            builder.Append(isFirst ? "" : ", ");
            isFirst = false;
            Append(builder, key, budget, open);
            builder.Append(": ");
            Append(builder, value, budget, open);
        }

        builder.Append('}');
        budget.Leave();
        open.Remove(dict);
    }

    /// <summary>A text in quotes; single ones unless it has some and no double ones. What cannot be printed is escaped.</summary>
    private static void AppendRepr(StringBuilder builder, string text)
    {
        var quote = text.Contains('\'', StringComparison.Ordinal) && !text.Contains('"', StringComparison.Ordinal) ? '"' : '\'';
        builder.Append(quote);
        for (var i = 0; i < text.Length;)
        {
            var length = UnitsAt(text, i);
            var c = text[i];
            if (c == quote || c == '\\')
            {
                builder.Append('\\').Append(c);
            }
            else if (c is >= ' ' and < '\x7f')
            {
                builder.Append(c);
            }
            else
            {
                AppendEscaped(builder, text, i, length);
            }

            i += length;
        }

        builder.Append(quote);
    }

    private static void AppendEscaped(StringBuilder builder, string text, int index, int length)
    {
        var isRune = Rune.TryGetRuneAt(text, index, out var rune);
        var code = isRune ? rune.Value : text[index];
        if (code is '\n' or '\r' or '\t')
        {
            builder.Append(code == '\n' ? "\\n" : code == '\r' ? "\\r" : "\\t");
        }
        else if (isRune && Characters.IsPrintable(rune))
        {
            builder.Append(text, index, length);
        }
        else
        {
            builder.Append(code <= 0xff ? $"\\x{code:x2}" : code <= 0xffff ? $"\\u{code:x4}" : $"\\U{code:x8}");
        }
    }
}
