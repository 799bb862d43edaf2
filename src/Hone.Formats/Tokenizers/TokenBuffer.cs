using System.Runtime.InteropServices;

namespace Hone.Formats.Tokenizers;

/// <summary>Where one encoding collects its tokens.</summary>
internal sealed class TokenBuffer
{
    private readonly List<int> _ids = [];
    private readonly List<(int Start, int End)> _offsets = [];

    public ReadOnlySpan<int> Ids => CollectionsMarshal.AsSpan(_ids);

    public ReadOnlySpan<(int Start, int End)> Offsets => CollectionsMarshal.AsSpan(_offsets);

    public int Count => _ids.Count;

    public void Add(int id, int start, int end)
    {
        _ids.Add(id);
        _offsets.Add((start, end));
    }

    /// <summary>Turns the ranges of the tokens from <paramref name="first"/> on, which count in units of a piece, into ranges of the original text.</summary>
    public void MoveToOriginal(int first, in AlignedText piece)
    {
        foreach (ref (int Start, int End) offset in CollectionsMarshal.AsSpan(_offsets)[first..])
        {
            TextRange range = piece.RangeOf(offset.Start, offset.End);
            offset = (range.Start, range.End);
        }
    }

    public TokenizedText ToText() => new([.. _ids], [.. _offsets]);
}
