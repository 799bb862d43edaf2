namespace Hone.Formats.Models;

/// <summary>A tensor that a model must have: Hugging Face's name, GGUF's, and the shape that the config demands.</summary>
/// <param name="PermutedHeads">Over 0: GGUF holds the rows in the order of neighbouring rotary pairs, for so many heads.</param>
internal sealed record ModelTensor(string Name, string GgufName, long[] Shape, bool Linear = false, int PermutedHeads = 0);

/// <summary>The tensors of a llama model, in the order of a forward pass.</summary>
internal static class LlamaTensors
{
    public static IEnumerable<ModelTensor> Of(ModelConfig config)
    {
        long hidden = config.HiddenSize, intermediate = config.IntermediateSize, vocabulary = config.VocabularySize;
        long queries = (long)config.Heads * config.HeadDim;
        long keys = (long)config.KeyValueHeads * config.HeadDim;

        yield return new("model.embed_tokens.weight", "token_embd.weight", [vocabulary, hidden]);
        for (int i = 0; i < config.Layers; i++)
        {
            string layer = $"model.layers.{i}.";
            string block = $"blk.{i}.";
            yield return new(layer + "input_layernorm.weight", block + "attn_norm.weight", [hidden]);
            yield return new(layer + "self_attn.q_proj.weight", block + "attn_q.weight", [queries, hidden], Linear: true, PermutedHeads: config.Heads);
            yield return new(layer + "self_attn.k_proj.weight", block + "attn_k.weight", [keys, hidden], Linear: true, PermutedHeads: config.KeyValueHeads);
            yield return new(layer + "self_attn.v_proj.weight", block + "attn_v.weight", [keys, hidden], Linear: true);
            yield return new(layer + "self_attn.o_proj.weight", block + "attn_output.weight", [hidden, queries], Linear: true);
            yield return new(layer + "post_attention_layernorm.weight", block + "ffn_norm.weight", [hidden]);
            yield return new(layer + "mlp.gate_proj.weight", block + "ffn_gate.weight", [intermediate, hidden], Linear: true);
            yield return new(layer + "mlp.up_proj.weight", block + "ffn_up.weight", [intermediate, hidden], Linear: true);
            yield return new(layer + "mlp.down_proj.weight", block + "ffn_down.weight", [hidden, intermediate], Linear: true);
        }
        yield return new("model.norm.weight", "output_norm.weight", [hidden]);
        if (!config.TiedEmbeddings)
            yield return new("lm_head.weight", "output.weight", [vocabulary, hidden]);
    }
}
