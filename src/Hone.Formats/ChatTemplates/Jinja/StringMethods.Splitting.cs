using System.Text;

namespace Hone.Formats.ChatTemplates.Jinja;

internal static partial class StringMethods
{
    private static void AddSplitting(Adder add)
    {
        add("strip", "chars=none", (text, a, _) => Text.Strip(text, Optional(a[0], "strip")));
        add("lstrip", "chars=none", (text, a, _) => Text.Strip(text, Optional(a[0], "lstrip"), right: false));
        add("rstrip", "chars=none", (text, a, _) => Text.Strip(text, Optional(a[0], "rstrip"), left: false));
        add("split", "sep=none, maxsplit=-1", (text, a, e) => Split(text, a, e, fromRight: false));
        add("rsplit", "sep=none, maxsplit=-1", (text, a, e) => Split(text, a, e, fromRight: true));
        add("splitlines", "keepends=false", (text, a, _) => new PyList([.. Text.Lines(text, PyType.IsTrue(a[0]))]));
        add("partition", "sep", (text, a, _) => Partition(text, Separator(a[0], "partition"), isLast: false));
        add("rpartition", "sep", (text, a, _) => Partition(text, Separator(a[0], "rpartition"), isLast: true));
        add("join", "iterable", (text, a, e) => Join(text, JoinItems(a[0], e), e.Budget));
    }

    private static string? Optional(object? value, string method) => value is null ? null : Required(value, method);

    private static string Separator(object? value, string method) =>
        Required(value, method) is { Length: > 0 } separator ? separator : throw Errors.Value("empty separator");

    private static PyTuple Partition(string text, string separator, bool isLast)
    {
        var at = isLast ? text.LastIndexOf(separator, StringComparison.Ordinal) : text.IndexOf(separator, StringComparison.Ordinal);
        return at >= 0 ? new PyTuple(text[..at], separator, text[(at + separator.Length)..])
            : isLast ? new PyTuple("", "", text) : new PyTuple(text, "", "");
    }

    private static PyList Split(string text, object?[] a, Evaluator evaluator, bool fromRight)
    {
        var limit = Filters.Integer(a[1], "split");
        var max = limit < 0 ? int.MaxValue : limit;
        var parts = a[0] is null ? SplitSpace(text, max, fromRight)
            : fromRight ? SplitRight(text, Separator(a[0], "rsplit"), max)
            : SplitLeft(text, Separator(a[0], "split"), max);
        evaluator.Budget.Spend(parts.Count);
        return new PyList(parts);
    }

    private static List<object?> SplitLeft(string text, string separator, int max)
    {
        var parts = new List<object?>();
        var start = 0;
        int at;
        while (parts.Count < max && (at = text.IndexOf(separator, start, StringComparison.Ordinal)) >= 0)
        {
            parts.Add(text[start..at]);
            start = at + separator.Length;
        }

        parts.Add(text[start..]);
        return parts;
    }

    private static List<object?> SplitRight(string text, string separator, int max)
    {
        var parts = new List<object?>();
        var end = text.Length;
        int at;
        while (parts.Count < max && (at = text.AsSpan(0, end).LastIndexOf(separator)) >= 0)
        {
            parts.Add(text[(at + separator.Length)..end]);
            end = at;
        }

        parts.Add(text[..end]);
        parts.Reverse();
        return parts;
    }

    /// <summary>Splits at runs of white space; the rest beyond the limit keeps its inner white space.</summary>
    private static List<object?> SplitSpace(string text, int max, bool fromRight)
    {
        var parts = new List<object?>();
        var (start, end) = (0, text.Length);
        while (true)
        {
            while (start < end && Characters.IsSpace(text[fromRight ? end - 1 : start]))
            {
                _ = fromRight ? end-- : start++;
            }

            if (start == end)
            {
                break;
            }

            if (parts.Count == max)
            {
                parts.Add(Text.Strip(text[start..end], null, left: !fromRight, right: fromRight));
                break;
            }

            var at = fromRight ? end : start;
            while (fromRight ? at > start && !Characters.IsSpace(text[at - 1]) : at < end && !Characters.IsSpace(text[at]))
            {
                _ = fromRight ? at-- : at++;
            }

            parts.Add(fromRight ? text[at..end] : text[start..at]);
            (start, end) = fromRight ? (start, at) : (at, end);
        }

        if (fromRight)
        {
            parts.Reverse();
        }

        return parts;
    }

    private static IEnumerable<string> JoinItems(object? items, Evaluator evaluator)
    {
        if (Sequences.Items(items) is null)
        {
            throw Errors.Type("can only join an iterable");
        }

        return evaluator.Iterate(items).Select((item, index) =>
            PyType.TextOf(item) ?? throw Errors.Type($"sequence item {index}: expected str instance, {PyType.Name(item)} found"));
    }

    public static string Join(string separator, IEnumerable<string> items, Budget budget)
    {
        var result = new StringBuilder();
        var isFirst = true;
        foreach (var item in items)
        {
            budget.CheckText((long)result.Length + separator.Length + item.Length);
            result.Append(isFirst ? "" : separator).Append(item);
            isFirst = false;
        }

        budget.SpendText(result.Length);
        return result.ToString();
    }

    private static void AddPadding(Adder add)
    {
        add("center", "width, fillchar=' '", (text, a, e) => Center(text, Filters.Integer(a[0], "center"), Fill(a[1]), e.Budget));
        add("ljust", "width, fillchar=' '", (text, a, e) => text + Padding(text, a, e.Budget));
        add("rjust", "width, fillchar=' '", (text, a, e) => Padding(text, a, e.Budget) + text);
        add("zfill", "width", (text, a, e) =>
        {
            var zeros = Text.Repeat("0", (long)Filters.Integer(a[0], "zfill") - Text.Length(text), e.Budget);
            return text.Length > 0 && text[0] is '+' or '-' ? text[..1] + zeros + text[1..] : zeros + text;
        });
        add("expandtabs", "tabsize=8", (text, a, e) => ExpandTabs(text, Filters.Integer(a[0], "expandtabs"), e.Budget));
    }

    private static string Fill(object? value) =>
        PyType.TextOf(value) is { } fill && Text.Length(fill) == 1 ? fill : throw Errors.Type("The fill character must be exactly one character long");

    private static string Padding(string text, object?[] a, Budget budget) =>
        Text.Repeat(Fill(a[1]), (long)Filters.Integer(a[0], "width") - Text.Length(text), budget);

    public static string Center(string text, long width, char fill, Budget budget) => Center(text, width, fill.ToString(), budget);

    private static string Center(string text, long width, string fill, Budget budget)
    {
        var padding = Math.Max(0, width - Text.Length(text));
        // Python's rule for the odd blank.
        var left = (padding / 2) + (padding & width & 1);
        return Text.Repeat(fill, left, budget) + text + Text.Repeat(fill, padding - left, budget);
    }

    private static string ExpandTabs(string text, int size, Budget budget)
    {
        var result = new StringBuilder();
        var column = 0L;
        for (var i = 0; i < text.Length;)
        {
            var length = Text.UnitsAt(text, i);
            if (text[i] == '\t')
            {
                var blanks = size > 0 ? size - (column % size) : 0;
                result.Append(Text.Repeat(" ", blanks, budget));
                column += blanks;
            }
            else
            {
                result.Append(text, i, length);
                column = text[i] is '\n' or '\r' ? 0 : column + 1;
            }

            i += length;
            budget.CheckText(result.Length);
        }

        return result.ToString();
    }
}
