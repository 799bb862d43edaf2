using System.Text.Json;

namespace Hone.Formats.Tokenizers;

/// <summary>
/// Reads a tokenizer.json (github.com/huggingface/tokenizers). Whatever would change the result and is not known is refused with its place;
/// <c>truncation</c> and <c>padding</c>, which no caller here asks for, do not apply.
/// </summary>
internal static class TokenizerJson
{
    public const int LongestFile = 512 << 20;

    private static readonly string[] s_members = ["version", "truncation", "padding", "added_tokens", "normalizer", "pre_tokenizer", "post_processor", "decoder", "model"];

    public static Tokenizer Read(ReadOnlySpan<byte> utf8, string source, int embeddings = int.MaxValue)
    {
        if (utf8.StartsWith("\uFEFF"u8))
            utf8 = utf8[3..];
        try
        {
            return ReadWhole(utf8, source, embeddings);
        }
        catch (JsonException e)
        {
            throw new InvalidFileException($"{source}: the JSON is broken{(e.LineNumber is null ? "" : $" in line {e.LineNumber + 1}, byte {e.BytePositionInLine + 1}")}: {Reason(e)} Fetch the file again.", e);
        }
        catch (InvalidOperationException e)
        {
            // What Utf8JsonReader throws for a text that is no Unicode.
            throw new InvalidFileException($"{source}: a text of the JSON is no valid Unicode. Fetch the file again.", e);
        }
    }

    private static Tokenizer ReadWhole(ReadOnlySpan<byte> utf8, string source, int embeddings)
    {
        var root = new JsonSlices(utf8, .., source, "");
        if (root.Names.FirstOrDefault(name => !s_members.Contains(name, StringComparer.Ordinal)) is { } unknown)
            throw JsonFields.Invalid(source, root.PathOf(unknown), $"is not known. Known are {string.Join(", ", s_members)}.");
        if (root.Value(utf8, "version") is { } version && !(version.ValueKind == JsonValueKind.String && version.ValueEquals("1.0"u8)))
            throw JsonFields.Invalid(source, "version", $"is {JsonFields.Quote(version)}; known is \"1.0\".");

        Range modelRange = root.Required("model");
        var model = new ModelReader(new JsonSlices(utf8, modelRange, source, "model"), source);
        Normalizer? normalizer = root.Value(utf8, "normalizer") is { } normalizerValue ? NormalizerReader.Read(new JsonFields(source, "normalizer", normalizerValue)) : null;
        model.ReadTokens(utf8);
        List<AddedToken> added = AddedTokensReader.Read(root.Value(utf8, "added_tokens"), source, model.Tokens, model.TokenCount);
        ILookup<bool, AddedToken> has = added.ToLookup(token => token.Id < embeddings || model.Tokens.ContainsKey(token.Text));
        added = [.. has[true]];
        Vocabulary vocabulary = VocabularyOf(model, added);
        var preTokenizers = new List<PreTokenizer>();
        if (root.Value(utf8, "pre_tokenizer") is { } preTokenizer)
            PreTokenizerReader.Read(new JsonFields(source, "pre_tokenizer", preTokenizer), preTokenizers);
        // Byte pair encoding of bytes reads them from the text itself.
        bool bytes = model.TakesBytes && preTokenizers.Count > 0 && preTokenizers[^1] is ByteAlphabetPreTokenizer && preTokenizers.Count(p => p is ByteAlphabetPreTokenizer) == 1;
        if (bytes)
            preTokenizers.RemoveAt(preTokenizers.Count - 1);
        (int[] beginning, int[] end) = PostProcessorReader.Read(root.Value(utf8, "post_processor"), source, vocabulary);
        TokenDecoder decoder = DecoderReader.Read(root.Value(utf8, "decoder"), source, vocabulary);
        return new Tokenizer(vocabulary, [.. added.Select(token => Normalized(token, normalizer))],
            new Pipeline(normalizer, [.. preTokenizers], model.ReadModel(utf8, vocabulary, bytes)), decoder, beginning, end)
        { WithoutEmbedding = [.. has[false].Select(token => token.Text)] };
    }

    private static Vocabulary VocabularyOf(ModelReader model, List<AddedToken> added)
    {
        int count = Math.Max(model.Tokens.Count == 0 ? 0 : model.Tokens.Values.Max() + 1, added.Count == 0 ? 0 : added.Max(token => token.Id) + 1);
        var texts = new string?[count];
        foreach ((string text, int id) in model.Tokens)
        {
            if (texts[id] is { } other)
                throw model.Error("vocab", $"gives the id {id} to both {JsonFields.Quote(other)} and {JsonFields.Quote(text)}.");
            texts[id] = text;
        }
        var kinds = new TokenKind[count];
        foreach (AddedToken token in added)
        {
            texts[token.Id] = token.Text;
            kinds[token.Id] = token.Special ? TokenKind.Special : TokenKind.Added;
        }
        return new Vocabulary(texts, kinds, model.Tokens);
    }

    private static AddedToken Normalized(AddedToken token, Normalizer? normalizer) => normalizer is null || !token.Normalized ? token
        : token with { Text = normalizer.Normalize(new AlignedText(token.Text.AsMemory(), 0)).Text.ToString() };

    private static string Reason(JsonException e)
    {
        int end = e.Message.IndexOf(" LineNumber:", StringComparison.Ordinal);
        return (end < 0 ? e.Message : e.Message[..end]).Shown(300);
    }
}
