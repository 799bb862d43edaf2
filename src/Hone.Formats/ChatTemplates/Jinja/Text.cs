using System.Text;

namespace Hone.Formats.ChatTemplates.Jinja;

/// <summary>Texts as Python sees them: code points, <c>str()</c> and <c>repr()</c>.</summary>
internal static partial class Text
{
    /// <summary>UTF-16 units of the code point at a position; a lone surrogate is one.</summary>
    public static int UnitsAt(string text, int index) =>
        char.IsHighSurrogate(text[index]) && index + 1 < text.Length && char.IsLowSurrogate(text[index + 1]) ? 2 : 1;

    public static int Length(string text)
    {
        var pairs = 0;
        for (var i = text.AsSpan().IndexOfAnyInRange('\ud800', '\udbff'); i >= 0 && i < text.Length; i++)
        {
            if (UnitsAt(text, i) == 2)
            {
                pairs++;
                i++;
            }
        }

        return text.Length - pairs;
    }

    /// <summary>Where the code point <paramref name="count"/> behind <paramref name="from"/> starts, in UTF-16 units.</summary>
    public static int UnitIndex(string text, int count, int from = 0)
    {
        var index = from;
        for (var i = 0; i < count && index < text.Length; i++)
        {
            index += UnitsAt(text, index);
        }

        return index;
    }

    /// <summary>Order by code points, where UTF-16 would put surrogates before U+E000.</summary>
    public static int Compare(string left, string right)
    {
        var shared = left.AsSpan().CommonPrefixLength(right);
        if (shared == left.Length || shared == right.Length)
        {
            return left.Length.CompareTo(right.Length);
        }

        var (a, b) = (left[shared], right[shared]);
        return char.IsSurrogate(a) == char.IsSurrogate(b) ? a.CompareTo(b) : char.IsSurrogate(a) ? 1 : -1;
    }

    public static string Strip(string text, string? characters, bool left = true, bool right = true)
    {
        bool IsStripped(Rune rune, char unit) => characters is null
            ? rune.Value == unit && Characters.IsSpace(unit)
            : characters.Contains(rune.ToString(), StringComparison.Ordinal);

        var start = 0;
        var end = text.Length;
        while (left && start < end && Rune.DecodeFromUtf16(text.AsSpan(start, end - start), out var rune, out var used) == System.Buffers.OperationStatus.Done
            && IsStripped(rune, text[start]))
        {
            start += used;
        }

        while (right && start < end && Rune.DecodeLastFromUtf16(text.AsSpan(start, end - start), out var rune, out var used) == System.Buffers.OperationStatus.Done
            && IsStripped(rune, text[end - 1]))
        {
            end -= used;
        }

        return text[start..end];
    }

    /// <summary>Lines as <c>str.splitlines</c> cuts them.</summary>
    public static List<string> Lines(string text, bool keepEnds = false)
    {
        var lines = new List<string>();
        for (var start = 0; start < text.Length;)
        {
            var end = start;
            while (end < text.Length && !Characters.IsLineBreak(text[end]))
            {
                end++;
            }

            var next = end < text.Length ? end + (text[end] == '\r' && end + 1 < text.Length && text[end + 1] == '\n' ? 2 : 1) : end;
            lines.Add(text[start..(keepEnds ? next : end)]);
            start = next;
        }

        return lines;
    }

    public static string Repeat(string text, long count, Budget budget)
    {
        if (count <= 0 || text.Length == 0)
        {
            return "";
        }

        budget.SpendText(count > int.MaxValue ? long.MaxValue : count * text.Length);
        return new StringBuilder(text.Length * (int)count).Insert(0, text, (int)count).ToString();
    }

    public static string Replace(string text, string old, string with, long count, Budget budget)
    {
        budget.SpendText(text.Length);
        if (count == 0 || (old.Length > 0 && !text.Contains(old, StringComparison.Ordinal)))
        {
            return text;
        }

        var result = new StringBuilder();
        var (position, replaced) = (0, 0L);
        while (count < 0 || replaced < count)
        {
            // An empty text is found before every code point and at the end.
            var at = old.Length > 0 ? text.IndexOf(old, position, StringComparison.Ordinal)
                : replaced == 0 ? 0
                : position < text.Length ? position + UnitsAt(text, position) : -1;
            if (at < 0)
            {
                break;
            }

            result.Append(text, position, at - position).Append(with);
            position = at + old.Length;
            replaced++;
            budget.CheckText(result.Length);
        }

        budget.SpendText((long)result.Length + text.Length - position);
        return result.Append(text, position, text.Length - position).ToString();
    }
}
