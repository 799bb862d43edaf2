using System.Text.Json.Serialization;
using Hone.Formats.Jobs;
using Hone.Formats.Models;
using Hone.Formats.TrainingData;
using Hone.Training.Devices;
using Hone.Training.Training;

namespace Hone.Training.Reports;

/// <summary><c>report.json</c>: what was trained, from what, with what, and what came of it. The trainer writes it as <c>run.json</c>; the proof completes it.</summary>
internal sealed record RunReport
{
    public const string FileName = "run.json";

    public required string JobId { get; init; }
    public required string Name { get; init; }
    public required BaseReport Base { get; init; }
    public required IReadOnlyList<Setting> Settings { get; init; }
    public required DataReport Data { get; init; }
    public required FinalMetrics Metrics { get; init; }
    public required IReadOnlyList<double> Losses { get; init; }

    /// <summary>One a step, as <see cref="Losses"/>.</summary>
    public required IReadOnlyList<double> LearningRates { get; init; }
    public required IReadOnlyList<EvaluationPoint> Evaluations { get; init; }
    public required SpeedReport Speed { get; init; }
    public required VersionReport Versions { get; init; }
    public required AttributionReport Attribution { get; init; }

    /// <summary>What the events warned of.</summary>
    public required IReadOnlyList<string> Warnings { get; init; }
    public CurvesReport? Curves { get; init; }
    public ProofReport? Proof { get; init; }
    public IReadOnlyList<AnswerReport>? Answers { get; init; }

    /// <summary>SHA-256 of each file beside the report.</summary>
    public IReadOnlyList<OutputFile>? Files { get; init; }

    /// <summary>How the base lay in memory.</summary>
    [JsonIgnore]
    public BasePrecision Precision => BasePrecision.Of(
        Settings.FirstOrDefault(s => s.Key == "precision")?.Value ?? BasePrecision.Float32.Name, Settings.Any(s => s is { Key: "use_double_quant", Value: "true" }));

    public static RunReport Of(JobSpec job, BaseModel model, TrainSettings settings, EncodedRowFile rows, IReadOnlyList<EncodedRow> validation, TrainProgress progress, IReadOnlyList<string> warnings, AttributionReport attribution, double peakMb) => new()
    {
        JobId = job.JobId,
        Name = job.Name,
        Base = new BaseReport(job.ModelId, job.ModelSha256, model.Config.Architecture, model.Quantization, model.Parameters),
        Settings = settings.Origins,
        Data = new DataReport(rows.Count / settings.RowsAnItem, rows.Tokens, rows.TrainedTokens, validation.Count / settings.RowsAnItem),
        Metrics = new FinalMetrics
        {
            Steps = progress.Step,
            Epochs = Math.Round((double)progress.Step * settings.Epochs / settings.Steps, 4),
            Rows = rows.Count / settings.RowsAnItem,
            TrainedTokens = progress.TrainedTokens,
            FirstLoss = progress.Losses[0],
            TrainLoss = progress.Losses.TakeLast(Math.Max(1, settings.Steps / settings.Epochs)).Average(),
            ValidationLoss = progress.Evaluations is [.., { Loss: var lossAtEnd }] ? lossAtEnd : null,
            ValidationTokenAccuracy = progress.Evaluations is [.., { TokenAccuracy: var accuracyAtEnd }] ? accuracyAtEnd : null,
            TrainSeconds = Math.Round(progress.Seconds, 3),
            PeakMemoryMb = Math.Round(peakMb, 1),
        },
        Losses = progress.Losses,
        LearningRates = [.. Enumerable.Range(1, progress.Step).Select(settings.LearningRateAt)],
        Warnings = [.. warnings, .. progress.Warnings],
        Evaluations = progress.Evaluations,
        Speed = new SpeedReport(progress.Tokens / progress.Seconds, (double)progress.Step * settings.BatchSize / progress.Seconds, Hone.Training.Kernels.Cores.Count) { Device = settings.Device is { Device: not null, Name: var name } ? name : null },
        Attribution = attribution,
        Versions = new VersionReport(
            typeof(RunReport).Assembly.GetName().Version!.ToString(3), Libtorch.Version,
            typeof(TorchSharp.torch).Assembly.GetName().Version!.ToString(3), Environment.Version.ToString()),
    };
}

/// <param name="Rows">Lines of <c>rows.jsonl</c>.</param>
/// <param name="By">Which loss the worst are ordered by.</param>
/// <param name="Worst">Where to look for wrong labels.</param>
internal sealed record AttributionReport(int Rows, string By, IReadOnlyList<WorstRow> Worst);

/// <param name="Part">From 1; of a row whose turns are rendered apart.</param>
internal sealed record WorstRow(int Line, int? Part, int TrainedTokens, float LossBefore, float? LossLater, float LossAfter, string Excerpt);

/// <param name="Files">Beside the report; none where they could not be drawn.</param>
/// <param name="Missing">Why.</param>
internal sealed record CurvesReport(IReadOnlyList<string> Files, string? Missing);

internal sealed record BaseReport(string Id, string? Sha256, string Architecture, string Quantization, long Parameters);

internal sealed record DataReport(int Rows, long Tokens, long TrainedTokens, int ValidationRows);

/// <param name="TokensPerSecond">Tokens computed: a shared prefix counts once.</param>
internal sealed record SpeedReport(double TokensPerSecond, double RowsPerSecond, int Threads)
{
    /// <summary>Where the steps ran; null: on these threads.</summary>
    public string? Device { get; init; }
}

internal sealed record VersionReport(string Hone, string Libtorch, string TorchSharp, string DotNet);

internal sealed record ProofReport(int Rows, double MaxRelativeDifference, double Tolerance, double BaseDifference)
{
    /// <summary>The base's form in training and in the proof's comparison.</summary>
    public string? BasePrecision { get; init; }

    /// <summary>Where training rounded the base: how far the logits lie from the trainer's over the base that engines answer with, which is the file's own. Null: nothing was rounded.</summary>
    public double? ServedDifference { get; init; }
}

/// <summary>One held-out row, answered greedily by the base and with the adapter.</summary>
internal sealed record AnswerReport(int Line, string Question, string Expected, string Base, string Adapter);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, WriteIndented = true, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(RunReport))]
internal sealed partial class ReportJson : JsonSerializerContext;
