using Hone.Formats.Jobs;

namespace Hone.Core.Scheduling;

/// <summary>How a child's run, or a whole attempt, came out.</summary>
internal abstract record AttemptResult
{
    /// <summary>The child did its part; its last event says what.</summary>
    public sealed record Completed(TrainerEvent Last) : AttemptResult;

    /// <summary>Trained and proven; the files are in the blob store.</summary>
    public sealed record Trained(IReadOnlyList<OutputFile> Files, FinalMetrics Metrics, TrainerEvent.Proven Proof) : AttemptResult;

    /// <summary>The job cannot succeed as it is.</summary>
    public sealed record Rejected(string Code, string Message) : AttemptResult;

    /// <summary>Worth another try.</summary>
    public sealed record Crashed(string Reason) : AttemptResult;

    /// <summary>The disk is full, or the data folder cannot be written; not the job's fault.</summary>
    public sealed record NotWritten(string Why) : AttemptResult;

    /// <summary>Held back by the user, with a checkpoint of where it was.</summary>
    public sealed record Paused : AttemptResult;

    /// <summary>The lease ended it; the child is gone.</summary>
    public sealed record Interrupted : AttemptResult;

    /// <summary>Somebody else ended the child, by a signal; not the job's fault.</summary>
    public sealed record AskedToEnd : AttemptResult;
}
