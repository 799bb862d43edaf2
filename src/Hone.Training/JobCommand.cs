using System.Runtime.InteropServices;
using System.Text.Json;
using Hone.Formats;
using Hone.Formats.Files;
using Hone.Formats.Jobs;
using Hone.Training.Devices;
using Hone.Training.Kernels;
using Hone.Training.Processes;
using Hone.Training.Training;

namespace Hone.Training;

/// <summary>The job cannot succeed as it is; the message says what, where and what to do.</summary>
internal sealed class JobFailedException(string code, string message) : Exception(message)
{
    public string Code => code;
}

/// <summary>What the worker's children share: the job's file, the process's bounds, and exceptions as events.</summary>
internal static class JobCommand
{
    /// <param name="body">Its token is cancelled when the worker asks for a pause.</param>
    public static async Task<int> RunAsync(string folder, Action<JobSpec, EventWriter, CancellationToken> body)
    {
        ChildLifetime.LeadGroup();
        // Never disposed: the parent may ask until the process ends.
        var pause = new CancellationTokenSource();
        ChildLifetime.EndWithStandardInput(line =>
        {
            if (line == JobFiles.PauseLine)
                pause.Cancel();
        });
        ChildLifetime.YieldToServer(ChildLifetime.JobNice);
        var events = new EventWriter(Console.OpenStandardOutput());
        try
        {
            JobSpec job = await ReadAsync(Path.Combine(folder, JobSpec.FileName)).ConfigureAwait(false);
            Libtorch.Load();
            using MemoryLimit? limit = job.MemoryLimitMb is not { } megabytes ? null : new MemoryLimit(megabytes, () =>
            {
                events.Write(OutOfMemory($"The limit is {megabytes} MiB."));
                ChildLifetime.End(1);
            });
            Cores.BeginLoading();
            using var heartbeat = new Heartbeat(events.Write, () => Environment.CpuUsage.TotalTime, TimeProvider.System);
            body(job, events, pause.Token);
            return 0;
        }
        catch (Exception e) when (Failure(e) is { } failed)
        {
            events.Write(failed);
            return 1;
        }
    }

    private static async Task<JobSpec> ReadAsync(string path)
    {
        try
        {
            await using FileStream stream = File.OpenRead(path);
            return await JsonSerializer.DeserializeAsync(stream, JobJson.Default.JobSpec).ConfigureAwait(false) ?? throw new JsonException("it is null");
        }
        catch (Exception e) when (e is JsonException or IOException or UnauthorizedAccessException)
        {
            throw new JobFailedException("bad_config", $"{path}: {e.Message}");
        }
    }

    /// <summary>Null: a bug or the machine's fault, which trying again may mend.</summary>
    private static TrainerEvent.Failed? Failure(Exception e) => e switch
    {
        JobFailedException failed => new TrainerEvent.Failed(failed.Code, failed.Message),
        NotFiniteException => new TrainerEvent.Failed("not_finite", e.Message),
        LibtorchException => new TrainerEvent.Failed("bad_libtorch", e.Message),
        InvalidFileException => new TrainerEvent.Failed("bad_model", e.Message),
        OutOfMemoryException => OutOfMemory(e.Message),
        IOException when AtomicFile.IsFull(e) => new TrainerEvent.Failed(JobFiles.DiskFull, "The disk is full."),
        ExternalException when e.Message.Contains("CUDA out of memory", StringComparison.Ordinal) => new TrainerEvent.Failed(
            "out_of_memory", $"The device's memory ran out: lower max_length or batch_size, or set recompute. ({e.Message.Split('\n')[0]})"),
        ExternalException or InvalidOperationException when e.Message.Contains("alloc", StringComparison.OrdinalIgnoreCase) => OutOfMemory(e.Message),
        _ => null,
    };

    private static TrainerEvent.Failed OutOfMemory(string cause) =>
        new("out_of_memory", $"Memory ran out after {ChildLifetime.PeakMemoryMb():f0} MiB: lower batch_size or max_length, or raise the worker's memory limit. ({cause.Split('\n')[0]})");
}
