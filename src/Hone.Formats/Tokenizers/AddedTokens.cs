using System.Buffers;

namespace Hone.Formats.Tokenizers;

/// <summary>Tokens that are cut out of the text before anything else looks at it: the leftmost first, and of several there the longest.</summary>
internal sealed class AddedTokens
{
    private readonly Dictionary<string, int> _ids;
    private readonly SearchValues<string> _texts;
    private readonly int[] _lengths;

    /// <summary>An empty text never matches.</summary>
    public AddedTokens(IEnumerable<(string Text, int Id)> tokens)
    {
        _ids = [];
        foreach ((string text, int id) in tokens)
        {
            if (text.Length > 0)
                _ids[text] = id;
        }
        _texts = SearchValues.Create([.. _ids.Keys], StringComparison.Ordinal);
        _lengths = [.. _ids.Keys.Select(t => t.Length).Distinct().OrderDescending()];
    }

    public bool TryFind(ReadOnlySpan<char> text, out int start, out int length, out int id)
    {
        start = _ids.Count == 0 ? -1 : text.IndexOfAny(_texts);
        if (start >= 0)
        {
            Dictionary<string, int>.AlternateLookup<ReadOnlySpan<char>> ids = _ids.GetAlternateLookup<ReadOnlySpan<char>>();
            foreach (int candidate in _lengths)
            {
                length = candidate;
                if (length <= text.Length - start && ids.TryGetValue(text.Slice(start, length), out id))
                    return true;
            }
        }
        (length, id) = (0, 0);
        return false;
    }
}
