using System.Text.Json;
using Hone.Formats.Jobs;

namespace Hone.Training.Processes;

/// <summary>Events as lines of JSON on standard output, each flushed: what the worker reads is never behind what happened.</summary>
internal sealed class EventWriter(Stream output)
{
    private readonly Lock _lock = new();

    public void Write(TrainerEvent next)
    {
        byte[] line = [.. JsonSerializer.SerializeToUtf8Bytes(next, JobJson.Default.TrainerEvent), (byte)'\n'];
        lock (_lock)
        {
            output.Write(line);
            output.Flush();
        }
    }
}
