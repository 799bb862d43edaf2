using System.Buffers;

namespace Hone.Formats.Tokenizers;

/// <summary>A token that is cut out of the text as a whole.</summary>
/// <param name="Text">As it stands in the text; an empty one never matches.</param>
/// <param name="Id">The token.</param>
internal sealed record AddedToken(string Text, int Id)
{
    /// <summary>It marks structure rather than text.</summary>
    public bool Special { get; init; }

    /// <summary>It takes the spaces before it.</summary>
    public bool LeftStrip { get; init; }

    /// <summary>It takes the spaces behind it.</summary>
    public bool RightStrip { get; init; }

    /// <summary>It is none when a letter, digit or the like stands right beside it.</summary>
    public bool SingleWord { get; init; }

    /// <summary>It is looked for in the normalized text, not in the raw one.</summary>
    public bool Normalized { get; init; }
}

/// <summary>Finds added tokens in a text: the leftmost first, and of several there the longest.</summary>
internal sealed class AddedTokens
{
    private readonly Dictionary<string, AddedToken> _tokens;
    private readonly SearchValues<string> _texts;
    private readonly int[] _lengths;

    public AddedTokens(IEnumerable<AddedToken> tokens)
    {
        _tokens = [];
        foreach (AddedToken token in tokens)
        {
            if (token.Text.Length > 0)
                _tokens[token.Text] = token;
        }
        _texts = SearchValues.Create([.. _tokens.Keys], StringComparison.Ordinal);
        _lengths = [.. _tokens.Keys.Select(t => t.Length).Distinct().OrderDescending()];
    }

    public bool None => _tokens.Count == 0;

    /// <summary>The next token, with the spaces that it takes.</summary>
    /// <param name="text">The text.</param>
    /// <param name="search">Where to search from, and then where the match ends.</param>
    /// <param name="taken">Where the token before ends, spaces included.</param>
    /// <param name="start">Where the token begins.</param>
    /// <param name="end">Where it ends.</param>
    /// <param name="id">The token.</param>
    public bool TryCut(ReadOnlySpan<char> text, ref int search, int taken, out int start, out int end, out int id)
    {
        while (TryFind(text[search..], out start, out AddedToken? token))
        {
            start += search;
            end = search = start + token.Text.Length;
            if (token.SingleWord && (EndsWithWord(text[..start]) || StartsWithWord(text[end..])))
                continue;
            if (token.LeftStrip)
                start = Math.Max(taken, TrimmedEnd(text[..start]));
            if (token.RightStrip)
                end = CodePoints.EndOfRun(text, end, CodePointKind.Space);
            id = token.Id;
            return true;
        }
        (start, end, id) = (0, 0, 0);
        return false;
    }

    private bool TryFind(ReadOnlySpan<char> text, out int start, out AddedToken token)
    {
        start = None ? -1 : text.IndexOfAny(_texts);
        if (start >= 0)
        {
            Dictionary<string, AddedToken>.AlternateLookup<ReadOnlySpan<char>> tokens = _tokens.GetAlternateLookup<ReadOnlySpan<char>>();
            foreach (int length in _lengths)
            {
                if (length <= text.Length - start && tokens.TryGetValue(text.Slice(start, length), out token!))
                    return true;
            }
        }
        token = null!;
        return false;
    }

    private static bool StartsWithWord(ReadOnlySpan<char> text) => !text.IsEmpty && CodePoints.IsWord(CodePoints.RuneAt(text, 0, out _).Value);

    private static bool EndsWithWord(ReadOnlySpan<char> text) =>
        !text.IsEmpty && CodePoints.IsWord(text.Length > 1 && char.IsSurrogatePair(text[^2], text[^1]) ? char.ConvertToUtf32(text[^2], text[^1]) : text[^1]);

    /// <summary>Where the spaces at the end begin. Every space is one unit long.</summary>
    private static int TrimmedEnd(ReadOnlySpan<char> text)
    {
        int end = text.Length;
        while (end > 0 && CodePoints.KindAt(text, end - 1, out _) == CodePointKind.Space)
            end--;
        return end;
    }
}
