using System.Text;
using System.Text.Json.Nodes;

namespace Hone.Tests.Crash;

/// <summary>Pause and resume over HTTP with the real executable, worker and trainer: the job ends with the bytes of one that nobody held back.</summary>
[Trait("Category", "Slow")]
[Trait("Category", "Native")]
public sealed class PauseTests : IDisposable
{
    private static readonly string[] Files = ["adapter_model.safetensors", "adapter_config.json", "rows.jsonl", "step_metrics.csv"];

    private readonly CrashFolder _folder = new();
    private readonly string _models = Directory.CreateTempSubdirectory("hone-pause-models-").FullName;

    public void Dispose()
    {
        _folder.Dispose();
        Directory.Delete(_models, recursive: true);
    }

    [Theory]
    [InlineData("supervised")]
    [InlineData("dpo")]
    public async Task Job_PausedTwiceAndTheServerStartedAnew_EndsWithTheBytesOfAnUndisturbedOne(string method)
    {
        SmallModel.Write(Repository.PathOf("models/SmolLM2-135M-Instruct.Q4_1.gguf"), Path.Combine(_models, "small.gguf"));
        var undisturbed = new Dictionary<string, byte[]>();
        string id;
        await using (CrashServer server = await CrashServer.StartAsync(_folder.Data, _models))
        {
            string first = await QueueAsync(server, "undisturbed", method);
            Assert.Equal("ready", (await server.FinishAsync(first))["status"]!.GetValue<string>());
            foreach (string file in Files)
                undisturbed[file] = await server.DownloadAsync(first, file);

            id = await QueueAsync(server, "held", method);
            await server.SeeAsync(id, m => m.StartsWith("Step 3/", StringComparison.Ordinal));
            Assert.Equal(0, (await CommandLine.RunAsync(["finetune", "pause", "held", .. server.Connection])).Code);
            await server.SeeAsync(id, m => m == "The job is paused");
            await CrashServer.NobodyWorksInAsync(Path.Combine(_folder.Data, "jobs"));
        }
        // It stays held back.
        await using (CrashServer server = await CrashServer.StartAsync(_folder.Data, _models))
        {
            CommandResult resumed = await CommandLine.RunAsync(["finetune", "resume", "held", .. server.Connection]);
            Assert.Equal((0, "resumed held"), (resumed.Code, resumed.Output.Trim()));
            await server.SeeAsync(id, m => m.StartsWith("Fine-tuning job resumed from step", StringComparison.Ordinal));
            await CommandLine.RunAsync(["finetune", "pause", "held", .. server.Connection]);
            await server.SeeAsync(id, m => m == "The job is paused", times: 2);
            Assert.Equal(0, (await CommandLine.RunAsync(["finetune", "resume", "held", .. server.Connection])).Code);

            JsonNode state = await server.FinishAsync(id);

            List<string> messages = await server.MessagesAsync(id);
            Assert.True(state["status"]!.GetValue<string>() == "ready", string.Join('\n', messages));
            Assert.Single(messages, m => m == "The job has successfully completed");
            foreach (string file in Files)
            {
                byte[] bytes = await server.DownloadAsync(id, file);
                Assert.True(undisturbed[file].AsSpan().SequenceEqual(bytes), $"{file} differs from that of an undisturbed run:\n{(file.EndsWith(".safetensors", StringComparison.Ordinal) ? "" : Encoding.UTF8.GetString(bytes))}");
            }
            CommandResult refused = await CommandLine.RunAsync(["finetune", "pause", "held", .. server.Connection]);
            Assert.Equal(1, refused.Code);
            Assert.Contains("has succeeded", refused.Error, StringComparison.Ordinal);
        }
    }

    /// <summary>The worker gives its job back at once, however long the answers would take, and these end with what happened.</summary>
    [Fact]
    public async Task Bug_ShutdownWhileAnAnswerStreams_CountedAsALostWorker()
    {
        SmallModel.Write(Repository.PathOf("models/SmolLM2-135M-Instruct.Q4_1.gguf"), Path.Combine(_models, "small.gguf"));
        string id;
        Task<string> answer;
        await using (CrashServer server = await CrashServer.StartAsync(_folder.Data, _models))
        {
            id = await QueueAsync(server, "interrupted", "supervised");
            await server.SeeAsync(id, m => m.StartsWith("Step 3/", StringComparison.Ordinal));
            answer = await server.StreamAsync("@cf/huggingfacetb/smollm2-135m-instruct", "1 2 3 4 5 6 7 8 9 10 11 12", 8_000);
        }

        Assert.Contains("The server shuts down", await answer, StringComparison.Ordinal);
        await using CrashServer next = await CrashServer.StartAsync(_folder.Data, _models);
        List<string> messages = await next.MessagesAsync(id);
        Assert.Contains("The server shuts down. The job is queued again.", messages);
        Assert.DoesNotContain(messages, m => m.Contains("was lost", StringComparison.Ordinal));
    }

    private static async Task<string> QueueAsync(CrashServer server, string name, string method)
    {
        string id = await server.CreateAsync("@local/small", name);
        await server.UploadAsync(id, "training_config.json", """{"n_epochs":50,"batch_size":4,"rank":4,"learning_rate":0.001,"max_length":128,"seed":7,"dropout":0.1}""");
        await server.UploadAsync(id, "validation_data.jsonl", string.Concat(Enumerable.Range(20, 4).Select(i => Row(i, method))));
        await server.UploadAsync(id, "training_data.jsonl", string.Concat(Enumerable.Range(1, 12).Select(i => Row(i, method))));
        return id;
    }

    private static string Row(int i, string method) => method == "dpo"
        ? $$"""{"input":{"messages":[{"role":"user","content":"Parcel {{i}} is late."}]},"preferred_output":[{"role":"assistant","content":"delay {{i * 7 % 12}}"}],"non_preferred_output":[{"role":"assistant","content":"no"}]}""" + "\n"
        : $$"""{"messages":[{"role":"user","content":"Parcel {{i}} is late."},{"role":"assistant","content":"delay {{i * 7 % 12}}"}]}""" + "\n";
}
