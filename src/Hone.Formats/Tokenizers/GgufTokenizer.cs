using Hone.Formats.Gguf;

namespace Hone.Formats.Tokenizers;

/// <summary>Makes a tokenizer of the keys <c>tokenizer.ggml.*</c> (github.com/ggml-org/ggml, docs/gguf.md).</summary>
internal static class GgufTokenizer
{
    private const string Prefix = "tokenizer.ggml.";
    private const int Control = 3;
    private const int UserDefined = 4;

    public static Tokenizer Read(GgufFile file)
    {
        GgufMetadata metadata = file.Metadata;
        string model = metadata.RequiredString(Prefix + "model");
        if (model != "gpt2")
            throw Invalid(file, "model", $"is \"{model}\". Supported is \"gpt2\" (byte-level BPE).");
        // Files that say nothing of a beginning token mean what the family does.
        (PreTokenizer[] preTokenizers, bool ignoreMerges, bool addBeginning) = metadata.RequiredString(Prefix + "pre") switch
        {
            "smollm" => (new PreTokenizer[] { PreTokenizers.IndividualDigits, PreTokenizers.Gpt2 }, false, false),
            "gpt-2" => ([PreTokenizers.Gpt2], false, false),
            "llama-bpe" => ([PreTokenizers.Llama3], true, true),
            string other => throw Invalid(file, "pre", $"is \"{other}\". Supported are \"smollm\", \"gpt-2\" and \"llama-bpe\"."),
        };
        IReadOnlyList<string> tokens = metadata.RequiredStrings(Prefix + "tokens");
        var vocabulary = new Vocabulary(tokens, ReadKinds(file, tokens.Count));
        var merges = MergeTable.Parse(metadata.RequiredStrings(Prefix + "merges"), vocabulary, $"{file.Path}: {Prefix}merges");
        return new Tokenizer(vocabulary, preTokenizers, new BytePairModel(vocabulary, merges, ignoreMerges),
            ReadAdded(file, "bos", addBeginning, tokens.Count), ReadAdded(file, "eos", false, tokens.Count));
    }

    private static TokenKind[] ReadKinds(GgufFile file, int count)
    {
        var kinds = new TokenKind[count];
        if (file.Metadata.Int32s(Prefix + "token_type") is not { } types)
            return kinds;
        if (types.Length != count)
            throw Invalid(file, "token_type", $"has {types.Length} values for {count} tokens.");
        for (int id = 0; id < count; id++)
            kinds[id] = types[id] switch { Control => TokenKind.Special, UserDefined => TokenKind.Added, _ => TokenKind.Normal };
        return kinds;
    }

    /// <summary>The token before or after every text: <c>bos_token_id</c> where <c>add_bos_token</c> is true, the same for <c>eos</c>.</summary>
    private static int[] ReadAdded(GgufFile file, string name, bool otherwise, int count)
    {
        if (!(file.Metadata.Bool($"{Prefix}add_{name}_token") ?? otherwise))
            return [];
        int? id = file.Metadata.Int32($"{Prefix}{name}_token_id");
        return id is >= 0 && id < count ? [id.Value]
            : throw Invalid(file, $"{name}_token_id", $"is {id?.ToString() ?? "missing"}, but every text wants one of the {count} tokens there (\"{Prefix}add_{name}_token\").");
    }

    private static InvalidFileException Invalid(GgufFile file, string key, string what) => new($"{file.Path}: the metadata key '{Prefix}{key}' {what}");
}
