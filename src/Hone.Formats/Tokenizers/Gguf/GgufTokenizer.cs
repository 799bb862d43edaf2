using Hone.Formats.Gguf;

namespace Hone.Formats.Tokenizers;

/// <summary>Makes a tokenizer of the keys <c>tokenizer.ggml.*</c> (github.com/ggml-org/ggml, docs/gguf.md).</summary>
internal static class GgufTokenizer
{
    public const string Prefix = "tokenizer.ggml.";

    public static Tokenizer Read(GgufFile file)
    {
        string model = file.Metadata.RequiredString(Prefix + "model");
        return model switch
        {
            "gpt2" => ByteLevel(file),
            "llama" => SentencePieceTokenizer.Read(file),
            _ => throw Invalid(file, "model", $"is \"{model}\". Supported are \"gpt2\" (byte-level BPE) and \"llama\" (SentencePiece BPE)."),
        };
    }

    /// <summary>The token before or after every text: <c>bos_token_id</c> where <c>add_bos_token</c> is true, the same for <c>eos</c>.</summary>
    public static int[] ReadAdded(GgufFile file, string name, bool otherwise, int count)
    {
        if (!(file.Metadata.Bool($"{Prefix}add_{name}_token") ?? otherwise))
            return [];
        int? id = file.Metadata.Int32($"{Prefix}{name}_token_id");
        return id is >= 0 && id < count ? [id.Value]
            : throw Invalid(file, $"{name}_token_id", $"is {id?.ToString() ?? "missing"}, but every text wants one of the {count} tokens there (\"{Prefix}add_{name}_token\").");
    }

    public static AddedToken[] AddedOf(Vocabulary vocabulary) =>
        [.. Enumerable.Range(0, vocabulary.Count).Where(vocabulary.IsAdded).Select(id => new AddedToken(vocabulary.TextOf(id), id) { Special = vocabulary.IsSpecial(id) })];

    public static InvalidFileException Invalid(GgufFile file, string key, string what) => new($"{file.Path}: the metadata key '{Prefix}{key}' {what}");

    private static Tokenizer ByteLevel(GgufFile file)
    {
        GgufMetadata metadata = file.Metadata;
        string name = metadata.RequiredString(Prefix + "pre");
        if (GgufPreTokenizers.Find(name) is not { } pre)
            throw Invalid(file, "pre", $"is \"{name}\". Supported are {string.Join(", ", GgufPreTokenizers.Names.Select(n => $"\"{n}\""))}.");
        IReadOnlyList<string> tokens = metadata.RequiredStrings(Prefix + "tokens");
        var vocabulary = new Vocabulary(tokens, ReadKinds(file, tokens.Count));
        var merges = MergeTable.Parse(metadata.RequiredStrings(Prefix + "merges"), vocabulary, $"{file.Path}: {Prefix}merges");
        PreTokenizer[] preTokenizers = [.. pre.Patterns.Select(pattern => new SplitPreTokenizer(pattern, SplitBehavior.Isolated))];
        var model = new BytePairModel(vocabulary, merges, new ByteSymbols(vocabulary), pre.IgnoreMerges);
        return new Tokenizer(vocabulary, AddedOf(vocabulary), new Pipeline(pre.Composes ? new UnicodeNormalizer(UnicodeForm.Composed) : null, preTokenizers, model),
            new ByteLevelDecoder(vocabulary, addedAsText: true), ReadAdded(file, "bos", pre.AddsBeginning, tokens.Count), ReadAdded(file, "eos", false, tokens.Count));
    }

    private static TokenKind[] ReadKinds(GgufFile file, int count)
    {
        var kinds = new TokenKind[count];
        if (file.Metadata.Int32s(Prefix + "token_type") is not { } types)
            return kinds;
        if (types.Length != count)
            throw Invalid(file, "token_type", $"has {types.Length} values for {count} tokens.");
        for (int id = 0; id < count; id++)
            kinds[id] = (GgufTokenType)types[id] switch { GgufTokenType.Control => TokenKind.Special, GgufTokenType.UserDefined => TokenKind.Added, _ => TokenKind.Normal };
        return kinds;
    }
}

/// <summary>The values of <c>tokenizer.ggml.token_type</c>.</summary>
internal enum GgufTokenType { Undefined, Normal, Unknown, Control, UserDefined, Unused, Byte }
