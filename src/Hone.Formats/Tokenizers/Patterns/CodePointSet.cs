using System.Text;

namespace Hone.Formats.Tokenizers;

/// <summary>A set of Unicode code points, quick to ask.</summary>
internal sealed class CodePointSet
{
    private const int PlaneSize = 0x10000;

    private readonly Func<int, bool> _contains;
    private readonly ulong _low; // U+0000 to U+003F
    private readonly ulong _high; // U+0040 to U+007F
    private ulong[]? _plane;

    public CodePointSet(Func<int, bool> contains)
    {
        _contains = contains;
        for (int c = 0; c < 64; c++)
        {
            _low |= contains(c) ? 1ul << c : 0;
            _high |= contains(c + 64) ? 1ul << c : 0;
        }
    }

    /// <summary>Whether the code point at a place, of <paramref name="length"/> units, is in the set.</summary>
    public bool Matches(ReadOnlySpan<char> text, int at, out int length)
    {
        length = 1;
        if ((uint)at >= (uint)text.Length)
            return false;
        char c = text[at];
        if (c < 128)
            return ((c < 64 ? _low : _high) >> (c & 63) & 1) != 0;
        if (!char.IsSurrogate(c))
            return ((_plane ??= MakePlane())[c >> 6] >> (c & 63) & 1) != 0;
        Rune rune = CodePoints.RuneAt(text, at, out length);
        return _contains(rune.Value);
    }

    private ulong[] MakePlane()
    {
        var plane = new ulong[PlaneSize / 64];
        for (int c = 0; c < PlaneSize; c++)
            plane[c >> 6] |= _contains(c) ? 1ul << (c & 63) : 0;
        return plane;
    }
}
