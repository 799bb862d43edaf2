using Hone.Formats.Gguf;

namespace Hone.Formats.Models;

/// <summary>Reads a <see cref="ModelConfig"/> from GGUF metadata, and refuses by name whatever would change the model's numbers and is not supported.</summary>
internal static class GgufModelConfig
{
    public static ModelConfig Read(GgufFile file)
    {
        GgufMetadata metadata = file.Metadata;
        string architecture = metadata.RequiredString("general.architecture");
        if (architecture != "llama")
            throw Unsupported(file, $"the architecture '{architecture}'", "Models of the architecture 'llama' can be used.");

        string Key(string name) => $"{architecture}.{name}";
        if (metadata.Int32(Key("expert_count")) is > 0)
            throw Unsupported(file, "a mixture of experts", "Use a dense model.");
        if (metadata.String(Key("rope.scaling.type")) is { } scaling and not "none")
            throw Unsupported(file, $"rotary scaling '{scaling}' ({Key("rope.scaling.type")})", "Use a model without it.");
        if (file.Find("rope_freqs.weight") is not null)
            throw Unsupported(file, "rotary scaling by a table (the tensor 'rope_freqs.weight')", "Use a model without it.");

        int heads = Positive(file, Key("attention.head_count"));
        int hidden = Positive(file, Key("embedding_length"));
        if (metadata.Contains(Key("attention.head_count_kv")))
            _ = Positive(file, Key("attention.head_count_kv"));
        int keyValueHeads = metadata.Int32(Key("attention.head_count_kv")) ?? heads;
        if (heads % keyValueHeads != 0)
            throw Wrong(file, $"{heads} heads are no multiple of {keyValueHeads} key and value heads");
        int headDim = metadata.Int32(Key("attention.key_length")) ?? (hidden % heads == 0 ? hidden / heads : throw Wrong(file, $"{heads} heads do not divide the hidden size {hidden}"));
        if (headDim <= 0 || headDim % 2 != 0)
            throw Wrong(file, $"a head has {headDim} dimensions; an even number is needed");
        if (metadata.Int32(Key("attention.value_length")) is { } valueDim && valueDim != headDim)
            throw Unsupported(file, $"values of {valueDim} dimensions beside keys of {headDim}", "Use another model.");
        if (metadata.Int32(Key("rope.dimension_count")) is { } rotary && rotary != headDim)
            throw Unsupported(file, $"rotary embeddings on {rotary} of {headDim} dimensions", "Use another model.");

        if ((long)heads * headDim > int.MaxValue)
            throw Wrong(file, $"{heads} heads of {headDim} dimensions cannot be right");
        int layers = Positive(file, Key("block_count"));
        if (layers > file.Tensors.Count)
            throw Wrong(file, $"the metadata key '{Key("block_count")}' is {layers}, but the file has {file.Tensors.Count} tensors");

        GgufTensor embedding = file.Find("token_embd.weight") ?? throw Wrong(file, "the tensor 'token_embd.weight' is missing");
        if (embedding.Shape.Length != 2 || embedding.Shape[0] is <= 0 or > int.MaxValue)
            throw Wrong(file, $"the tensor 'token_embd.weight' has the shape [{string.Join(", ", embedding.Shape)}]; wanted are [vocabulary, hidden size]");
        return new ModelConfig
        {
            Architecture = architecture,
            Layers = layers,
            HiddenSize = hidden,
            Heads = heads,
            KeyValueHeads = keyValueHeads,
            HeadDim = headDim,
            IntermediateSize = Positive(file, Key("feed_forward_length")),
            VocabularySize = (int)embedding.Shape[0],
            RopeTheta = Finite(file, Key("rope.freq_base"), metadata.Number(Key("rope.freq_base")) ?? 10_000),
            NormEpsilon = Finite(file, Key("attention.layer_norm_rms_epsilon"), metadata.RequiredNumber(Key("attention.layer_norm_rms_epsilon"))),
            ContextLength = Positive(file, Key("context_length")),
            TiedEmbeddings = file.Find("output.weight") is null,
        };
    }

    private static int Positive(GgufFile file, string key)
    {
        int value = file.Metadata.RequiredInt32(key);
        return value > 0 ? value : throw Wrong(file, $"the metadata key '{key}' is {value}; a number above 0 is needed");
    }

    private static double Finite(GgufFile file, string key, double value) =>
        double.IsFinite(value) && value > 0 ? value : throw Wrong(file, $"the metadata key '{key}' is {value}; a finite number above 0 is needed");

    private static InvalidFileException Unsupported(GgufFile file, string what, string hint) => new($"{file.Path}: the model uses {what}, which is not supported. {hint}");

    private static InvalidFileException Wrong(GgufFile file, string what) => new($"{file.Path}: {what}. Convert the model again with a current converter.");
}
