using System.Runtime.CompilerServices;
using System.Text;
using System.Text.Json;
using Hone.Core.Processes;
using Hone.Formats.Jobs;
using Microsoft.Extensions.Logging;

namespace Hone.Core.Scheduling;

/// <summary><c>hone train DIR</c> or <c>hone prove DIR</c>, and the events that it writes.</summary>
internal sealed partial class TrainerProcess(ChildProcess child, ILogger logger) : IAsyncDisposable
{
    public const string Train = "train";
    public const string Prove = "prove";

    public ChildProcess Child => child;

    public static TrainerProcess Start(string command, JobFolder folder, WorkerSettings settings, ILogger logger, TimeProvider clock)
    {
        var start = new ChildStart
        {
            Executable = settings.Executable ?? HoneExecutable.Locate(),
            Arguments = [command, folder.Path],
            WorkingDirectory = folder.Path,
            Threads = settings.ThreadsPerJob,
        };
        return new TrainerProcess(ChildProcess.Start(start, logger, clock), logger);
    }

    /// <summary>Events until the child closes its output, which it does by ending.</summary>
    /// <exception cref="ChildProtocolException">A line is an object but no event, or too long.</exception>
    public async IAsyncEnumerable<TrainerEvent> ReadEventsAsync([EnumeratorCancellation] CancellationToken cancellationToken)
    {
        await foreach (ReadOnlyMemory<byte> line in child.ReadLinesAsync(cancellationToken))
        {
            ReadOnlyMemory<byte> text = line.TrimEnd((byte)'\r');
            if (text.IsEmpty)
                continue;
            if (text.Span[0] != '{')
            {
                // Native libraries print what they like.
                LogOutput(logger, child.Label, Encoding.UTF8.GetString(text.Span));
                continue;
            }
            yield return Parse(text);
        }
    }

    public ValueTask DisposeAsync() => child.DisposeAsync();

    private TrainerEvent Parse(ReadOnlyMemory<byte> line)
    {
        try
        {
            return JsonSerializer.Deserialize(line.Span, JobJson.Default.TrainerEvent)!;
        }
        catch (Exception error) when (error is JsonException or NotSupportedException)
        {
            string start = Encoding.UTF8.GetString(line.Span[..Math.Min(200, line.Length)]);
            throw new ChildProtocolException($"'{child.Label}' wrote a line that is no event: {error.Message} The line starts with: {start}", error);
        }
    }

    [LoggerMessage(3021, LogLevel.Debug, "hone {Label} printed: {Line}")]
    private static partial void LogOutput(ILogger logger, string label, string line);
}
