using System.Text.RegularExpressions;

namespace Hone.Formats.ChatTemplates.Jinja;

/// <summary>The filter <c>wordwrap</c>: Python's <c>textwrap</c>, line by line.</summary>
internal static partial class WordWrap
{
    [GeneratedRegex(@"\s+|[^\s\w]*\w+[^0-9\W]-(?=\w+[^0-9\W])|\S+", RegexOptions.None, matchTimeoutMilliseconds: 1000)]
    private static partial Regex HyphenPattern();

    [GeneratedRegex(@"\s+|\S+", RegexOptions.None, matchTimeoutMilliseconds: 1000)]
    private static partial Regex WordPattern();

    public static object Apply(Evaluator evaluator, object?[] a)
    {
        var text = PyType.TextOf(a[0]) ?? throw Errors.NoMethod(a[0], "splitlines");
        var width = Filters.Integer(a[1], "wordwrap");
        if (width <= 0)
        {
            throw Errors.Value($"invalid width {width} (must be > 0)");
        }

        evaluator.Budget.Spend(text.Length);
        var separator = a[3] is null ? "\n" : evaluator.Str(a[3]);
        var pattern = PyType.IsTrue(a[4]) ? HyphenPattern() : WordPattern();
        var lines = Text.Lines(text).SelectMany(line => Wrap(line, width, PyType.IsTrue(a[2]), pattern)).ToList();
        evaluator.Budget.SpendText(text.Length + ((long)separator.Length * lines.Count));
        return string.Join(separator, lines);
    }

    private static List<string> Wrap(string line, int width, bool breaksWords, Regex pattern)
    {
        var chunks = new Stack<string>(pattern.Matches(line).Select(match => match.Value).Reverse());
        var lines = new List<string>();
        while (chunks.Count > 0)
        {
            if (lines.Count > 0 && string.IsNullOrWhiteSpace(chunks.Peek()))
            {
                chunks.Pop();
            }

            var current = new List<string>();
            var length = 0;
            while (chunks.TryPeek(out var chunk) && length + Text.Length(chunk) <= width)
            {
                length += Text.Length(chunk);
                current.Add(chunks.Pop());
            }

            if (chunks.TryPeek(out var next) && Text.Length(next) > width)
            {
                BreakWord(chunks, current, width - length, breaksWords);
            }

            if (current.Count > 0 && string.IsNullOrWhiteSpace(current[^1]))
            {
                current.RemoveAt(current.Count - 1);
            }

            if (current.Count > 0)
            {
                lines.Add(string.Concat(current));
            }
        }

        return lines.Count > 0 ? lines : [""];
    }

    private static void BreakWord(Stack<string> chunks, List<string> current, int space, bool breaksWords)
    {
        if (breaksWords)
        {
            var word = chunks.Pop();
            var cut = Text.UnitIndex(word, Math.Max(space, 1));
            current.Add(word[..cut]);
            if (cut < word.Length)
            {
                chunks.Push(word[cut..]);
            }
        }
        else if (current.Count == 0)
        {
            current.Add(chunks.Pop());
        }
    }
}
