using Hone.Core.Processes;
using Hone.Core.Store;
using Microsoft.Extensions.Logging;

namespace Hone.Core.Scheduling;

internal sealed partial class JobAttempt
{
    [LoggerMessage(3051, LogLevel.Information, "Job {Job}: attempt {Attempt} begins (fence {Fence})")]
    private static partial void LogBegins(ILogger logger, Guid job, int attempt, long fence);

    [LoggerMessage(3052, LogLevel.Information, "Job {Job}: {Result}, store says {Answer}")]
    private static partial void LogConcluded(ILogger logger, Guid job, string result, AttemptWrite answer);

    [LoggerMessage(3053, LogLevel.Information, "Job {Job}: interrupted ({Reason}), the trainer ended with {Exit}")]
    private static partial void LogInterrupted(ILogger logger, Guid job, LeaseEnd reason, ChildExit exit);

    [LoggerMessage(3054, LogLevel.Warning, "Job {Job}: the attempt with fence {Fence} is given up and writes nothing: {Reason}")]
    private static partial void LogGivenUp(ILogger logger, Guid job, long fence, LeaseEnd reason);

    [LoggerMessage(3055, LogLevel.Error, "Job {Job}: the worker could not carry out the attempt")]
    private static partial void LogFault(ILogger logger, Exception error, Guid job);

    [LoggerMessage(3063, LogLevel.Error, "Job {Job}: {What} Its last words: {Words}")]
    private static partial void LogLastWords(ILogger logger, Guid job, string what, string words);

    [LoggerMessage(3048, LogLevel.Error, "Job {Job}: the data folder cannot be written; the attempt is made again later")]
    private static partial void LogNotWritten(ILogger logger, Exception error, Guid job);

    [LoggerMessage(3047, LogLevel.Error, "Job {Job}: its model cannot be read")]
    private static partial void LogModelUnavailable(ILogger logger, Exception error, Guid job);

    [LoggerMessage(3062, LogLevel.Error, "Job {Job}: {Path} is gone or damaged; check the disk")]
    private static partial void LogDamaged(ILogger logger, Guid job, string path);

    [LoggerMessage(3049, LogLevel.Warning, "Job {Job}: what the trainer wrote at step {Step} could not be stored")]
    private static partial void LogNotStored(ILogger logger, Exception error, Guid job, int step);

    [LoggerMessage(3056, LogLevel.Debug, "Job {Job}: the checkpoint of step {Step} was replaced before it was read")]
    private static partial void LogCheckpointReplaced(ILogger logger, Guid job, int step);

    [LoggerMessage(3057, LogLevel.Warning, "Job {Job}: its last events could not be stored in time")]
    private static partial void LogNotFlushed(ILogger logger, Guid job);

    [LoggerMessage(3058, LogLevel.Warning, "Job {Job}: its row could not be read")]
    private static partial void LogNotWatched(ILogger logger, Exception error, Guid job);

    [LoggerMessage(3059, LogLevel.Warning, "Job {Job}: process {ProcessId} has said its last word and does not end; killing it")]
    private static partial void LogHangs(ILogger logger, Guid job, int processId);

    [LoggerMessage(3050, LogLevel.Warning, "Job {Job}: process {ProcessId} has said nothing for {Time}; killing it")]
    private static partial void LogStalls(ILogger logger, Guid job, int processId, TimeSpan time);
}
