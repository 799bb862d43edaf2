using System.Diagnostics;
using System.Globalization;
using System.Text;
using Microsoft.Extensions.Logging;

namespace Hone.Core.Processes;

/// <summary>
/// Children of a server that was killed: they end with their life line, but a moment later than it. Found by the folder that their command line names,
/// which nothing else names, so that no record can be lost between the start of a child and the note of it.
/// </summary>
internal static partial class LeftoverProcesses
{
    /// <summary>Returns when no process is left whose command line names <paramref name="folder"/> or something in it; kills what outlives <paramref name="grace"/>.</summary>
    public static async Task EndAsync(string folder, TimeSpan grace, ILogger logger, TimeProvider clock, CancellationToken cancellationToken)
    {
        foreach (Process process in Find(folder))
        {
            using (process)
            {
                LogWaiting(logger, process.Id, folder);
                try
                {
                    await process.WaitForExitAsync(cancellationToken).WaitAsync(grace, clock, cancellationToken);
                }
                catch (TimeoutException)
                {
                    LogKilling(logger, process.Id, folder);
                    process.Kill(entireProcessTree: true);
                    await process.WaitForExitAsync(cancellationToken);
                }
            }
        }
    }

    public static List<Process> Find(string folder)
    {
        var found = new List<Process>();
        if (!OperatingSystem.IsLinux())
            return found;
        string path = Path.GetFullPath(folder).TrimEnd('/');
        foreach (string entry in Directory.EnumerateDirectories("/proc"))
        {
            if (!int.TryParse(Path.GetFileName(entry), NumberStyles.None, CultureInfo.InvariantCulture, out int id) || id == Environment.ProcessId || !Names(entry, path))
                continue;
            try
            {
                Process process = Process.GetProcessById(id);
                // Asked for again with the process in hand, in case that the id has gone to another one in between.
                _ = process.SafeHandle;
                if (Names(entry, path))
                    found.Add(process);
                else
                    process.Dispose();
            }
            catch (Exception error) when (error is ArgumentException or InvalidOperationException or System.ComponentModel.Win32Exception)
            {
                // It is gone.
            }
        }
        return found;
    }

    private static bool Names(string processEntry, string path)
    {
        try
        {
            // hone train FOLDER: the folder is an argument of its own, or the start of one.
            string[] arguments = Encoding.UTF8.GetString(File.ReadAllBytes(Path.Combine(processEntry, "cmdline"))).Split('\0');
            return arguments.Skip(1).Any(a => a == path || a.StartsWith(path + "/", StringComparison.Ordinal))
                && arguments.Any(a => a is "train" or "prove");
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }

    [LoggerMessage(3011, LogLevel.Information, "Process {ProcessId} of an earlier server still works in {Folder}; waiting for its end")]
    private static partial void LogWaiting(ILogger logger, int processId, string folder);

    [LoggerMessage(3012, LogLevel.Warning, "Process {ProcessId} of an earlier server did not end with its life line; killing it ({Folder})")]
    private static partial void LogKilling(ILogger logger, int processId, string folder);
}
