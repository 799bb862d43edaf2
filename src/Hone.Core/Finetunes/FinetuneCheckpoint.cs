namespace Hone.Core.Finetunes;

/// <summary>The adapter as it was after a step: usable by itself, beside what the job ends with.</summary>
public sealed class FinetuneCheckpoint
{
    public required Guid FinetuneId { get; init; }
    public required int Step { get; init; }

    /// <summary>SHA-256 of the adapter's configuration and of its weights: blobs.</summary>
    public required string ConfigSha256 { get; init; }
    public required string WeightsSha256 { get; init; }

    /// <summary>The figures of the step, a JSON object.</summary>
    public required string MetricsJson { get; init; }
    public required DateTimeOffset CreatedAt { get; init; }
}
