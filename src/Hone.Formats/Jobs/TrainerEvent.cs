using System.Text.Json.Serialization;

namespace Hone.Formats.Jobs;

/// <summary>
/// One line of JSON on the standard output of <c>hone train</c> and <c>hone prove</c>. The child knows no database: these lines and the files
/// in the job's folder are all that leaves it. The exit code is 0 after <see cref="Finished"/>, <see cref="Paused"/> or <see cref="Proven"/>, 1 after <see cref="Failed"/>;
/// anything else is a crash, and the job is tried again.
/// </summary>
[JsonPolymorphic(TypeDiscriminatorPropertyName = "type")]
[JsonDerivedType(typeof(Started), "started")]
[JsonDerivedType(typeof(Settings), "settings")]
[JsonDerivedType(typeof(Message), "message")]
[JsonDerivedType(typeof(Step), "step")]
[JsonDerivedType(typeof(Evaluation), "evaluation")]
[JsonDerivedType(typeof(Checkpoint), "checkpoint")]
[JsonDerivedType(typeof(AdapterSaved), "adapter_saved")]
[JsonDerivedType(typeof(Paused), "paused")]
[JsonDerivedType(typeof(Finished), "finished")]
[JsonDerivedType(typeof(Proven), "proven")]
[JsonDerivedType(typeof(Failed), "failed")]
[JsonDerivedType(typeof(Heartbeat), "heartbeat")]
public abstract record TrainerEvent
{
    /// <param name="ResumedFromStep">0: from the start.</param>
    public sealed record Started(int ResumedFromStep, int ProcessId) : TrainerEvent;

    /// <summary>Every hyperparameter with its value and where it came from.</summary>
    public sealed record Settings(IReadOnlyList<Setting> Values) : TrainerEvent;

    /// <param name="Level"><c>info</c>, <c>warn</c> or <c>error</c>.</param>
    public sealed record Message(string Level, string Text) : TrainerEvent;

    /// <param name="Loss">Mean over the step's trained tokens, before the update.</param>
    /// <param name="GradNorm">Before clipping.</param>
    /// <param name="Tokens">Tokens computed so far (distinct prefixes).</param>
    /// <param name="TrainedTokens">Tokens with a label so far.</param>
    /// <param name="TokenAccuracy">Share of the step's trained tokens that were the likeliest.</param>
    public sealed record Step(
        [property: JsonPropertyName("step")] int Number, [property: JsonPropertyName("steps")] int Of,
        double Epoch, double Loss, double TokenAccuracy, double LearningRate, double GradNorm,
        double TokensPerSecond, double RowsPerSecond, long Tokens, long TrainedTokens, double SecondsLeft) : TrainerEvent;

    /// <summary>On the validation rows.</summary>
    public sealed record Evaluation([property: JsonPropertyName("step")] int AtStep, double Epoch, double Loss, double TokenAccuracy) : TrainerEvent;

    /// <param name="File">Relative to the job's folder; complete and synced when this line is written.</param>
    public sealed record Checkpoint([property: JsonPropertyName("step")] int AtStep, string File, string Sha256) : TrainerEvent;

    /// <summary>The adapter as it is after a step, in PEFT's files, complete and synced: at the end of each epoch.</summary>
    /// <param name="Files">Names relative to the job's folder.</param>
    public sealed record AdapterSaved([property: JsonPropertyName("step")] int AtStep, IReadOnlyList<OutputFile> Files, CheckpointMetrics Metrics) : TrainerEvent;

    /// <summary>Asked to, the trainer has told of a checkpoint of this step and ends.</summary>
    public sealed record Paused([property: JsonPropertyName("step")] int AtStep) : TrainerEvent;

    /// <summary>The adapter's files are complete and synced; the proof is still to come.</summary>
    /// <param name="Files">Names relative to <c>adapter/</c> in the job's folder.</param>
    public sealed record Finished(IReadOnlyList<OutputFile> Files, FinalMetrics Metrics) : TrainerEvent;

    /// <summary>A fresh process loaded the adapter from its files.</summary>
    /// <param name="MaxRelativeDifference">Of its logits from the trainer's.</param>
    /// <param name="BaseDifference">Of its logits from the base model's, relative; 0 would be an adapter without effect.</param>
    /// <param name="Files">Files the proof wrote or rewrote: <c>report.json</c>, <c>report.md</c>.</param>
    public sealed record Proven(double MaxRelativeDifference, double BaseDifference, int Rows, IReadOnlyList<OutputFile> Files) : TrainerEvent;

    /// <summary>The job cannot succeed as it is; trying again would not help.</summary>
    /// <param name="Code">snake_case, stable: <c>bad_data</c>, <c>not_finite</c>, <c>out_of_memory</c>, <c>bad_model</c>, <c>bad_config</c>, <c>proof_failed</c> …</param>
    /// <param name="Text">What, where and what to do.</param>
    public sealed record Failed(string Code, string Text) : TrainerEvent;

    /// <summary>The process has worked since its last line, however long a step, the reading of the rows or the proof takes. One that waits for ever sends none.</summary>
    /// <param name="CpuSeconds">Processor time of the process so far.</param>
    public sealed record Heartbeat(double CpuSeconds) : TrainerEvent;
}

/// <param name="Value">As JSON text prints it.</param>
/// <param name="Origin"><c>given</c>, or <c>auto: why</c>.</param>
public sealed record Setting(string Key, string Value, string Origin);

/// <summary>What is known of the adapter after a step, with the names of OpenAI's API.</summary>
/// <param name="TrainLoss">Of the step.</param>
/// <param name="FullValidLoss">On all validation rows; null where the step was not evaluated.</param>
public sealed record CheckpointMetrics(int Step, double TrainLoss, double TrainMeanTokenAccuracy, double? FullValidLoss, double? FullValidMeanTokenAccuracy);

public sealed record OutputFile(string Name, long Size, string Sha256);

public sealed record FinalMetrics
{
    public required int Steps { get; init; }
    public required double Epochs { get; init; }
    public required int Rows { get; init; }
    public required long TrainedTokens { get; init; }
    public required double FirstLoss { get; init; }
    public required double TrainLoss { get; init; }
    public double? ValidationLoss { get; init; }
    public double? ValidationTokenAccuracy { get; init; }
    public required double TrainSeconds { get; init; }
    public required double PeakMemoryMb { get; init; }
}
