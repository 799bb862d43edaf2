namespace Hone.Formats.Models;

/// <summary>
/// What the decoder needs to know of a base model, from the model's own file. There is no class per family: a family is the flags that its config sets. A flag's
/// default is what llama does.
/// </summary>
public sealed record ModelConfig
{
    /// <summary>The family by Hugging Face's <c>model_type</c>, such as <c>llama</c>.</summary>
    public required string Architecture { get; init; }
    public required int Layers { get; init; }
    public required int HiddenSize { get; init; }

    /// <summary>Query heads.</summary>
    public required int Heads { get; init; }

    /// <summary>Key and value heads; <see cref="Heads"/> is a multiple.</summary>
    public required int KeyValueHeads { get; init; }
    public required int HeadDim { get; init; }
    public required int IntermediateSize { get; init; }
    public required int VocabularySize { get; init; }
    public required double RopeTheta { get; init; }

    /// <summary>How the rotary frequencies are stretched beyond the context of the pre-training; null: not at all.</summary>
    public RopeScaling? RopeScaling { get; init; }

    /// <summary>The rotary embedding of layers with a sliding window; null: the other layers'.</summary>
    public RopeConfig? LocalRope { get; init; }

    /// <summary>The share of a head's dimensions, from the first on, that turns.</summary>
    public double PartialRotaryFactor { get; init; } = 1;

    /// <summary>Whether a layer's queries and keys turn, by layer; empty: all do.</summary>
    public IReadOnlyList<bool> RotaryLayers { get; init; } = [];

    /// <summary>RMSNorm's ε.</summary>
    public required double NormEpsilon { get; init; }

    /// <summary>The norms multiply with 1 + weight.</summary>
    public bool NormAddsOne { get; init; }

    public BlockNorms BlockNorms { get; init; }
    public QueryKeyNorm QueryKeyNorm { get; init; }

    /// <summary>Positions that the model was made for.</summary>
    public required int ContextLength { get; init; }

    /// <summary>The output matrix is the embedding matrix.</summary>
    public required bool TiedEmbeddings { get; init; }

    public bool QueryKeyValueBias { get; init; }
    public bool OutputBias { get; init; }
    public bool MlpBias { get; init; }

    /// <summary>Queries, keys and values are one module <c>qkv_proj</c>, gate and up one <c>gate_up_proj</c>.</summary>
    public bool FusedProjections { get; init; }

    public Activation Activation { get; init; }

    /// <summary>What multiplies the attention scores; null: 1 / √<see cref="HeadDim"/>.</summary>
    public double? AttentionMultiplier { get; init; }

    /// <summary>Attention scores become c · tanh(score / c).</summary>
    public double? AttentionSoftcap { get; init; }

    /// <summary>Logits become c · tanh(logit / c).</summary>
    public double? LogitSoftcap { get; init; }

    public double EmbeddingMultiplier { get; init; } = 1;

    /// <summary>What multiplies the output of attention and of the feed-forward part before it is added.</summary>
    public double ResidualMultiplier { get; init; } = 1;

    public double LogitMultiplier { get; init; } = 1;

    /// <summary>A token of a layer with a window sees itself and this many less one before it.</summary>
    public int? SlidingWindow { get; init; }

    /// <summary>Whether a layer has the window, by layer; empty: all have it where there is one.</summary>
    public IReadOnlyList<bool> SlidingLayers { get; init; } = [];

    /// <summary>Queries grow with their position: 1 + β · ln(1 + ⌊position / context⌋).</summary>
    public QueryGrowth? QueryGrowth { get; init; }

    public ExpertConfig? Experts { get; init; }

    public double AttentionScale => AttentionMultiplier ?? 1 / Math.Sqrt(HeadDim);

    public int RotaryDim => (int)(HeadDim * PartialRotaryFactor);

    public int? WindowOf(int layer) => SlidingWindow is { } window && (SlidingLayers.Count == 0 || SlidingLayers[layer]) ? window : null;

    /// <summary>Null: the layer knows no positions.</summary>
    public RopeConfig? RopeOf(int layer) =>
        RotaryLayers.Count > 0 && !RotaryLayers[layer] ? null : LocalRope is { } local && WindowOf(layer) is not null ? local : new RopeConfig(RopeTheta, RopeScaling);

    /// <summary>The last parts of the names of all matrices that an adapter can stand on, such as <c>q_proj</c>, in the order of a forward pass.</summary>
    public IReadOnlyList<string> LinearNames() => [.. ModelTensors.Of(this).Where(t => t.Linear).Select(t => t.Name.Split('.')[^2]).Distinct()];

    public bool HasExperts(int layer) => Experts is { } experts && (experts.Layers.Count == 0 || experts.Layers[layer]);
}

/// <summary>Where a block's two norms stand.</summary>
public enum BlockNorms
{
    /// <summary>x + f(norm(x))</summary>
    Before,

    /// <summary>x + norm(f(x))</summary>
    After,

    /// <summary>x + norm(f(norm(x)))</summary>
    Both,
}

/// <summary>The norm of queries and keys before they turn.</summary>
public enum QueryKeyNorm
{
    None,

    /// <summary>Each head by itself, with one weight for all heads.</summary>
    Head,

    /// <summary>All heads together.</summary>
    Width,
}

public enum Activation
{
    Silu,

    /// <summary>x · Φ(x)</summary>
    Gelu,

    /// <summary>0.5 · x · (1 + tanh(√(2/π) · (x + 0.044715 · x³)))</summary>
    GeluTanh,
}

/// <param name="Beta">β</param>
/// <param name="Context">The context of the pre-training.</param>
public sealed record QueryGrowth(double Beta, int Context);

/// <summary>Feed-forward parts of which a router chooses a few for each token: softmax over all, the best <see cref="PerToken"/>.</summary>
public sealed record ExpertConfig
{
    public required int Count { get; init; }
    public required int PerToken { get; init; }
    public required int IntermediateSize { get; init; }

    /// <summary>The chosen experts' weights are divided by their sum.</summary>
    public required bool Normalize { get; init; }

    /// <summary>What holds router and experts below a layer, such as <c>mlp</c>.</summary>
    public required string Module { get; init; }

    /// <summary>An expert's matrices: gate, up, down.</summary>
    public required IReadOnlyList<string> Names { get; init; }

    /// <summary>Whether a layer has experts, by layer; empty: all have.</summary>
    public IReadOnlyList<bool> Layers { get; init; } = [];
}

/// <summary>A matrix that an adapter can stand on: y = x Wᵀ with W [<paramref name="Out"/>, <paramref name="In"/>].</summary>
/// <param name="Name">Hugging Face's, such as <c>model.layers.0.self_attn.q_proj</c>.</param>
public sealed record LinearModule(string Name, int In, int Out);

/// <summary>A tensor of the base model by Hugging Face's name; a matrix is [out, in].</summary>
public sealed record NamedShape(string Name, long[] Shape);
