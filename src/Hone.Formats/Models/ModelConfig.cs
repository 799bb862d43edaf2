namespace Hone.Formats.Models;

/// <summary>What the decoder needs to know of a base model, from the model's own file.</summary>
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

    /// <summary>RMSNorm's ε.</summary>
    public required double NormEpsilon { get; init; }

    /// <summary>Positions that the model was made for.</summary>
    public required int ContextLength { get; init; }

    /// <summary>The output matrix is the embedding matrix.</summary>
    public required bool TiedEmbeddings { get; init; }
}

/// <summary>A matrix that an adapter can stand on: y = x Wᵀ with W [<paramref name="Out"/>, <paramref name="In"/>].</summary>
/// <param name="Name">Hugging Face's, such as <c>model.layers.0.self_attn.q_proj</c>.</param>
public sealed record LinearModule(string Name, int In, int Out);

/// <summary>A tensor of the base model by Hugging Face's name; a matrix is [out, in].</summary>
public sealed record NamedShape(string Name, long[] Shape);
