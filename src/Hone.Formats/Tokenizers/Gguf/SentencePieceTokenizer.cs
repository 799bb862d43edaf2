using Hone.Formats.Gguf;

namespace Hone.Formats.Tokenizers;

/// <summary>
/// The GGUF tokenizer <c>llama</c>: SentencePiece's byte pair encoding, which knows no merges but scores. Two neighbours merge when their text is a
/// token, the highest score first. Spaces are <c>▁</c>; a character that is no token becomes the tokens of its bytes.
/// </summary>
internal static class SentencePieceTokenizer
{
    private const string Space = "▁";
    private const int LongestToken = 1_024;

    /// <summary>Of phi 3's added tokens those that leave the white space behind them in the text.</summary>
    private static readonly string[] s_phiLeaving = ["<unk>", "<s>", "<|endoftext|>"];

    public static Tokenizer Read(GgufFile file)
    {
        GgufMetadata metadata = file.Metadata;
        IReadOnlyList<string> tokens = metadata.RequiredStrings(GgufTokenizer.Prefix + "tokens");
        int[] types = metadata.Int32s(GgufTokenizer.Prefix + "token_type") ?? throw GgufTokenizer.Invalid(file, "token_type", "is missing.");
        float[] scores = metadata.Singles(GgufTokenizer.Prefix + "scores") ?? throw GgufTokenizer.Invalid(file, "scores", "is missing.");
        if (types.Length != tokens.Count)
            throw GgufTokenizer.Invalid(file, "token_type", $"has {types.Length} values for {tokens.Count} tokens.");
        if (scores.Length != tokens.Count)
            throw GgufTokenizer.Invalid(file, "scores", $"has {scores.Length} values for {tokens.Count} tokens.");
        int worst = Array.FindIndex(scores, float.IsNaN);
        if (worst >= 0)
            throw GgufTokenizer.Invalid(file, "scores", $"is not a number for the token {worst}.");

        if (tokens.FirstOrDefault(text => text.Length > LongestToken) is { } tooLong)
            throw GgufTokenizer.Invalid(file, "tokens", $"has a text of {tooLong.Length} characters; at most {LongestToken} are supported.");

        var kinds = new TokenKind[tokens.Count];
        for (int id = 0; id < kinds.Length; id++)
            kinds[id] = (GgufTokenType)types[id] switch { GgufTokenType.Control or GgufTokenType.Unknown => TokenKind.Special, GgufTokenType.UserDefined => TokenKind.Added, _ => TokenKind.Normal };
        var vocabulary = new Vocabulary(tokens, kinds);
        HashSet<ulong> joined = [];
        MergeTable merges = MergesOf(vocabulary, tokens, types, scores, joined);
        var model = new BytePairModel(vocabulary, merges, new CharacterSymbols(vocabulary, joined, byteFallback: true, Unknown(file, tokens.Count), fuseUnknown: true), ignoreMerges: false);

        bool prefix = metadata.Bool(GgufTokenizer.Prefix + "add_space_prefix") ?? true;
        Normalizer spaces = new ReplaceNormalizer(new LiteralPattern(" "), Space);
        Normalizer normalizer = prefix ? new SequenceNormalizer([new PrependNormalizer(Space), spaces]) : spaces;
        var unescape = new ReplaceNormalizer(new LiteralPattern(Space), " ");
        var decoder = new DecoderChain(vocabulary, whole =>
        {
            List<DecoderStep> steps = [new ReplaceStep(unescape, fused: false), new ByteFallbackStep(whole), new FuseStep()];
            if (prefix)
                steps.Add(new StripStartStep(" ", 1));
            return steps;
        });
        return new Tokenizer(vocabulary, AddedOf(vocabulary, metadata), new Pipeline(normalizer, [], model), decoder,
            GgufTokenizer.ReadAdded(file, "bos", true, tokens.Count), GgufTokenizer.ReadAdded(file, "eos", false, tokens.Count));
    }

    /// <summary>No key says that phi 3's tokens take the white space behind them, as its <c>tokenizer.json</c> has it: its architecture does, or the name, by which llama.cpp knows it.</summary>
    private static AddedToken[] AddedOf(Vocabulary vocabulary, GgufMetadata metadata)
    {
        AddedToken[] added = GgufTokenizer.AddedOf(vocabulary);
        string name = metadata.String("general.name") ?? "";
        return metadata.String("general.architecture") == "phi3" || name.Contains("phi-3", StringComparison.OrdinalIgnoreCase) || name.Contains("phi3", StringComparison.OrdinalIgnoreCase)
            ? Array.ConvertAll(added, token => token with { RightStrip = !s_phiLeaving.Contains(token.Text) })
            : added;
    }

    private static int? Unknown(GgufFile file, int count) => file.Metadata.Int32(GgufTokenizer.Prefix + "unknown_token_id") switch
    {
        null => null,
        int id when id >= 0 && id < count => id,
        int id => throw GgufTokenizer.Invalid(file, "unknown_token_id", $"is {id}, but the tokenizer has {count} tokens."),
    };

    /// <summary>Every way to cut a token into two others, ranked by the token's score; of equal scores the lower id goes first.</summary>
    private static MergeTable MergesOf(Vocabulary vocabulary, IReadOnlyList<string> tokens, int[] types, float[] scores, HashSet<ulong> joined)
    {
        int[] order = [.. Enumerable.Range(0, tokens.Count).Where(id => types[id] == (int)GgufTokenType.Normal).OrderByDescending(id => scores[id])];
        List<(int Left, int Right, Merge Merge)> merges = [];
        for (int rank = 0; rank < order.Length; rank++)
        {
            ReadOnlySpan<char> text = tokens[order[rank]];
            for (int at = 1; at < text.Length; at++)
            {
                if (!vocabulary.TryGetModelId(text[..at], out int left) || !vocabulary.TryGetModelId(text[at..], out int right))
                    continue;
                merges.Add((left, right, new Merge(rank, order[rank])));
                joined.Add(CharacterSymbols.PairOf(text[..at], text[at..]));
            }
        }
        var table = new MergeTable(merges.Count);
        foreach ((int left, int right, Merge merge) in merges)
            table.Add(left, right, merge);
        return table;
    }
}
