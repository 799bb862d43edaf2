namespace Hone.Formats.Models;

/// <summary>A tensor that a model must have: Hugging Face's name, GGUF's, and the shape that the config demands.</summary>
/// <param name="GgufName">Null where no GGUF that can be read has it.</param>
/// <param name="PermutedHeads">Over 0: GGUF of llama's kin holds the rows in the order of neighbouring rotary pairs, for so many heads.</param>
/// <param name="Norm">A norm's weight.</param>
internal sealed record ModelTensor(string Name, string? GgufName, long[] Shape, bool Linear = false, int PermutedHeads = 0, bool Norm = false)
{
    /// <summary>A layer's matrix: one that can be adapted, or an expert's.</summary>
    public bool IsProjection => Linear || Name.Contains(".experts.", StringComparison.Ordinal);
}

/// <summary>The tensors of a model, in the order of a forward pass.</summary>
internal static class ModelTensors
{
    private const string Head = "lm_head.weight";

    public static string HeadName => Head;

    /// <summary>The name that llama.cpp has for a family; null where it is not known to read it as Hone does.</summary>
    public static string? GgufArchitecture(string family) => family switch
    {
        "llama" or "mistral" => "llama",
        "qwen2" or "qwen3" or "gemma" or "gemma2" or "phi3" or "smollm3" or "olmo2" or "granite" => family,
        "gemma3_text" => "gemma3",
        _ => null,
    };

    public static IEnumerable<ModelTensor> Of(ModelConfig config)
    {
        long hidden = config.HiddenSize;
        yield return new("model.embed_tokens.weight", "token_embd.weight", [config.VocabularySize, hidden]);
        for (int i = 0; i < config.Layers; i++)
        {
            foreach (ModelTensor tensor in Layer(config, i))
                yield return tensor;
        }
        yield return new("model.norm.weight", "output_norm.weight", [hidden], Norm: true);
        if (!config.TiedEmbeddings)
            yield return new(Head, "output.weight", [config.VocabularySize, hidden]);
    }

    private static IEnumerable<ModelTensor> Layer(ModelConfig config, int index)
    {
        long hidden = config.HiddenSize;
        string layer = $"model.layers.{index}.";
        string block = $"blk.{index}.";
        bool before = config.BlockNorms != BlockNorms.After, after = config.BlockNorms != BlockNorms.Before;

        if (before)
            yield return Norm("input_layernorm", "attn_norm", hidden);
        foreach (ModelTensor tensor in Attention(config, layer + "self_attn.", block))
            yield return tensor;
        if (after)
            yield return Norm("post_attention_layernorm", "post_attention_norm", hidden);
        if (before)
            yield return Norm(after ? "pre_feedforward_layernorm" : "post_attention_layernorm", "ffn_norm", hidden);
        foreach (ModelTensor tensor in config.HasExperts(index) ? Experts(config.Experts!, hidden, layer) : FeedForward(config, layer + "mlp.", block))
            yield return tensor;
        if (after)
            yield return Norm("post_feedforward_layernorm", "post_ffw_norm", hidden);

        ModelTensor Norm(string name, string ggufName, long width) => new($"{layer}{name}.weight", $"{block}{ggufName}.weight", [width], Norm: true);
    }

    private static IEnumerable<ModelTensor> Attention(ModelConfig config, string attention, string block)
    {
        long hidden = config.HiddenSize;
        long queries = (long)config.Heads * config.HeadDim, keys = (long)config.KeyValueHeads * config.HeadDim;
        bool permuted = GgufArchitecture(config.Architecture) is "llama" or "smollm3" or "granite";
        bool bias = config.QueryKeyValueBias;
        IEnumerable<ModelTensor> projections = config.FusedProjections
            ? Linear(attention + "qkv_proj", block + "attn_qkv", queries + 2 * keys, hidden, bias)
            : Linear(attention + "q_proj", block + "attn_q", queries, hidden, bias, permuted ? config.Heads : 0)
                .Concat(Linear(attention + "k_proj", block + "attn_k", keys, hidden, bias, permuted ? config.KeyValueHeads : 0))
                .Concat(Linear(attention + "v_proj", block + "attn_v", keys, hidden, bias));
        foreach (ModelTensor tensor in projections)
            yield return tensor;
        if (config.QueryKeyNorm != QueryKeyNorm.None)
        {
            bool head = config.QueryKeyNorm == QueryKeyNorm.Head;
            yield return new(attention + "q_norm.weight", block + "attn_q_norm.weight", [head ? config.HeadDim : queries], Norm: true);
            yield return new(attention + "k_norm.weight", block + "attn_k_norm.weight", [head ? config.HeadDim : keys], Norm: true);
        }
        foreach (ModelTensor tensor in Linear(attention + "o_proj", block + "attn_output", hidden, queries, config.OutputBias))
            yield return tensor;
    }

    private static IEnumerable<ModelTensor> FeedForward(ModelConfig config, string mlp, string block)
    {
        long hidden = config.HiddenSize, intermediate = config.IntermediateSize;
        bool bias = config.MlpBias;
        IEnumerable<ModelTensor> first = config.FusedProjections
            ? Linear(mlp + "gate_up_proj", block + "ffn_up", 2 * intermediate, hidden, bias)
            : Linear(mlp + "gate_proj", block + "ffn_gate", intermediate, hidden, bias).Concat(Linear(mlp + "up_proj", block + "ffn_up", intermediate, hidden, bias));
        return first.Concat(Linear(mlp + "down_proj", block + "ffn_down", hidden, intermediate, bias));
    }

    private static IEnumerable<ModelTensor> Linear(string name, string ggufName, long rows, long columns, bool bias, int permutedHeads = 0)
    {
        yield return new(name + ".weight", ggufName + ".weight", [rows, columns], Linear: true, permutedHeads);
        if (bias)
            yield return new(name + ".bias", ggufName + ".bias", [rows], PermutedHeads: permutedHeads);
    }

    /// <summary>Experts and their router are frozen: no adapter stands on them.</summary>
    private static IEnumerable<ModelTensor> Experts(ExpertConfig experts, long hidden, string layer)
    {
        string module = layer + experts.Module;
        yield return new($"{module}.gate.weight", null, [experts.Count, hidden]);
        for (int e = 0; e < experts.Count; e++)
        {
            string expert = $"{module}.experts.{e}.";
            yield return new($"{expert}{experts.Names[0]}.weight", null, [experts.IntermediateSize, hidden]);
            yield return new($"{expert}{experts.Names[1]}.weight", null, [experts.IntermediateSize, hidden]);
            yield return new($"{expert}{experts.Names[2]}.weight", null, [hidden, experts.IntermediateSize]);
        }
    }
}
