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

/// <summary>What one pass of a training step computes.</summary>
/// <param name="Tokens">All, where what rows share counts once.</param>
/// <param name="Labels">Tokens that are learnt.</param>
/// <param name="Pairs">Of queries and the keys that they meet, for one head.</param>
/// <param name="Keys">Σ of the keys that each block of queries meets.</param>
public sealed record PassSize(int Tokens, int Labels, long Pairs, long Keys)
{
    /// <summary>Of rows as long as each other that share nothing.</summary>
    public static PassSize Of(int rows, int length, int labels)
    {
        long pairs = 0, keys = 0;
        for (int start = 0; start < length; start += ModelMemory.AttentionBlock)
        {
            int end = Math.Min(length, start + ModelMemory.AttentionBlock);
            pairs += (long)(end - start) * end;
            keys += end;
        }
        return new PassSize(rows * length, labels, rows * pairs, rows * keys);
    }
}

/// <summary>What an adapter trains.</summary>
/// <param name="Adapted">The modules with A and B.</param>
/// <param name="Whole">The matrices that it replaces.</param>
public sealed record AdapterSize(IReadOnlyCollection<LinearModule> Adapted, int Rank, bool Dora, IReadOnlyCollection<LinearModule> Whole)
{
    public long Parameters => Adapted.Sum(m => Rank * ((long)m.In + m.Out) + (Dora ? m.Out : 0)) + Whole.Sum(m => (long)m.In * m.Out);
}

/// <summary>
/// Memory from a model's shapes; <c>hone models check</c> and <c>hone estimate</c> both reckon with it. With D the hidden size, F the feed-forward width, H query heads, K key-value heads, d a head's
/// width, V the vocabulary, L layers and N tokens a pass, in numbers of 4 bytes:
/// <list type="bullet">
/// <item>weights: all parameters once (a tied output matrix is the embedding); or, as stored, a layer's widest projection, widened, and not even that where products widen what they pack;</item>
/// <item>adapter: its parameters, four times while training;</item>
/// <item>kept for the backward pass: N · (2·D + H·d + (H + 2K)·d + 2·F + Σrank) a layer, 2·D more with norms behind the block's halves, no 2·F with experts, Σout more with DoRA,
/// and H · pairs of attention's probabilities where these are few enough to be kept; the last layer's D + H·d + 2·F for the labelled tokens alone; N · D with activations that are
/// computed again, and one layer's;</item>
/// <item>within a layer's backward pass: N · (4·F + 7·D + H·d + (H + 2K)·d) and 2K·d for each key that a block meets; the last layer's 4·(F + D) for the labelled tokens alone, and
/// the logits of up to 240 labels, V each;</item>
/// <item>within a layer of a pass that computes losses alone: N · (3·F + 5·D + H·d + (H + 2K)·d);</item>
/// <item>answering: L · 2·K·d for each token in the cache, whose room is whole pages, and what an engine keeps of earlier ones.</item>
/// </list>
/// </summary>
public static class ModelMemory
{
    /// <summary>The runtime, the tensor library, the tokenizer, and the code that the first pass compiles.</summary>
    public const long Runtime = 224L << 20;

    /// <summary>Keys and values of ended answers that an engine keeps for prompts that begin alike.</summary>
    public const long KeptBeginnings = 256L << 20;

    /// <summary>Tokens of a page of the cache.</summary>
    public const int PageTokens = 32;

    /// <summary>Of all prompts in a pass of an engine.</summary>
    public const int PromptTokens = 256;

    /// <summary>Of a pass of a training; the rows of a larger step are computed in several, a longer row is a pass of its own.</summary>
    public const int PassTokens = 2048;

    /// <summary>Labels whose logits exist at once.</summary>
    public const int ChunkLabels = 240;

    /// <summary>Queries that meet their keys together.</summary>
    public const int AttentionBlock = 256;

    /// <summary>A layer's probabilities are kept for the backward pass where they are no more than these, else computed again.</summary>
    public const long KeptProbabilities = 1 << 20;

    private const int Number = sizeof(float);
    private const int CopiesInTraining = 4;

    public static long TrainableParameters(IReadOnlyCollection<LinearModule> modules, int rank) => new AdapterSize(modules, rank, false, []).Parameters;

    /// <param name="storedBytes">Of the model's files, see <see cref="ModelFiles.Stamp"/>.</param>
    /// <param name="pass">The largest one of a step.</param>
    /// <param name="evaluated">Tokens of the largest pass that computes losses alone.</param>
    /// <param name="hasParts"><see cref="BaseModel.HasParts"/></param>
    public static MemoryUse OfTraining(ModelConfig config, long storedBytes, AdapterSize adapter, PassSize pass, int evaluated, BasePrecision precision, bool recompute, bool hasParts)
    {
        (long kept, long work) = OfPass(config, adapter, pass, recompute);
        return new MemoryUse
        {
            Weights = precision.Form switch
            {
                WeightForm.Float32 => Weights(config),
                WeightForm.AsStored => WidenedProjection(config, hasParts && !adapter.Dora), // DoRA's norms read whole matrices
                _ => RoundedWeights(config, precision),
            },
            File = storedBytes,
            Adapter = Number * CopiesInTraining * adapter.Parameters,
            Tokens = Number * kept,
            Work = Number * Math.Max(work, evaluated * (3 * Widest(config) + 5L * config.HiddenSize + Heads(config) + Qkv(config)) - kept),
        };
    }

