using System.Text.Json;
using Hone.Core.Scheduling;
using Hone.Core.Tests.Blobs;
using Hone.Formats.Jobs;

namespace Hone.Tests.Commands.Children;

[Trait("Category", "Native")]
[Trait("Category", "Slow")]
public sealed class TrainCommandTests
{
    /// <summary>Where nothing can be allocated any more, the runtime's way out takes seconds, never ends, or is one without a word.</summary>
    /// <param name="megabytes">Less than the process itself takes, and the sizes at which the weights are loaded and the first step begins.</param>
    [Theory]
    [InlineData(100)]
    [InlineData(300)]
    [InlineData(700)]
    [InlineData(710)]
    public async Task Bug_NoMemoryLeft_SaysSoAndEndsAtOnce(int megabytes)
    {
        string folder = Directory.CreateTempSubdirectory("hone-train-").FullName;
        try
        {
            File.Copy(Repository.PathOf("examples/support-triage/train.jsonl"), Path.Combine(folder, "training_data.jsonl"));
            await WriteAsync(folder, Job(new TrainingConfig { NEpochs = 1, Precision = "float32" }) with { Threads = 1, MemoryLimitMb = megabytes });
            await using var process = new HoneProcess("train", folder);
            string said = await process.LineWithAsync("\"failed\"");
            long told = TimeProvider.System.GetTimestamp();
            Assert.Equal(1, await process.ExitAsync());
            Assert.Contains("out_of_memory", said, StringComparison.Ordinal);
            // A worker that must wait longer kills it.
            Assert.InRange(TimeProvider.System.GetElapsedTime(told), TimeSpan.Zero, new WorkerSettings { DataFolder = folder }.StopGrace);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Fact]
    public async Task Run_DiskFull_GoesOnWithoutCheckpointsAndEndsWithTheCause()
    {
        using var disk = SmallDisk.TryMount();
        Assert.SkipWhen(disk is null, "Mounting a small disk needs root.");
        await File.WriteAllLinesAsync(Path.Combine(disk.Path, "training_data.jsonl"), File.ReadLines(Repository.PathOf("examples/support-triage/train.jsonl")).Take(4), TestContext.Current.CancellationToken);
        await WriteAsync(disk.Path, Job(new TrainingConfig { NEpochs = 2, BatchSize = 4, CheckpointSteps = 1, Precision = "float32" }));
        await using var process = new HoneProcess("train", disk.Path);
        string said = await process.RestAsync();
        foreach (string what in (string[])["The checkpoint of step 1", "The adapter of step 1", "The checkpoint of step 2"])
            Assert.Contains($"{what} could not be written: the server\\u0027s disk is full.", said, StringComparison.Ordinal);
        // The adapter itself is what the job is for: its worker tries again once there is space.
        Assert.Equal(1, await process.ExitAsync());
        JsonElement last = JsonElement.Parse(said.TrimEnd().Split('\n')[^1]);
        Assert.Equal(("failed", JobFiles.DiskFull), (last.GetProperty("type").GetString(), last.GetProperty("code").GetString()));
        Assert.Empty(Directory.EnumerateFiles(disk.Path, "*.tmp", SearchOption.AllDirectories));
    }

    private static JobSpec Job(TrainingConfig config) => new()
    {
        JobId = "job",
        Fence = 1,
        Name = "job",
        ModelId = "m",
        ModelPath = Directory.GetFiles(Repository.PathOf("models"), "*.gguf").Single(),
        TrainingData = "training_data.jsonl",
        Config = config,
    };

    private static Task WriteAsync(string folder, JobSpec spec)
        => File.WriteAllBytesAsync(Path.Combine(folder, JobSpec.FileName), JsonSerializer.SerializeToUtf8Bytes(spec, JobJson.Default.JobSpec), TestContext.Current.CancellationToken);
}
