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

    public TokenizedText ToText() => new([.. _ids], [.. _offsets]);
}
