namespace Hone.Formats.Constraints;

/// <summary>Symbols of an automaton: Unicode code points without surrogates, and the two places that a pattern's anchors stand for. Ascending ranges that do not touch.</summary>
internal sealed class CharacterSet
{
    public const int Last = 0x10FFFF;

    /// <summary>What <c>^</c> and <c>$</c> match: pretended symbols before and behind each text.</summary>
    public const int Beginning = Last + 1, End = Last + 2;

    private CharacterSet(List<(int Low, int High)> ranges) => Ranges = ranges;

    public IReadOnlyList<(int Low, int High)> Ranges { get; }

    public static CharacterSet All { get; } = Of((0, Last));

    public static CharacterSet Digits { get; } = Of(('0', '9'));

    public static CharacterSet Words { get; } = Of(('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z'));

    public static CharacterSet Spaces { get; } =
        Of((9, 13), (' ', ' '), (0xA0, 0xA0), (0x1680, 0x1680), (0x2000, 0x200A), (0x2028, 0x2029), (0x202F, 0x202F), (0x205F, 0x205F), (0x3000, 0x3000), (0xFEFF, 0xFEFF));

    public static CharacterSet LineEnds { get; } = Of(('\n', '\n'), ('\r', '\r'), (0x2028, 0x2029));

    /// <summary>In any order; they may overlap.</summary>
    public static CharacterSet Of(params IEnumerable<(int Low, int High)> ranges)
    {
        var merged = new List<(int Low, int High)>();
        foreach ((int low, int high) in ranges.SelectMany(WithoutSurrogates).Order())
        {
            if (merged.Count > 0 && low <= merged[^1].High + 1)
                merged[^1] = (merged[^1].Low, Math.Max(merged[^1].High, high));
            else
                merged.Add((low, high));
        }
        return new CharacterSet(merged);
    }

    public static CharacterSet Where(Func<int, bool> contains)
    {
        var ranges = new List<(int, int)>();
        int start = -1;
        for (int c = 0; c <= Last + 1; c++)
        {
            bool isIn = c <= Last && contains(c);
            if (isIn && start < 0)
                start = c;
            if (isIn || start < 0)
                continue;
            ranges.Add((start, c - 1));
            start = -1;
        }
        return Of(ranges);
    }

    public CharacterSet Or(CharacterSet other) => Of(Ranges.Concat(other.Ranges));

    public CharacterSet Negated()
    {
        var gaps = new List<(int, int)>();
        int next = 0;
        foreach ((int low, int high) in Ranges)
        {
            if (low > next)
                gaps.Add((next, low - 1));
            next = high + 1;
        }
        if (next <= Last)
            gaps.Add((next, Last));
        return Of(gaps);
    }

    private static IEnumerable<(int Low, int High)> WithoutSurrogates((int Low, int High) range)
    {
        if (range.Low < 0xD800 && range.High > 0xDFFF)
            return [(range.Low, 0xD7FF), (0xE000, range.High)];
        (int low, int high) = (range.Low is >= 0xD800 and <= 0xDFFF ? 0xE000 : range.Low, range.High is >= 0xD800 and <= 0xDFFF ? 0xD7FF : range.High);
        return low <= high ? [(low, high)] : [];
    }
}
