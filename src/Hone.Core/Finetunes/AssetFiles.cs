using Hone.Formats.Jobs;

namespace Hone.Core.Finetunes;

/// <summary>The files that a finetune takes and makes.</summary>
public static class AssetFiles
{
    public const string AdapterConfig = "adapter_config.json";
    public const string AdapterModel = "adapter_model.safetensors";

    /// <summary>The adapter that a training goes on with, put there by Hone: it stays with the finetune when the other one is deleted.</summary>
    public const string StartConfig = "start_" + AdapterConfig, StartModel = "start_" + AdapterModel;
    public const string TrainingData = "training_data.jsonl";
    public const string ValidationData = "validation_data.jsonl";
    public const string TrainingConfigFile = TrainingConfig.FileName;

    /// <summary>What a job has measured, step by step.</summary>
    public const string StepMetrics = JobFiles.StepMetrics;

    /// <summary>What may be uploaded.</summary>
    public static IReadOnlyList<string> Accepted { get; } = [AdapterConfig, AdapterModel, TrainingData, ValidationData, TrainingConfigFile];

    public static bool IsAdapter(string fileName) => fileName is AdapterConfig or AdapterModel;

    public static long Limit(string fileName, HoneLimits limits) => fileName switch
    {
        AdapterModel => limits.AdapterBytes,
        TrainingData or ValidationData => limits.TrainingDataBytes,
        _ => limits.ConfigBytes,
    };

    /// <summary>By a name's ending; of others <c>application/octet-stream</c>.</summary>
    public static readonly IReadOnlyDictionary<string, string> ContentTypes = new Dictionary<string, string>
    {
        [".json"] = "application/json",
        [".jsonl"] = "application/jsonl",
        [".md"] = "text/markdown",
        [".csv"] = "text/csv",
        [".svg"] = "image/svg+xml",
        [".png"] = "image/png",
    };

    public static string ContentType(string fileName) => ContentTypes.GetValueOrDefault(Path.GetExtension(fileName), "application/octet-stream");
}