    /// <summary>In numbers: what the layers below the last one keep at the end of a step's forward pass, and the most that lives beside it.</summary>
    private static (long Kept, long Work) OfPass(ModelConfig config, AdapterSize adapter, PassSize pass, bool recompute)
    {
        long tokens = pass.Tokens, labelled = Math.Min(pass.Tokens, pass.Labels), hidden = config.HiddenSize, below = config.Layers - 1;
        long attention = hidden + Qkv(config), kept = 0;
        for (int layer = 0; layer < below; layer++)
            kept += tokens * (attention + BehindAttention(layer));
        long ofLast = tokens * attention + labelled * BehindAttention((int)below);
        kept += tokens * adapter.Adapted.Sum(m => adapter.Rank + (adapter.Dora ? (long)m.Out : 0));
        long probabilities = config.Heads * pass.Pairs;
        kept += probabilities <= KeptProbabilities ? config.Layers * probabilities : 0;

        long throughAttention = tokens * (3 * hidden + Heads(config) + Qkv(config)) + 2L * config.KeyValueHeads * config.HeadDim * pass.Keys, throughRest = 4 * (Widest(config) + hidden);
        int logits = (config.LogitSoftcap is null ? 1 : 2) + (adapter.Whole.Any(m => m.Name == Adapters.AdapterPlaces.Head) ? 1 : 0);
        long head = Math.Min(ChunkLabels, pass.Labels) * (long)config.VocabularySize * logits + 4 * pass.Labels * hidden;
        long last = ofLast + Math.Max(head, throughAttention + labelled * throughRest), others = below == 0 ? 0 : throughAttention + tokens * throughRest;
        return recompute && below > 0 ? (tokens * below * hidden, Math.Max(last, kept / below + others)) : (kept, Math.Max(last, others));

        long BehindAttention(int layer) => hidden + Heads(config) + (config.BlockNorms == BlockNorms.Before ? 0 : 2 * hidden) + (config.HasExperts(layer) ? 0 : 2L * config.IntermediateSize);
    }

    /// <summary>Of an engine, which holds the base as its file stores it.</summary>
    /// <param name="answers">At the same time, each of <paramref name="tokens"/> with its prompt.</param>
    /// <param name="adapted">Of the adapter that answers; none for the base alone.</param>
    /// <param name="hasParts"><see cref="BaseModel.HasParts"/></param>
    public static MemoryUse OfServing(ModelConfig config, long storedBytes, IReadOnlyCollection<LinearModule> adapted, int rank, int answers, int tokens, bool hasParts)
    {
        long room = (tokens + PageTokens - 1L) / PageTokens * PageTokens;
        return new MemoryUse
        {
            Weights = WidenedProjection(config, hasParts),
            File = storedBytes,
            Adapter = Number * TrainableParameters(adapted, rank),
            Tokens = KeptBeginnings + Number * answers * room * config.Layers * 2L * config.KeyValueHeads * config.HeadDim,
            Work = Number * (Math.Min(tokens, PromptTokens) * (3 * Widest(config) + 4L * config.HiddenSize + Qkv(config)) + answers * (long)config.VocabularySize),
        };
    }

    /// <summary>Numbers of a token's queries in a layer.</summary>
    private static long Heads(ModelConfig config) => (long)config.Heads * config.HeadDim;

    /// <summary>Of its queries, keys and values.</summary>
    private static long Qkv(ModelConfig config) => (config.Heads + 2L * config.KeyValueHeads) * config.HeadDim;

    /// <summary>Numbers of a token in a layer's feed-forward part, the widest layer's.</summary>
    private static long Widest(ModelConfig config) => Enumerable.Range(0, config.Layers)
        .Max(layer => config.HasExperts(layer) ? (long)config.Experts!.IntermediateSize * config.Experts.PerToken : config.IntermediateSize);

    private static long WidenedProjection(ModelConfig config, bool hasParts) => hasParts ? 0 : Number * 2 * Widest(config) * config.HiddenSize;

    private static long Weights(ModelConfig config) => Number * ModelTensors.Of(config).Sum(tensor => tensor.Shape.Aggregate(1L, (a, b) => a * b));

    /// <summary>
    /// bfloat16: linear weights of 2 bytes a number. Four-bit blocks: half a byte, and 4 bytes a block of 64, or a little more than one with double quantisation; all else as
    /// float32.
    /// </summary>
    private static long RoundedWeights(ModelConfig config, BasePrecision precision)
    {
        long linear = 0, others = 0;
        foreach (ModelTensor tensor in ModelTensors.Of(config))
        {
            long elements = tensor.Shape.Aggregate(1L, (a, b) => a * b);
            if (tensor.IsProjection)
                linear += elements;
            else
                others += elements;
        }
        if (!precision.IsFourBit)
            return 2 * linear + Number * others;
        long blocks = linear / FourBit.FourBitMatrix.BlockValues;
        return linear / 2 + (precision.DoubleQuant ? blocks + Number * blocks / FourBit.FourBitMatrix.NestedBlocks : Number * blocks);
    }
}
