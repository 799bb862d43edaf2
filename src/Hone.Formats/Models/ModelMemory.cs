namespace Hone.Formats.Models;

/// <summary>What a process holds at its peak, in bytes.</summary>
public sealed record MemoryUse
{
    /// <summary>The base model's weights as they lie in memory.</summary>
    public required long Weights { get; init; }

    /// <summary>The pages of the model's file that were read; they go first when memory is short.</summary>
    public required long File { get; init; }

    /// <summary>An adapter's weights; while training with their gradients and AdamW's two moments.</summary>
    public required long Adapter { get; init; }

    /// <summary>What grows with the tokens and stays: kept for the backward pass, or keys and values of the answers under way.</summary>
    public required long Tokens { get; init; }

    /// <summary>What grows with the tokens and lives within a layer, and the logits.</summary>
    public required long Work { get; init; }

    /// <summary>The runtime and the tensor library by themselves.</summary>
    public long Runtime { get; init; } = ModelMemory.Runtime;

    public long Total => Weights + File + Adapter + Tokens + Work + Runtime;
}

/// <summary>The tokens that one training step computes.</summary>
/// <param name="Tokens">All, where what rows share counts once.</param>
/// <param name="LongestRow">Of one row.</param>
/// <param name="Labels">Tokens that are learnt.</param>
public sealed record StepSize(int Tokens, int LongestRow, int Labels);

/// <summary>
/// Memory from a model's shapes. With D the hidden size, F the feed-forward width, H query heads, K key-value heads, d a head's width, V the vocabulary, L layers and N tokens a step, in numbers of 4 bytes:
/// <list type="bullet">
/// <item>weights: all parameters once (a tied output matrix is the embedding); or, as stored, the largest matrix, widened;</item>
/// <item>adapter: Σ rank · (in + out) over its modules, four times while training;</item>
/// <item>kept for the backward pass: N · L · (2·D + H·d + (H + 2K)·d + 2·F + Σrank), 2·D more with norms behind the block's halves, no 2·F with experts, Σout more with DoRA,
/// and H · N · row of attention's probabilities a layer where these are few enough to be kept;</item>
/// <item>within a layer's backward pass: N · (3·F + 4·D + 2·(H + 2K)·d), and the logits of up to 256 labels, V each;</item>
/// <item>answering: L · 2·K·d for each token in the cache, whose room is whole pages, and what an engine keeps of earlier ones.</item>
/// </list>
/// </summary>
public static class ModelMemory
{
    public const long Runtime = 300L << 20;

    /// <summary>Keys and values of ended answers that an engine keeps for prompts that begin alike.</summary>
    public const long KeptBeginnings = 256L << 20;

    /// <summary>Tokens of a page of the cache.</summary>
    public const int PageTokens = 32;

    private const int Number = sizeof(float);
    private const int ChunkLabels = 256;
    private const int AttentionBlock = 256;
    private const long KeptProbabilities = 8 << 20;
    private const int CopiesInTraining = 4;

    public static long TrainableParameters(IEnumerable<LinearModule> modules, int rank) => modules.Sum(m => (long)rank * (m.In + m.Out));

    /// <param name="storedBytes">Of the model's files, see <see cref="ModelFiles.Stamp"/>.</param>
    /// <param name="adapted">The modules that the adapter stands on.</param>
    /// <param name="asStored">The weights stay as the file stores them.</param>
    public static MemoryUse OfTraining(ModelConfig config, long storedBytes, IReadOnlyCollection<LinearModule> adapted, int rank, bool dora, StepSize step, bool asStored = false)
    {
        long heads = (long)config.Heads * config.HeadDim, qkv = heads + 2L * config.KeyValueHeads * config.HeadDim, hidden = config.HiddenSize;
        long normsBehind = config.BlockNorms == BlockNorms.Before ? 0 : 2 * hidden;
        long kept = 0, widest = 0;
        for (int layer = 0; layer < config.Layers; layer++)
        {
            bool experts = config.HasExperts(layer);
            kept += 2 * hidden + heads + qkv + normsBehind + (experts ? 0 : 2L * config.IntermediateSize);
            widest = Math.Max(widest, experts ? (long)config.Experts!.IntermediateSize * config.Experts.PerToken : config.IntermediateSize);
        }
        kept += adapted.Sum(m => rank + (dora ? (long)m.Out : 0));
        long row = step.LongestRow, probabilities = config.Heads * (long)step.Tokens * (row <= AttentionBlock ? row : row / 2 + AttentionBlock / 2);
        return new MemoryUse
        {
            Weights = Weights(config, asStored),
            File = storedBytes,
            Adapter = Number * CopiesInTraining * TrainableParameters(adapted, rank),
            Tokens = Number * (step.Tokens * kept + (probabilities <= KeptProbabilities ? config.Layers * probabilities : 0)),
            Work = Number * (step.Tokens * (3 * widest + 4 * hidden + 2 * qkv) + Math.Min(ChunkLabels, step.Labels) * (long)config.VocabularySize * (config.LogitSoftcap is null ? 1 : 2)),
        };
    }

    /// <param name="answers">At the same time, each of <paramref name="tokens"/> with its prompt.</param>
    /// <param name="adapted">Of the adapter that answers; none for the base alone.</param>
    public static MemoryUse OfServing(ModelConfig config, long storedBytes, IReadOnlyCollection<LinearModule> adapted, int rank, int answers, int tokens, bool asStored = false)
    {
        long room = (tokens + PageTokens - 1L) / PageTokens * PageTokens;
        long qkv = (config.Heads + 2L * config.KeyValueHeads) * config.HeadDim;
        return new MemoryUse
        {
            Weights = Weights(config, asStored),
            File = storedBytes,
            Adapter = Number * TrainableParameters(adapted, rank),
            Tokens = KeptBeginnings + Number * answers * room * config.Layers * 2L * config.KeyValueHeads * config.HeadDim,
            Work = Number * (tokens * (3L * config.IntermediateSize + 4L * config.HiddenSize + qkv) + answers * (long)config.VocabularySize),
        };
    }

    private static long Weights(ModelConfig config, bool asStored)
    {
        long all = 0, largest = 0;
        foreach (ModelTensor tensor in ModelTensors.Of(config))
        {
            long elements = tensor.Shape.Aggregate(1L, (a, b) => a * b);
            all += elements;
            largest = Math.Max(largest, elements);
        }
        return Number * (asStored ? largest : all);
    }
}
