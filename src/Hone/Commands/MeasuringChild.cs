using System.CommandLine;
using System.Globalization;
using System.Text;
using Hone.Core.Processes;
using Microsoft.Extensions.Logging.Abstractions;

namespace Hone.Commands;

/// <summary>A child of this program with the environment that trainers and engines get: what it measures is what they do.</summary>
internal static class MeasuringChild
{
    public static Option<int?> Threads() => new("--threads")
    {
        Description = "Threads of the tensor library. Default: all cores.",
        HelpName = "N",
        CustomParser = argument => WorkerOptions.Number(argument, "--threads", WorkerOptions.MostThreads),
    };

    /// <returns>The last line that it printed.</returns>
    public static async Task<string> RunAsync(IReadOnlyList<string> arguments, int? threads, CancellationToken cancellationToken)
    {
        string[] all = threads is { } count ? [.. arguments, "--threads", count.ToString(CultureInfo.InvariantCulture)] : [.. arguments];
        await using ChildProcess child = ChildProcess.Start(new ChildStart { Executable = HoneExecutable.Locate(), Arguments = all, Threads = threads }, NullLogger.Instance, TimeProvider.System);
        string? last = null;
        await foreach (ReadOnlyMemory<byte> line in child.ReadLinesAsync(cancellationToken))
            last = Encoding.UTF8.GetString(line.Span);
        ChildExit exit = await child.Exited;
        if (exit.Code == 0 && last is not null)
            return last;
        const string Said = "error: ";
        string words = child.LastErrors(3);
        int said = words.LastIndexOf(Said, StringComparison.Ordinal);
        throw exit.Code == Cli.Failure && said >= 0 ? new CliException(words[(said + Said.Length)..]) : new CliException($"The measurement ended with {exit}: {words}");
    }

    /// <summary>In the child: it ends when its parent does.</summary>
    public static void EndWithParent() => _ = StandardInput.WhenItEndsAsync(() =>
    {
        Environment.Exit(Cli.Interrupted);
        return Task.CompletedTask;
    });
}
