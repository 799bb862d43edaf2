using Hone.Formats.Files;
using Hone.Formats.Gguf;

namespace Hone.Formats.Tokenizers;

/// <summary>
/// A model's tokenizer: added tokens are cut out of the text, what lies between is normalized and split into words, and the model turns
/// each word into tokens. Equal to what Hugging Face <c>tokenizers</c> gives for the same vocabulary. Threads may share one.
/// </summary>
public sealed class Tokenizer
{
    private readonly Vocabulary _vocabulary;
    private readonly Pipeline _pipeline;
    private readonly TokenDecoder _decoder;
    private readonly AddedTokens _raw, _rawNotSpecial, _normalized, _normalizedNotSpecial;
    private readonly int[] _beginning;
    private readonly int[] _end;

    /// <param name="vocabulary">The tokens.</param>
    /// <param name="added">Those that are cut out of the text as a whole. A normalized one's text is normalized already.</param>
    /// <param name="pipeline">From text to tokens.</param>
    /// <param name="decoder">And back.</param>
    /// <param name="beginning">The tokens before a text that is encoded with special tokens.</param>
    /// <param name="end">The tokens after it.</param>
    internal Tokenizer(Vocabulary vocabulary, IReadOnlyCollection<AddedToken> added, Pipeline pipeline, TokenDecoder decoder, int[] beginning, int[] end)
    {
        (_vocabulary, _pipeline, _decoder, _beginning, _end) = (vocabulary, pipeline, decoder, beginning, end);
        _raw = new AddedTokens(added.Where(t => !t.Normalized));
        _rawNotSpecial = new AddedTokens(added.Where(t => !t.Normalized && !t.Special));
        _normalized = new AddedTokens(added.Where(t => t.Normalized));
        _normalizedNotSpecial = new AddedTokens(added.Where(t => t.Normalized && !t.Special));
    }

    private Tokenizer(Tokenizer other, int[] beginning, int[] end)
    {
        (_vocabulary, _pipeline, _decoder, _beginning, _end) = (other._vocabulary, other._pipeline, other._decoder, beginning, end);
        (_raw, _rawNotSpecial, _normalized, _normalizedNotSpecial) = (other._raw, other._rawNotSpecial, other._normalized, other._normalizedNotSpecial);
        WithoutEmbedding = other.WithoutEmbedding;
    }

    /// <summary>One more than the highest id. Not every id below has a token in every vocabulary.</summary>
    public int VocabularySize => _vocabulary.Count;

    /// <summary>The tokenizer that the <c>tokenizer.ggml.*</c> keys of a GGUF file describe.</summary>
    /// <exception cref="InvalidFileException">The keys describe none, or one of a kind that is not supported.</exception>
    public static Tokenizer FromGguf(GgufFile file) => GgufTokenizer.Read(file);

    /// <summary>Added tokens of the file that the model has no embeddings for: their texts are read like any other, for their ids would be none of the model's.</summary>
    public IReadOnlyList<string> WithoutEmbedding { get; internal init; } = [];

    /// <summary>The tokenizer of a <c>tokenizer.json</c>.</summary>
    /// <param name="path">The file.</param>
    /// <param name="embeddings">How many the model has. Gemma 3's text models have one fewer than there are tokens: the one of images has none.</param>
    /// <exception cref="InvalidFileException">The file is damaged, or holds what is not supported; names the place.</exception>
    public static Tokenizer FromTokenizerJson(string path, int embeddings = int.MaxValue)
    {
        long length = LinkedFile.Info(path).Length;
        if (length > TokenizerJson.LongestFile)
            throw new InvalidFileException($"{path} has {length:N0} bytes; a tokenizer.json has at most {TokenizerJson.LongestFile:N0}.");
        return TokenizerJson.Read(File.ReadAllBytes(path), path, embeddings);
    }

    /// <summary>The tokenizer of a <c>tokenizer.json</c> that is in memory.</summary>
    /// <param name="utf8">The file.</param>
    /// <param name="source">What errors call it.</param>
    /// <exception cref="InvalidFileException">The file is damaged, or holds what is not supported; names the place.</exception>
    public static Tokenizer FromTokenizerJson(ReadOnlySpan<byte> utf8, string source) => TokenizerJson.Read(utf8, source);

    /// <summary>The same with or without a token at the beginning and the end of every text that is encoded with special tokens; null: as it is.</summary>
    internal Tokenizer WithAdded(int? beginning, bool? addsBeginning, int? end, bool? addsEnd)
    {
        return new Tokenizer(this, Side(_beginning, beginning, addsBeginning), Side(_end, end, addsEnd));

        static int[] Side(int[] now, int? id, bool? adds) => adds switch
        {
            null => now,
            true => now.Contains(id!.Value) ? now : [id.Value],
            false => [.. now.Where(token => token != id)],
        };
    }

    /// <summary>The tokens before and after every text that is encoded with special tokens.</summary>
    public (IReadOnlyList<int> Beginning, IReadOnlyList<int> End) Added => (_beginning, _end);

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
        new EncodingRun(_pipeline, recognizeSpecialTokens ? _raw : _rawNotSpecial, recognizeSpecialTokens ? _normalized : _normalizedNotSpecial, output).Text(text);
        if (addSpecialTokens)
            AddEmpty(_end, text.Length, output);
        return output.ToText();
    }

    /// <summary>The text of the tokens. Bytes that are not UTF-8 become U+FFFD; an unknown id becomes nothing.</summary>
    public string Decode(ReadOnlySpan<int> ids, bool skipSpecialTokens = false)
    {
        var known = new List<int>(ids.Length);
        foreach (int id in ids)
        {
            if (IsDecoded(id, skipSpecialTokens))
                known.Add(id);
        }
        return _decoder.Decode(known);
    }

    /// <summary>Decodes tokens as they come.</summary>
    public StreamDecoder CreateStream(bool skipSpecialTokens) => new(this, _decoder.Start(), skipSpecialTokens);

    /// <summary>The id of a token by its text in the vocabulary, where a byte-level token is written in GPT-2's alphabet ("Ġthe"); null when there is none.</summary>
    public int? TokenId(string text) => _vocabulary.TryGetId(text, out int id) ? id : null;

    /// <summary>The token's text in the vocabulary, see <see cref="TokenId"/>.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The id is not in the vocabulary.</exception>
    public string TokenText(int id) => _vocabulary.TextOf(id);

    /// <summary>Whether the token marks structure (turns, ends of text) rather than text; false for an unknown id.</summary>
    public bool IsSpecial(int id) => _vocabulary.IsSpecial(id);

    /// <summary>The bytes that a token adds to a text behind others; none for an unknown id.</summary>
    public byte[] BytesOf(int id) => _vocabulary.FindText(id) is null ? [] : _decoder.BytesOf(id);

    /// <summary>Whether a token adds to a decoded text.</summary>
    internal bool IsDecoded(int id, bool skipSpecialTokens) => _vocabulary.FindText(id) is not null && !(skipSpecialTokens && IsSpecial(id));

    private static void AddEmpty(int[] ids, int at, TokenBuffer output)
    {
        foreach (int id in ids)
            output.Add(id, at, at);
    }
}
