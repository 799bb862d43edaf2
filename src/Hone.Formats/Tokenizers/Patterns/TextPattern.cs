namespace Hone.Formats.Tokenizers;

/// <summary>What a text is searched for: a literal, a regular expression, or one of the word patterns.</summary>
internal abstract class TextPattern
{
    /// <summary>The file and the path in it, for errors.</summary>
    public string Source { get; init; } = "";

    /// <summary>The first match that begins at <paramref name="from"/> or later.</summary>
    public abstract bool TryFind(ReadOnlySpan<char> text, int from, ref PatternBudget budget, out int start, out int end);

    /// <summary>A search for all matches of a text, from left to right.</summary>
    public PatternSearch Start(ReadOnlySpan<char> text) => new(this, text.Length);
}

/// <summary>The matches of one text. An empty match right behind another is passed over.</summary>
internal struct PatternSearch(TextPattern pattern, int length)
{
    private PatternBudget _budget = new(pattern.Source, length);
    private int _from;
    private int _lastEnd = -1;

    public bool Next(ReadOnlySpan<char> text, out int start, out int end)
    {
        while (_from <= text.Length && pattern.TryFind(text, _from, ref _budget, out start, out end))
        {
            if (start < end)
            {
                _from = _lastEnd = end;
                return true;
            }
            _from = end;
            if (end < text.Length)
                CodePoints.RuneAt(text, end, out length);
            _from += end < text.Length ? length : 1;
            if (end == _lastEnd)
                continue;
            _lastEnd = end;
            return true;
        }
        (start, end) = (0, 0);
        return false;
    }
}

/// <summary>The steps that a search may take, so that no pattern of a file can hang its reader.</summary>
internal struct PatternBudget(string source, int length)
{
    private long _left = 4_000_000 + (2_000L * length);

    /// <exception cref="InvalidFileException">Nothing is left.</exception>
    public void Spend(int steps)
    {
        _left -= steps;
        if (_left < 0)
            throw new InvalidFileException($"The pattern of {source} takes too many steps on a text: it backtracks again and again over the same characters. Simplify it.");
    }
}

/// <summary>A text as it is.</summary>
internal sealed class LiteralPattern(string literal) : TextPattern
{
    public string Literal => literal;

    public override bool TryFind(ReadOnlySpan<char> text, int from, ref PatternBudget budget, out int start, out int end)
    {
        int at = literal.Length == 0 ? -1 : text[from..].IndexOf(literal);
        (start, end) = (from + at, from + at + literal.Length);
        return at >= 0;
    }
}

/// <summary>The length in UTF-16 units of the first piece of a text, which is not empty.</summary>
internal delegate int WordPattern(ReadOnlySpan<char> text);

/// <summary>A pattern that matches everywhere, written by hand.</summary>
internal sealed class CoveringPattern(WordPattern word) : TextPattern
{
    public override bool TryFind(ReadOnlySpan<char> text, int from, ref PatternBudget budget, out int start, out int end)
    {
        start = end = from;
        if (from == text.Length)
            return false;
        end += word(text[from..]);
        return true;
    }
}
