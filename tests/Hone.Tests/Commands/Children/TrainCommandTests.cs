using System.Text.Json;
using Hone.Core.Scheduling;
using Hone.Formats.Jobs;

namespace Hone.Tests.Commands.Children;

[Trait("Category", "Native")]
[Trait("Category", "Slow")]
public sealed class TrainCommandTests
{
    /// <summary>Where nothing can be allocated any more, the runtime's way out takes seconds or never ends.</summary>
    [Fact]
    public async Task Bug_NoMemoryLeft_SaysSoAndEndsAtOnce()
    {
        string folder = Directory.CreateTempSubdirectory("hone-train-").FullName;
        try
        {
            File.Copy(Repository.PathOf("examples/support-triage/train.jsonl"), Path.Combine(folder, "training_data.jsonl"));
            var spec = new JobSpec
            {
                JobId = "limited",
                Fence = 1,
                Name = "limited",
                ModelId = "m",
                ModelPath = Directory.GetFiles(Repository.PathOf("models"), "*.gguf").Single(),
                TrainingData = "training_data.jsonl",
                Config = new TrainingConfig { NEpochs = 1, Precision = "float32" },
                Threads = 1,
                MemoryLimitMb = 700,
            };
            await File.WriteAllBytesAsync(Path.Combine(folder, JobSpec.FileName), JsonSerializer.SerializeToUtf8Bytes(spec, JobJson.Default.JobSpec), TestContext.Current.CancellationToken);
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
}
