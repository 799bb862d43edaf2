using Hone.Formats.Models;
using Hone.Training.Model;
using Hone.Training.Training;

namespace Hone.Training.Lora;

/// <summary>Adapters as PEFT's files: <c>adapter_config.json</c> and <c>adapter_model.safetensors</c>.</summary>
internal static class PeftAdapter
{
    /// <summary>An adapter to train on the modules that the settings name.</summary>
    public static LoraAdapter Create(TrainSettings settings, BaseModel model, Decoder decoder)
    {
        var modules = model.LinearModules
            .Where(m => settings.TargetModules.Contains(m.Name[(m.Name.LastIndexOf('.') + 1)..]) && InLayers(m.Name, settings.LayersToTransform))
            .ToDictionary(m => m.Name, m => new LoraModuleShape(m.In, m.Out, settings.Rank, settings.Scale));
        return new LoraAdapter(decoder.Projections, modules, trainable: true) { Dropout = settings.Dropout };
    }

    private static bool InLayers(string name, IReadOnlyList<int>? layers) =>
        layers is null || layers.Any(l => name.StartsWith($"model.layers.{l}.", StringComparison.Ordinal));
}
