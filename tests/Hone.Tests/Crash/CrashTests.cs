using System.Text;
using System.Text.Json.Nodes;

namespace Hone.Tests.Crash;

/// <summary>The adapter of a run that nobody disturbed; made once.</summary>
public sealed class UndisturbedRun : IAsyncLifetime
{
    private readonly string _models = Directory.CreateTempSubdirectory("hone-crash-models-").FullName;

    /// <summary>Folder of the small model.</summary>
    public string Models => _models;

    public byte[] Adapter { get; private set; } = [];

    public byte[] AdapterConfig { get; private set; } = [];

    public byte[] RowLosses { get; private set; } = [];

    public async ValueTask InitializeAsync()
    {
        SmallModel.Write(Repository.PathOf("models/SmolLM2-135M-Instruct.Q4_1.gguf"), Path.Combine(_models, "small.gguf"));
        using var folder = new CrashFolder();
        await using CrashServer server = await CrashServer.StartAsync(folder.Data, _models);
        string id = await CrashTests.QueueAsync(server);
        JsonNode state = await server.FinishAsync(id);
        Assert.True(state["status"]!.GetValue<string>() == "ready", state.ToJsonString());
        Adapter = await server.DownloadAsync(id, "adapter_model.safetensors");
        AdapterConfig = await server.DownloadAsync(id, "adapter_config.json");
        RowLosses = await server.DownloadAsync(id, "rows.jsonl");
    }

    public ValueTask DisposeAsync()
    {
        Directory.Delete(_models, recursive: true);
        return ValueTask.CompletedTask;
    }
}

internal sealed class CrashFolder : IDisposable
{
    private readonly string _path = Directory.CreateTempSubdirectory("hone-crash-").FullName;

    public string Data => Path.Combine(_path, "data");

    public string Marker => Path.Combine(_path, "killed");

    public void Dispose() => Directory.Delete(_path, recursive: true);
}

/// <summary>
/// SIGKILL of the server or of its trainer at named points, with the real executable and trainer, a small model, and nothing but the public API. Each job ends
/// ready exactly once, with the bytes of an undisturbed run, and no process is left.
/// </summary>
[Trait("Category", "Slow")]
[Trait("Category", "Native")]
public sealed class CrashTests(UndisturbedRun undisturbed) : IClassFixture<UndisturbedRun>
{
    private const int Killed = 128 + 9;

    /// <summary>Six steps with a checkpoint after each second.</summary>
    private const string Config = """{"n_epochs":2,"batch_size":4,"rank":4,"learning_rate":0.001,"max_length":128,"seed":7,"checkpoint_steps":2}""";

    private static readonly string Rows = string.Concat(Enumerable.Range(1, 12).Select(
        i => $$"""{"messages":[{"role":"user","content":"Parcel {{i}} is late."},{"role":"assistant","content":"delay {{i * 7 % 12}}"}]}""" + "\n"));

    [Theory]
    [InlineData("worker.claimed")]
    [InlineData("worker.folder_made")]
    [InlineData("worker.train_started")]
    [InlineData("worker.step#3")]
    [InlineData("worker.checkpoint_told#2")]
    [InlineData("worker.checkpoint_stored")]
    [InlineData("worker.checkpoint_saved")]
    [InlineData("worker.adapter_saved")]
    [InlineData("worker.trained")]
    [InlineData("worker.proven")]
    [InlineData("worker.file_stored#2")]
    [InlineData("worker.publishing")]
    [InlineData("worker.concluded")]
    public async Task Server_KilledAtPoint_JobEndsReadyOnceWithTheSameBytes(string point)
    {
        using var folder = new CrashFolder();
        string id;
        await using (CrashServer doomed = await CrashServer.StartAsync(folder.Data, undisturbed.Models, point, folder.Marker))
        {
            id = await QueueAsync(doomed, mayDie: true);
            Assert.Equal(Killed, await doomed.ExitAsync());
        }
        Assert.True(File.Exists(folder.Marker));
        await CrashServer.NobodyWorksInAsync(folder.Data);

        await using CrashServer server = await CrashServer.StartAsync(folder.Data, undisturbed.Models);
        await HoldsAsync(server, id);
    }

    [Theory]
    [InlineData("train.rows")]
    [InlineData("train.started")]
    [InlineData("train.step.1")]
    [InlineData("train.before_checkpoint")]
    [InlineData("train.after_checkpoint")]
    [InlineData("train.adapter_saved")]
    [InlineData("train.step.3")]
    [InlineData("train.before_checkpoint#2")]
    [InlineData("train.trained")]
    [InlineData("train.adapter_written")]
    [InlineData("prove.compared")]
    [InlineData("prove.report_written")]
    public async Task Trainer_KilledAtPoint_JobEndsReadyOnceWithTheSameBytes(string point)
    {
        using var folder = new CrashFolder();
        await using (CrashServer server = await CrashServer.StartAsync(folder.Data, undisturbed.Models, point, folder.Marker))
        {
            string id = await QueueAsync(server);
            await HoldsAsync(server, id);
            Assert.True(File.Exists(folder.Marker));
            Assert.Contains(await server.MessagesAsync(id), m => m.Contains("signal SIGKILL", StringComparison.Ordinal));
        }
        await CrashServer.NobodyWorksInAsync(folder.Data);
    }

    /// <param name="mayDie">The server may be gone before it has answered the last upload; that it took it shows after the restart.</param>
    internal static async Task<string> QueueAsync(CrashServer server, bool mayDie = false)
    {
        string id = await server.CreateAsync("@local/small", "crash");
        await server.UploadAsync(id, "training_config.json", Config);
        try
        {
            await server.UploadAsync(id, "training_data.jsonl", Rows);
        }
        catch (HttpRequestException) when (mayDie)
        {
        }
        return id;
    }

    private async Task HoldsAsync(CrashServer server, string id)
    {
        JsonNode state = await server.FinishAsync(id);
        List<string> messages = await server.MessagesAsync(id);

        Assert.True(state["status"]!.GetValue<string>() == "ready", string.Join('\n', messages));
        Assert.Single(messages, m => m == "The job has successfully completed");
        Assert.Single(messages, m => m.StartsWith("New fine-tuned model created", StringComparison.Ordinal));
        Assert.Equal(Encoding.UTF8.GetString(undisturbed.AdapterConfig), Encoding.UTF8.GetString(await server.DownloadAsync(id, "adapter_config.json")));
        Assert.Equal(Encoding.UTF8.GetString(undisturbed.RowLosses), Encoding.UTF8.GetString(await server.DownloadAsync(id, "rows.jsonl")));
        byte[] adapter = await server.DownloadAsync(id, "adapter_model.safetensors");
        Assert.True(undisturbed.Adapter.AsSpan().SequenceEqual(adapter), "The adapter's bytes differ from those of an undisturbed run.");
    }
}
