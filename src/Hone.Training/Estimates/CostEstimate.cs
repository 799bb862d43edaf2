using System.Text.Json.Serialization;
using Hone.Formats.Jobs;
using Hone.Formats.Models;

namespace Hone.Training.Estimates;

public sealed record EstimateRequest
{
    public required string ModelPath { get; init; }
    public required string TrainingPath { get; init; }
    public string? ValidationPath { get; init; }
    public TrainingConfig Config { get; init; } = new();

    /// <summary>Null: all cores.</summary>
    public int? Threads { get; init; }
}

/// <summary>What a job will cost on this machine.</summary>
/// <param name="Rows">Or pairs.</param>
/// <param name="Tokens">Of all rows in all epochs, as if each were computed alone.</param>
/// <param name="DistinctTokens">Computed: a prefix that rows of a step share counts once.</param>
/// <param name="TrainedTokens">With a label.</param>
/// <param name="TrainSeconds">The steps, at the rate of the probe, and DPO's reference.</param>
/// <param name="EvaluationSeconds">On the validation rows, and once on all rows at the end.</param>
/// <param name="PeakMemoryMb">Of the trainer, in MiB, see <see cref="ModelMemory"/>.</param>
/// <param name="TokensPerSecond">Of the probe.</param>
/// <param name="ProbePasses">Measured, after one to warm up.</param>
/// <param name="Warnings">What the rows give reason to warn of.</param>
public sealed record CostEstimate(
    int Rows, int ValidationRows, int Epochs, int BatchSize, int Steps, long Tokens, long DistinctTokens, long TrainedTokens, double TrainSeconds, double EvaluationSeconds,
    double PeakMemoryMb, double TokensPerSecond, int ProbePasses, double ProbeSeconds, int Threads, IReadOnlyList<Setting> Settings, IReadOnlyList<string> Warnings);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower)]
[JsonSerializable(typeof(CostEstimate))]
public sealed partial class EstimateJson : JsonSerializerContext;
