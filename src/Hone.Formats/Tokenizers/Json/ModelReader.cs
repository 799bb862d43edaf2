using System.Text.Json;

namespace Hone.Formats.Tokenizers;

/// <summary>Reads <c>model</c>: BPE or Unigram.</summary>
internal sealed class ModelReader(JsonSlices members, string source)
{
    private static readonly string[] s_bpe = ["type", "dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk", "byte_fallback", "ignore_merges", "vocab", "merges"];
    private static readonly string[] s_unigram = ["type", "unk_id", "byte_fallback", "vocab"];

    private string _type = "";
    private JsonFields _fields = null!;
    private List<double> _scores = [];
    private string? _unknown;
    private bool _byteFallback;

    public Dictionary<string, int> Tokens { get; private set; } = [];

    /// <summary>How many tokens the model has, as the library counts them.</summary>
    public int TokenCount { get; private set; }

    /// <summary>Whether the model can read bytes from the text itself.</summary>
    public bool TakesBytes => _type == "BPE" && _unknown is null && !_byteFallback;

    public void ReadTokens(ReadOnlySpan<byte> utf8)
    {
        _type = members.Value(utf8, "type") switch
        {
            null => TypeOf(utf8), // old files do not say
            { ValueKind: JsonValueKind.String } value => value.GetString()!,
            { } value => throw Error("type", $"is {JsonFields.Quote(value)}; wanted is a text."),
        };
        if (_type is not ("BPE" or "Unigram"))
            throw Error("type", $"is {JsonFields.Quote(_type)}. Supported are \"BPE\" and \"Unigram\".");
        string[] known = _type == "BPE" ? s_bpe : s_unigram;
        if (members.Names.FirstOrDefault(name => !known.Contains(name, StringComparer.Ordinal)) is { } unknown)
            throw JsonFields.Invalid(source, members.PathOf(unknown), $"is not known. Known here are {string.Join(", ", known)}.");
        // What is short, as an object of its own.
        using var small = new MemoryStream();
        using (var writer = new Utf8JsonWriter(small))
        {
            writer.WriteStartObject();
            foreach (string name in members.Names.Where(name => name is not ("vocab" or "merges")))
            {
                writer.WritePropertyName(name);
                writer.WriteRawValue(utf8[members.Required(name)]);
            }
            writer.WriteEndObject();
        }
        _fields = new JsonFields(source, "model", JsonElement.Parse(small.GetBuffer().AsSpan(0, (int)small.Length)));
        _byteFallback = _fields.Flag("byte_fallback", false);
        if (_type == "BPE")
        {
            _unknown = _fields.OptionalText("unk_token");
            Tokens = VocabularyReader.ReadIds(utf8, members.Required("vocab"), source, "model.vocab");
            TokenCount = Tokens.Count;
            return;
        }
        (List<string> texts, _scores) = VocabularyReader.ReadScores(utf8, members.Required("vocab"), source, "model.vocab");
        TokenCount = texts.Count;
        for (int id = 0; id < texts.Count; id++)
        {
            if (!Tokens.TryAdd(texts[id], id))
                throw Error($"vocab[{id}]", $"({JsonFields.Quote(texts[id])}) is that of vocab[{Tokens[texts[id]]}] too.");
        }
    }

    public TokenModel ReadModel(ReadOnlySpan<byte> utf8, Vocabulary vocabulary, bool bytes)
    {
        if (_type == "Unigram")
        {
            int? unknownId = _fields.OptionalNumber("unk_id");
            if (unknownId is { } id && (uint)id >= (uint)TokenCount)
                throw Error("unk_id", $"is {id}, but the vocabulary has {TokenCount} tokens.");
            return new UnigramModel(vocabulary, Tokens, _scores, unknownId, _byteFallback, source);
        }
        if (_fields.Optional("dropout") is { } dropout && !(dropout.ValueKind == JsonValueKind.Number && dropout.TryGetDouble(out double rate) && rate == 0))
            throw Error("dropout", $"is {JsonFields.Quote(dropout)}: merges that are left out by chance are not supported. Set it to null.");
        foreach (string affix in new[] { "continuing_subword_prefix", "end_of_word_suffix" })
        {
            if (_fields.OptionalText(affix) is { Length: > 0 } text)
                throw Error(affix, $"is {JsonFields.Quote(text)}, which is not supported; null is.");
        }
        int? unknown = null;
        if (_unknown is not null)
            unknown = Tokens.TryGetValue(_unknown, out int id) ? id : throw Error("unk_token", $"is {JsonFields.Quote(_unknown)}, which the vocabulary does not have.");
        bool fuse = _fields.Flag("fuse_unk", false), ignoreMerges = _fields.Flag("ignore_merges", false);
        HashSet<ulong>? joined = bytes ? null : [];
        MergeTable merges = VocabularyReader.ReadMerges(utf8, members.Required("merges"), vocabulary, source, "model.merges", joined);
        SymbolReader symbols = bytes ? new ByteSymbols(vocabulary) : new CharacterSymbols(vocabulary, joined!, _byteFallback, unknown, fuse);
        return new BytePairModel(vocabulary, merges, symbols, ignoreMerges);
    }

    public InvalidFileException Error(string name, string what) => JsonFields.Invalid(source, $"model.{name}", what);

    private string TypeOf(ReadOnlySpan<byte> utf8) =>
        members.Find("merges") is not null ? "BPE"
        : members.Find("vocab") is { } vocab && utf8[vocab].StartsWith("["u8) ? "Unigram"
        : throw Error("type", "is missing.");
}
