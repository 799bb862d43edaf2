using System.Text;

namespace Hone.Formats.Tokenizers;

/// <summary>What a token is: ordinary, or one that is cut out of the text as a whole, which may also be special.</summary>
internal enum TokenKind : byte { Normal, Added, Special }

/// <summary>The tokens by id and by text. Of a text that occurs twice the last id counts.</summary>
internal sealed class Vocabulary
{
    private readonly IReadOnlyList<string> _texts;
    private readonly TokenKind[] _kinds;
    private readonly Dictionary<string, int> _ids;
    private readonly byte[] _bytes;
    private readonly int[] _ends;
    private readonly int _longest;

    public Vocabulary(IReadOnlyList<string> texts, TokenKind[] kinds)
    {
        (_texts, _kinds) = (texts, kinds);
        _ids = new Dictionary<string, int>(texts.Count);
        _ends = new int[texts.Count];
        var bytes = new MemoryStream();
        for (int id = 0; id < texts.Count; id++)
        {
            _ids[texts[id]] = id;
            _longest = Math.Max(_longest, texts[id].Length);
            bytes.Write(kinds[id] == TokenKind.Normal ? ByteAlphabet.BytesOf(texts[id]) : Encoding.UTF8.GetBytes(texts[id]));
            _ends[id] = (int)bytes.Length;
        }
        _bytes = bytes.ToArray();
    }

    public int Count => _texts.Count;

    /// <summary>The tokens that are cut out of the text.</summary>
    public IEnumerable<(string Text, int Id)> Added =>
        Enumerable.Range(0, Count).Where(id => _kinds[id] != TokenKind.Normal).Select(id => (_texts[id], id));

    public bool TryGetId(string text, out int id) => _ids.TryGetValue(text, out id);

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
        return _ids.GetAlternateLookup<ReadOnlySpan<char>>().TryGetValue(characters[..utf8.Length], out int id) && _kinds[id] == TokenKind.Normal ? id : null;
    }

    public string TextOf(int id) => (uint)id < (uint)Count ? _texts[id]
        : throw new ArgumentOutOfRangeException(nameof(id), id, $"The vocabulary has the tokens 0 to {Count - 1}.");

    public bool IsSpecial(int id) => (uint)id < (uint)Count && _kinds[id] == TokenKind.Special;

    /// <summary>The bytes of a token's text; none for an unknown id.</summary>
    public ReadOnlySpan<byte> BytesOf(int id) =>
        (uint)id >= (uint)Count ? [] : _bytes.AsSpan((id == 0 ? 0 : _ends[id - 1]).._ends[id]);
}
