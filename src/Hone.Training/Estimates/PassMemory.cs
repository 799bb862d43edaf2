using Hone.Formats.Models;
using Hone.Training.Lora;
using Hone.Training.Model;
using Hone.Training.Training;

namespace Hone.Training.Estimates;

/// <summary>What one pass forward and back holds at most, from its shapes: what every layer keeps, and what the widest moment adds.</summary>
internal static class PassMemory
{
    /// <summary>Code compiled and the native library's own buffers, which the first pass brings.</summary>
    public const long FirstPassBytes = 64L << 20;

    public static long Bytes(PackedBatch batch, Decoder decoder, LoraAdapter adapter)
    {
        ModelConfig config = decoder.Config;
        AttentionShape shape = decoder.AttentionShape;
        var attention = new PrefixTreeAttention(batch, shape);
        long tokens = batch.Tokens.Length, labels = batch.Labels.Length;
        long width = config.HiddenSize, inner = config.IntermediateSize;
        long lows = decoder.Projections.Sum(p => adapter.Group(p.Name) is { } group ? group.A.shape[0] + (group.UsesDora ? p.Modules.Sum(m => (long)m.Out) : 0) : 0);
        long aLayer = 2 * width + shape.Width + shape.QueryWidth + (config.BlockNorms == BlockNorms.Before ? 0 : 2 * width); // as SavedLayer keeps
        long gateUps = Enumerable.Range(0, config.Layers).Count(l => !config.HasExperts(l)) * 2 * inner;
        long kept = tokens * (config.Layers * aLayer + gateUps + lows) + config.Layers * attention.KeptNumbers;
        long layerBack = tokens * (3 * inner + 2 * shape.Width + shape.QueryWidth + 5 * width) + attention.PartialNumbers;
        long head = Math.Min(LabelCrossEntropy.ChunkLabels, labels) * config.VocabularySize + 4 * labels * width;
        return sizeof(float) * (kept + Math.Max(layerBack, head));
    }
}
