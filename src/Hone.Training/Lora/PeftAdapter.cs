using Hone.Formats;
using Hone.Formats.Adapters;
using Hone.Formats.Files;
using Hone.Formats.Models;
using Hone.Formats.Safetensors;
using Hone.Training.Kernels;
using Hone.Training.Model;
using Hone.Training.Training;

namespace Hone.Training.Lora;

/// <summary>Adapters as PEFT's files: <c>adapter_config.json</c> and <c>adapter_model.safetensors</c>.</summary>
internal static class PeftAdapter
{
    public static readonly IReadOnlyList<string> FileNames = [AdapterConfig.FileName, AdapterConfig.WeightsFileName];

    /// <summary>An adapter to train on the modules that the settings name.</summary>
    public static LoraAdapter Create(TrainSettings settings, BaseModel model, Decoder decoder) => Create(settings, model.Weights, decoder);

    /// <inheritdoc cref="Create(TrainSettings, BaseModel, Decoder)"/>
    public static LoraAdapter Create(TrainSettings settings, ModelWeights model, Decoder decoder)
    {
        AdapterConfig config = Config(settings, model, "");
        if (settings.Start is null && AdapterTargets.Errors(settings.TargetModules, settings.LayersToTransform, model) is { Count: > 0 } errors)
            throw new JobFailedException("bad_config", string.Join(' ', errors.Select(error => $"{error.Message} {error.Hint}")));
        Dictionary<string, LoraModuleShape> shapes = Shapes(config, model.LinearModules);
        if (SizeOf(settings, model).Parameters is > int.MaxValue and var parameters)
            throw new JobFailedException("bad_config", $"The adapter would have {parameters:N0} parameters, more than the {int.MaxValue:N0} that one can have. Take matrices out of modules_to_save or target_modules, or lower the rank.");
        LinearModule[] whole = [.. AdapterPlaces.Of(model.Config).Whole.Where(m => config.Saves(m.Name))];
        return new LoraAdapter(decoder.Projections, shapes, trainable: true, Find(AdapterPlaces.Embedding), Find(AdapterPlaces.Head)) { Dropout = settings.Dropout };

        LinearModule? Find(string module) => whole.FirstOrDefault(m => m.Name == module);
    }

    /// <summary>What <see cref="Create(TrainSettings, BaseModel, Decoder)"/> will make.</summary>
    public static AdapterSize SizeOf(TrainSettings settings, ModelWeights model)
    {
        AdapterConfig config = Config(settings, model, "");
        LinearModule[] adapted = [.. model.LinearModules.Where(m => config.Targets(m.Name))];
        int rank = adapted.Select(m => config.RankOf(m.Name)).DefaultIfEmpty(config.Rank).Max();
        return new AdapterSize(adapted, rank, settings.UseDora, [.. AdapterPlaces.Of(model.Config).Whole.Where(m => config.Saves(m.Name))]);
    }

    /// <param name="modelSha256">Of the base model's file, where known: an adapter for another base is refused by it.</param>
    public static void Save(string folder, LoraAdapter adapter, TrainSettings settings, BaseModel model, string modelId, string? modelSha256) =>
        Save(folder, adapter, settings, model.Weights, modelId, modelSha256);

    /// <inheritdoc cref="Save(string, LoraAdapter, TrainSettings, BaseModel, string, string?)"/>
    public static void Save(string folder, LoraAdapter adapter, TrainSettings settings, ModelWeights model, string modelId, string? modelSha256)
    {
        AdapterConfig config = Config(settings, model, modelId);
        var metadata = new Dictionary<string, string> { ["format"] = "pt", [TrainedWith.Key] = TrainedWith.Of(config) };
        if (modelSha256 is not null)
            metadata[AdapterCheck.BaseHashKey] = modelSha256;
        SafetensorsWriter.Write(Path.Combine(folder, AdapterConfig.WeightsFileName), adapter.Tensors().Select(Data), metadata);
        AtomicFile.WriteAllBytes(Path.Combine(folder, AdapterConfig.FileName), config.Write());

        static SafetensorsData Data(NamedTensor tensor) => new(
            PeftNames.Of(tensor.Kind, tensor.Module), tensor.Kind is AdapterTensor.Bias or AdapterTensor.Magnitude ? [tensor.Values.numel()] : tensor.Values.shape, new TensorMemory(tensor.Values).Memory);
    }

    /// <summary>An adapter to serve.</summary>
    /// <exception cref="InvalidFileException">The files do not fit each other or the base.</exception>
    public static LoraAdapter Load(string folder, Decoder decoder)
    {
        using AdapterFiles files = AdapterFiles.Open(folder, decoder.Config);
        return Load(files, decoder);
    }

    /// <inheritdoc cref="Load(string, Decoder)"/>
    public static LoraAdapter Load(AdapterFiles files, Decoder decoder)
    {
        var adapter = new LoraAdapter(decoder.Projections, Shapes(files.Config, files.Modules), trainable: false, Whole(AdapterPlaces.Embedding), Whole(AdapterPlaces.Head));
        try
        {
            Read(files, adapter);
            return adapter;
        }
        catch
        {
            adapter.Dispose();
            throw;
        }

        LinearModule? Whole(string module) => files.Whole.FirstOrDefault(m => m.Name == module);
    }

    /// <summary>The files' values, into an adapter of their shape.</summary>
    public static void Read(AdapterFiles files, LoraAdapter adapter)
    {
        foreach (NamedTensor tensor in adapter.Tensors())
            files.Read(tensor.Kind, tensor.Module, Matrix.Of(tensor.Values).All());
    }

    private static Dictionary<string, LoraModuleShape> Shapes(AdapterConfig config, IReadOnlyList<LinearModule> modules) => modules.Where(m => config.Targets(m.Name)).ToDictionary(
        m => m.Name, m => new LoraModuleShape(m.In, m.Out, config.RankOf(m.Name), config.ScaleOf(m.Name), config.UseDora, config.LoraBias));

    private static AdapterConfig Config(TrainSettings settings, ModelWeights model, string modelId) => settings.Start is { } start
        ? start with { BaseModel = modelId, ModelType = model.Config.Architecture, Dropout = settings.Dropout }
        : new()
        {
            BaseModel = modelId,
            ModelType = model.Config.Architecture,
            Rank = settings.Rank,
            Alpha = settings.Alpha,
            Dropout = settings.Dropout,
            UseRslora = settings.UseRslora,
            UseDora = settings.UseDora,
            LoraBias = settings.LoraBias,
            ModulesToSave = settings.ModulesToSave,
            TargetModules = [.. settings.TargetModules.Order(StringComparer.Ordinal)],
            LayersToTransform = settings.LayersToTransform,
        };
}
