using System.Text;

namespace Hone.Formats.Tokenizers;

/// <summary>What a token is: ordinary, or one that is cut out of the text as a whole, which may also be special.</summary>
internal enum TokenKind : byte { Normal, Added, Special }

/// <summary>The tokens by id and by text. Of a text that occurs twice the last id counts. An id may have no token.</summary>
internal sealed class Vocabulary
{
    private readonly IReadOnlyList<string?> _texts;
    private readonly TokenKind[] _kinds;
    private readonly Dictionary<string, int> _model;
    private readonly Dictionary<string, int> _others = [];
    private readonly int _longest;

    /// <summary>Every token is one of the model's, the added ones too.</summary>
    public Vocabulary(IReadOnlyList<string> texts, TokenKind[] kinds)
        : this(texts, kinds, IdsOf(texts))
    {
    }

    /// <param name="texts">By id; null where there is no token.</param>
    /// <param name="kinds">By id.</param>
    /// <param name="model">The tokens that the model itself knows, which need not hold the added ones.</param>
    public Vocabulary(IReadOnlyList<string?> texts, TokenKind[] kinds, Dictionary<string, int> model)
    {
        (_texts, _kinds, _model) = (texts, kinds, model);
        for (int id = 0; id < texts.Count; id++)
        {
            if (texts[id] is not { } text)
                continue;
            _longest = Math.Max(_longest, text.Length);
            if (kinds[id] != TokenKind.Normal)
                _others[text] = id;
        }
    }

    /// <summary>One more than the highest id.</summary>
    public int Count => _texts.Count;

    public bool TryGetId(string text, out int id) => _others.TryGetValue(text, out id) || _model.TryGetValue(text, out id);

    /// <summary>The token that the model itself has for a text.</summary>
    public bool TryGetModelId(ReadOnlySpan<char> text, out int id) => _model.GetAlternateLookup<ReadOnlySpan<char>>().TryGetValue(text, out id);

    /// <summary>The ordinary token whose bytes are those of the word.</summary>
    public int? WordId(ReadOnlySpan<char> word)
    {
        if (word.Length > _longest)
            return null;
        Span<byte> utf8 = word.Length <= 64 ? stackalloc byte[192] : new byte[word.Length * 3];
        utf8 = utf8[..Encoding.UTF8.GetBytes(word, utf8)];
        Span<char> characters = word.Length <= 64 ? stackalloc char[192] : new char[utf8.Length];
        for (int i = 0; i < utf8.Length; i++)
            characters[i] = ByteAlphabet.CharacterOf(utf8[i]);
        return TryGetModelId(characters[..utf8.Length], out int id) && _kinds[id] == TokenKind.Normal ? id : null;
    }

    /// <summary>The token's text; null where the id has none.</summary>
    public string? FindText(int id) => (uint)id < (uint)Count ? _texts[id] : null;

    public string TextOf(int id) => FindText(id)
        ?? throw new ArgumentOutOfRangeException(nameof(id), id, $"The vocabulary has the tokens 0 to {Count - 1}{((uint)id < (uint)Count ? ", without this one" : "")}.");

    public bool IsSpecial(int id) => (uint)id < (uint)Count && _kinds[id] == TokenKind.Special;

    public bool IsAdded(int id) => (uint)id < (uint)Count && _kinds[id] != TokenKind.Normal;

    private static Dictionary<string, int> IdsOf(IReadOnlyList<string> texts)
    {
        var ids = new Dictionary<string, int>(texts.Count);
        for (int id = 0; id < texts.Count; id++)
            ids[texts[id]] = id;
        return ids;
    }
}
