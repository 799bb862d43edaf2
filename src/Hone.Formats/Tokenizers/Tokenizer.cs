using System.Text;
using Hone.Formats.Gguf;

namespace Hone.Formats.Tokenizers;

/// <summary>
/// A model's tokenizer: added tokens are cut out of the text, pre-tokenizers split what lies between into words, and byte pair encoding turns
/// each word into tokens. Equal to what Hugging Face <c>tokenizers</c> gives for the same vocabulary. Threads may share one.
/// </summary>
public sealed class Tokenizer
{
    private readonly Vocabulary _vocabulary;
    private readonly PreTokenizer[] _preTokenizers;
    private readonly BytePairModel _model;
    private readonly AddedTokens _added;
    private readonly AddedTokens _addedNotSpecial;
    private readonly int[] _beginning;
    private readonly int[] _end;

    /// <param name="vocabulary">The tokens.</param>
    /// <param name="preTokenizers">Applied in this order.</param>
    /// <param name="model">What turns words into tokens.</param>
    /// <param name="beginning">The tokens before a text that is encoded with special tokens.</param>
    /// <param name="end">The tokens after it.</param>
    internal Tokenizer(Vocabulary vocabulary, PreTokenizer[] preTokenizers, BytePairModel model, int[] beginning, int[] end)
    {
        (_vocabulary, _preTokenizers, _model, _beginning, _end) = (vocabulary, preTokenizers, model, beginning, end);
        _added = new AddedTokens(vocabulary.Added);
        _addedNotSpecial = new AddedTokens(vocabulary.Added.Where(t => !vocabulary.IsSpecial(t.Id)));
    }

    public int VocabularySize => _vocabulary.Count;

    /// <summary>The tokenizer that the <c>tokenizer.ggml.*</c> keys of a GGUF file describe.</summary>
    /// <exception cref="InvalidFileException">The keys describe none, or one of a kind that is not supported.</exception>
    public static Tokenizer FromGguf(GgufFile file) => GgufTokenizer.Read(file);

    /// <summary>The tokens of a text. A lone surrogate in it counts as U+FFFD.</summary>
    /// <param name="text">Any text.</param>
    /// <param name="addSpecialTokens">Adds the tokens that the model wants before and after every text, where its tokenizer names them.</param>
    /// <param name="recognizeSpecialTokens">
    /// Whether the text of a special token, such as <c>&lt;|im_end|&gt;</c>, becomes that token (the default). Otherwise it is text like any
    /// other: for text that strangers write. Added tokens that are not special are recognised always.
    /// </param>
    public TokenizedText Encode(string text, bool addSpecialTokens = false, bool recognizeSpecialTokens = true)
    {
        var output = new TokenBuffer();
        if (addSpecialTokens)
            AddEmpty(_beginning, 0, output);
        AddedTokens added = recognizeSpecialTokens ? _added : _addedNotSpecial;
        var scratch = new ByteWord();
        int at = 0;
        while (added.TryFind(text.AsSpan(at), out int start, out int length, out int id))
        {
            EncodeWords(text.AsSpan(at, start), at, 0, scratch, output);
            at += start + length;
            output.Add(id, at - length, at);
        }
        EncodeWords(text.AsSpan(at), at, 0, scratch, output);
        if (addSpecialTokens)
            AddEmpty(_end, text.Length, output);
        return output.ToText();
    }

    /// <summary>The text of the tokens. Bytes that are not UTF-8 become U+FFFD; an unknown id becomes nothing.</summary>
    public string Decode(ReadOnlySpan<int> ids, bool skipSpecialTokens = false)
    {
        int length = 0;
        foreach (int id in ids)
            length = checked(length + BytesOf(id, skipSpecialTokens).Length);
        var bytes = new byte[length];
        length = 0;
        foreach (int id in ids)
        {
            ReadOnlySpan<byte> token = BytesOf(id, skipSpecialTokens);
            token.CopyTo(bytes.AsSpan(length));
            length += token.Length;
        }
        return Encoding.UTF8.GetString(bytes);
    }

    /// <summary>Decodes tokens as they come.</summary>
    public StreamDecoder CreateStream(bool skipSpecialTokens) => new(this, skipSpecialTokens);

    /// <summary>The id of a token by its text in the vocabulary, where a byte-level token is written in GPT-2's alphabet ("Ġthe"); null when there is none.</summary>
    public int? TokenId(string text) => _vocabulary.TryGetId(text, out int id) ? id : null;

    /// <summary>The token's text in the vocabulary, see <see cref="TokenId"/>.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The id is not in the vocabulary.</exception>
    public string TokenText(int id) => _vocabulary.TextOf(id);

    /// <summary>Whether the token marks structure (turns, ends of text) rather than text; false for an unknown id.</summary>
    public bool IsSpecial(int id) => _vocabulary.IsSpecial(id);

    /// <summary>What a token adds to a decoded text.</summary>
    internal ReadOnlySpan<byte> BytesOf(int id, bool skipSpecialTokens) =>
        skipSpecialTokens && IsSpecial(id) ? [] : _vocabulary.BytesOf(id);

    private void EncodeWords(ReadOnlySpan<char> text, int at, int step, ByteWord scratch, TokenBuffer output)
    {
        if (step == _preTokenizers.Length)
        {
            _model.Encode(text, at, scratch, output);
            return;
        }
        while (!text.IsEmpty)
        {
            int length = _preTokenizers[step](text);
            EncodeWords(text[..length], at, step + 1, scratch, output);
            text = text[length..];
            at += length;
        }
    }

    private static void AddEmpty(int[] ids, int at, TokenBuffer output)
    {
        foreach (int id in ids)
            output.Add(id, at, at);
    }
}
