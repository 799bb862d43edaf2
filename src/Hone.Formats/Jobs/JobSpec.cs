using System.Text.Json.Serialization;

namespace Hone.Formats.Jobs;

/// <summary>
/// <c>job.json</c>: what one attempt at one job needs. The worker writes it into the job's folder; <c>hone train</c> and <c>hone prove</c> read it.
/// Paths are relative to that folder, but for the base model's.
/// </summary>
public sealed record JobSpec
{
    public const string FileName = "job.json";

    /// <summary>The finetune's id.</summary>
    public required string JobId { get; init; }

    /// <summary>The fence of this attempt: grows with every claim.</summary>
    public required long Fence { get; init; }

    /// <summary>The account's name for the finetune; goes into the report.</summary>
    public required string Name { get; init; }

    /// <summary>For example <c>@cf/huggingfacetb/smollm2-135m-instruct</c>.</summary>
    public required string ModelId { get; init; }

    /// <summary>Absolute path of the base model's GGUF file.</summary>
    public required string ModelPath { get; init; }

    /// <summary>Lower-case hex SHA-256 of the base model's file, where known.</summary>
    public string? ModelSha256 { get; init; }

    public required string TrainingData { get; init; }

    public string? ValidationData { get; init; }

    /// <summary>What the user gave; a null is <c>auto</c>.</summary>
    public required TrainingConfig Config { get; init; }

    /// <summary>Threads of the tensor library; null: all cores.</summary>
    public int? Threads { get; init; }

    /// <summary>Limit of the trainer's private memory in MiB (RLIMIT_DATA); null: none.</summary>
    public int? MemoryLimitMb { get; init; }

    /// <summary>A checkpoint of an earlier attempt to go on from, relative to the folder; null: from the start.</summary>
    public string? ResumeFrom { get; init; }

    /// <summary>The adapter that the training goes on with; null: a new one.</summary>
    public StartAdapter? StartAdapter { get; init; }

    /// <summary>Absolute path of a folder in which encoded rows are kept for other attempts and jobs; null: none are.</summary>
    public string? CacheFolder { get; init; }
}

/// <summary>PEFT's two files, relative to the job's folder.</summary>
public sealed record StartAdapter(string Config, string Weights);

[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    NumberHandling = JsonNumberHandling.Strict)]
[JsonSerializable(typeof(JobSpec))]
[JsonSerializable(typeof(TrainerEvent))]
[JsonSerializable(typeof(TrainingConfig))]
[JsonSerializable(typeof(CheckpointMetrics))]
public sealed partial class JobJson : JsonSerializerContext;
