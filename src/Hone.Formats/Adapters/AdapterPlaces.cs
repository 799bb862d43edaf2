using Hone.Formats.Models;

namespace Hone.Formats.Adapters;

/// <summary>Where an adapter can stand on a base model.</summary>
/// <param name="Linear">The layers' matrices, which take low-rank additions.</param>
/// <param name="Whole">The matrices that an adapter may replace whole (PEFT's <c>modules_to_save</c>): embedding and output matrix, also where the base ties the two.</param>
public sealed record AdapterPlaces(IReadOnlyList<LinearModule> Linear, IReadOnlyList<LinearModule> Whole)
{
    public const string Embedding = "model.embed_tokens";
    public const string Head = "lm_head";

    public static AdapterPlaces Of(ModelConfig config) => new(
        [.. ModelTensors.Of(config).Where(t => t.Linear).Select(t => new LinearModule(t.Name[..^".weight".Length], (int)t.Shape[1], (int)t.Shape[0]))],
        [new(Embedding, config.HiddenSize, config.VocabularySize), new(Head, config.HiddenSize, config.VocabularySize)]);
}
