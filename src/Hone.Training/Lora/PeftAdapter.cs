using System.Runtime.InteropServices;
using Hone.Formats;
using Hone.Formats.Adapters;
using Hone.Formats.Files;
using Hone.Formats.Models;
using Hone.Formats.Safetensors;
using Hone.Training.Model;
using Hone.Training.Training;
using TorchSharp;

namespace Hone.Training.Lora;

/// <summary>Adapters as PEFT's files: <c>adapter_config.json</c> and <c>adapter_model.safetensors</c>.</summary>
internal static class PeftAdapter
{
    public static readonly IReadOnlyList<string> FileNames = [AdapterConfig.FileName, AdapterConfig.WeightsFileName];

    /// <summary>An adapter to train on the modules that the settings name.</summary>
    public static LoraAdapter Create(TrainSettings settings, BaseModel model, Decoder decoder)
    {
        AdapterConfig config = Config(settings, model, "");
        foreach (string target in settings.TargetModules)
        {
            if (!model.LinearModules.Any(m => m.Name == target || m.Name.EndsWith('.' + target, StringComparison.Ordinal)))
            {
                IEnumerable<string> known = model.LinearModules.Select(m => m.Name[(m.Name.LastIndexOf('.') + 1)..]).Distinct();
                throw new JobFailedException("bad_config", $"target_modules: '{target}' matches no module of the base model{NearestName.Hint(target, known)}. It has {string.Join(", ", known)}.");
            }
        }
        if (settings.LayersToTransform?.FirstOrDefault(l => l < 0 || l >= model.Config.Layers, -1) is { } layer && layer != -1)
            throw new JobFailedException("bad_config", $"layers_to_transform: the base model has layers 0 to {model.Config.Layers - 1}, not {layer}.");
        return new LoraAdapter(decoder.Projections, Shapes(config, model.LinearModules), trainable: true) { Dropout = settings.Dropout };
    }

    /// <param name="modelSha256">Of the base model's file, where known: an adapter for another base is refused by it.</param>
    public static void Save(string folder, LoraAdapter adapter, TrainSettings settings, BaseModel model, string modelId, string? modelSha256)
    {
        SafetensorsWriter.Write(
            Path.Combine(folder, AdapterConfig.WeightsFileName),
            adapter.Matrices().SelectMany(m => new[]
            {
                Data(PeftNames.A(m.Name), m.A), Data(PeftNames.B(m.Name), m.B), m.Magnitude is null ? null : Data(PeftNames.Magnitude(m.Name), m.Magnitude.view(-1)),
            }).OfType<SafetensorsData>(),
            modelSha256 is null ? new() { ["format"] = "pt" } : new Dictionary<string, string> { ["format"] = "pt", [AdapterCheck.BaseHashKey] = modelSha256 });
        AtomicFile.WriteAllBytes(Path.Combine(folder, AdapterConfig.FileName), Config(settings, model, modelId).Write());

        static SafetensorsData Data(string name, torch.Tensor tensor) => new(name, tensor.shape, MemoryMarshal.Cast<byte, float>(tensor.bytes).ToArray());
    }

    /// <summary>An adapter to serve.</summary>
    /// <exception cref="InvalidFileException">The files do not fit each other or the base.</exception>
    public static LoraAdapter Load(string folder, BaseModel model, Decoder decoder)
    {
        string configPath = Path.Combine(folder, AdapterConfig.FileName);
        AdapterConfigResult parsed = AdapterConfig.Parse(File.ReadAllBytes(configPath));
        if (parsed.Config is null)
            throw new InvalidFileException($"{configPath}: {string.Join(" ", parsed.Errors)}");
        using SafetensorsFile file = SafetensorsFile.Open(Path.Combine(folder, AdapterConfig.WeightsFileName));
        var adapter = new LoraAdapter(decoder.Projections, Shapes(parsed.Config, model.LinearModules), trainable: false);
        foreach (LoraMatrices module in adapter.Matrices())
        {
            Read(PeftNames.A(module.Name), module.A);
            Read(PeftNames.B(module.Name), module.B);
            if (module.Magnitude is not null)
                Read(PeftNames.Magnitude(module.Name), module.Magnitude.view(-1));
        }
        return adapter;

        void Read(string name, torch.Tensor target)
        {
            SafetensorsTensor stored = file.Find(name) ?? throw new InvalidFileException($"{file.Path} has no tensor '{name}', which {AdapterConfig.FileName} demands.");
            if (!stored.Shape.SequenceEqual(target.shape))
                throw new InvalidFileException($"{file.Path}: '{name}' is [{string.Join(", ", stored.Shape)}] where [{string.Join(", ", target.shape)}] is expected.");
            file.ReadFloat32(name, MemoryMarshal.Cast<byte, float>(target.bytes));
        }
    }

    private static Dictionary<string, LoraModuleShape> Shapes(AdapterConfig config, IReadOnlyList<LinearModule> modules) =>
        modules.Where(m => config.Targets(m.Name)).ToDictionary(m => m.Name, m => new LoraModuleShape(m.In, m.Out, config.RankOf(m.Name), config.ScaleOf(m.Name), config.UseDora));

    private static AdapterConfig Config(TrainSettings settings, BaseModel model, string modelId) => new()
    {
        BaseModel = modelId,
        ModelType = model.Config.Architecture,
        Rank = settings.Rank,
        Alpha = settings.Alpha,
        Dropout = settings.Dropout,
        UseRslora = settings.UseRslora,
        UseDora = settings.UseDora,
        TargetModules = [.. settings.TargetModules.Order(StringComparer.Ordinal)],
        LayersToTransform = settings.LayersToTransform,
    };
}
