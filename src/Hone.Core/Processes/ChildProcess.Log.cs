using Microsoft.Extensions.Logging;

namespace Hone.Core.Processes;

public sealed partial class ChildProcess
{
    private void LogStarted(string label, int id) => Log.Started(_logger, label, id);
    private void LogKilled(string label, int id) => Log.Killed(_logger, label, id);
    private void LogExited(string label, int id, ChildExit exit) => Log.Exited(_logger, label, id, exit);
    private void LogErrorLine(string label, int id, string line) => Log.ErrorLine(_logger, label, id, line);

    private static partial class Log
    {
        [LoggerMessage(3001, LogLevel.Debug, "hone {Label} started as process {ProcessId}")]
        public static partial void Started(ILogger logger, string label, int processId);

        [LoggerMessage(3002, LogLevel.Debug, "Killing hone {Label}, process {ProcessId}")]
        public static partial void Killed(ILogger logger, string label, int processId);

        [LoggerMessage(3003, LogLevel.Debug, "hone {Label}, process {ProcessId}, ended with {Exit}")]
        public static partial void Exited(ILogger logger, string label, int processId, ChildExit exit);

        [LoggerMessage(3004, LogLevel.Debug, "hone {Label} [{ProcessId}]: {Line}")]
        public static partial void ErrorLine(ILogger logger, string label, int processId, string line);
    }
}
