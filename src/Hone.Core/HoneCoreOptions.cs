using System.ComponentModel.DataAnnotations;
using Hone.Core.Finetunes;

namespace Hone.Core;

/// <summary>Where Hone keeps its data and what it allows.</summary>
public sealed record HoneCoreOptions
{
    /// <summary>Holds the database, the blobs, the attempts' folders and the credentials file. Made when it is missing.</summary>
    [Required]
    public required string DataFolder { get; init; }

    /// <summary>Folder of the blobs; null: <c>blobs</c> in the data folder.</summary>
    public string? BlobFolder { get; init; }

    /// <summary>Folders whose GGUF files are offered as base models, beside the embedded one and those added by path.</summary>
    public IReadOnlyList<string> ModelFolders { get; init; } = [];

    public HoneLimits Limits { get; init; } = new();

    /// <summary>Throws <see cref="ValidationException"/> naming every value that is out of its range.</summary>
    public void Validate()
    {
        var failures = new List<ValidationResult>();
        Validator.TryValidateObject(this, new ValidationContext(this), failures, validateAllProperties: true);
        Validator.TryValidateObject(Limits, new ValidationContext(Limits), failures, validateAllProperties: true);
        if (failures.Count > 0)
            throw new ValidationException(string.Join(' ', failures.Select(f => f.ErrorMessage)));
    }
}

/// <summary>Limits of what clients may create and upload. The defaults are those of the API that Hone follows, where it has them.</summary>
public sealed record HoneLimits
{
    /// <summary>Default 100.</summary>
    [Range(1, 1_000_000)]
    public int FinetunesPerAccount { get; init; } = 100;

    /// <summary>Characters of a finetune's name. Default 128.</summary>
    [Range(1, 1024)]
    public int NameLength { get; init; } = 128;

    /// <summary>Characters of a description. Default 4,096.</summary>
    [Range(0, 1_000_000)]
    public int DescriptionLength { get; init; } = 4096;

    /// <summary>Names that begin so are reserved. Default <c>cf-public-</c>.</summary>
    public IReadOnlyList<string> ReservedPrefixes { get; init; } = [FinetuneRules.PublicPrefix];

    /// <summary>Bytes of <c>adapter_model.safetensors</c>. Default 300 MiB.</summary>
    [Range(1L, long.MaxValue)]
    public long AdapterBytes { get; init; } = 300L << 20;

    /// <summary>Bytes of <c>training_data.jsonl</c> and of <c>validation_data.jsonl</c>. Default 512 MiB.</summary>
    [Range(1L, long.MaxValue)]
    public long TrainingDataBytes { get; init; } = 512L << 20;

    /// <summary>Bytes of one part of a file that comes in parts. Default 64 MiB.</summary>
    [Range(1L, long.MaxValue)]
    public long UploadPartBytes { get; init; } = 64L << 20;

    /// <summary>Seconds for which a file that comes in parts takes them. Default one hour.</summary>
    [Range(1, 31_536_000)]
    public int UploadSeconds { get; init; } = 3600;

    /// <summary>Bytes of <c>adapter_config.json</c> and of <c>training_config.json</c>. Default 1 MiB.</summary>
    [Range(1L, 64L << 20)]
    public long ConfigBytes { get; init; } = 1L << 20;

    /// <summary>Rank of an adapter that is brought. Default 32.</summary>
    [Range(1, 4096)]
    public int AdapterRank { get; init; } = 32;

    /// <summary>Values of <c>model_type</c> of which the config of an adapter that is brought must carry one; null, the default: it is not looked at.</summary>
    public IReadOnlyList<string>? AdapterModelTypes { get; init; }

    /// <summary>Attempts at a job before it fails. Default 3.</summary>
    [Range(1, 100)]
    public int JobAttempts { get; init; } = 3;

    /// <summary>Adapters of steps that a finetune keeps beside its last; the oldest go. Default 50.</summary>
    [Range(1, 1_000_000)]
    public int CheckpointsPerFinetune { get; init; } = 50;

    /// <summary>Workers that may be lost over a job without a new checkpoint from it, before it fails: it may be what ends them. Default 3.</summary>
    [Range(1, 100)]
    public int JobWorkersLost { get; init; } = 3;

    /// <summary>Seconds that a blob which nothing refers to is kept. Default one hour.</summary>
    [Range(1, 31_536_000)]
    public int UnreferencedBlobSeconds { get; init; } = 3600;
}
