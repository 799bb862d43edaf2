using System.Text.Json;

namespace Hone.Tests.Quickstart;

/// <summary>The whole way with a few rows: every process and every hand-over, not the quality of what is learnt.</summary>
[Trait("Category", "Slow")]
[Trait("Category", "Native")]
public sealed class QuickstartTests : IDisposable
{
    private const int Interrupt = 2, Kill = 9;

    private readonly TemporaryFolder _folder = new();

    public QuickstartTests()
    {
        foreach ((string name, int rows) in new[] { ("train", 12), ("valid", 2), ("test", 3) })
            File.WriteAllLines(_folder.At(name + ".jsonl"), File.ReadLines(Repository.PathOf($"examples/support-triage/{name}.jsonl")).Take(rows));
        _folder.Write("config.json", """{"n_epochs":1,"rank":2,"batch_size":6}""");
    }

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task Quickstart_FewRows_EndsWithScoresAndAnAdapterThatIsThere()
    {
        string data = _folder.At("data");
        await using HoneProcess quickstart = Start("--data", data, "--json");
        string output = await quickstart.RestAsync();
        string log = await quickstart.ErrorAsync();

        Assert.True(await quickstart.ExitAsync() == 0, log);
        string[] lines = output.TrimEnd().Split('\n');
        Assert.Single(lines);
        JsonElement result = JsonElement.Parse(lines[0]);
        foreach (string model in new[] { "base", "adapter" })
        {
            Assert.InRange(result.GetProperty(model).GetProperty("exact").GetDouble(), 0, 1);
            Assert.InRange(result.GetProperty(model).GetProperty("intent").GetDouble(), 0, 1);
        }
        Assert.True(result.GetProperty("train_seconds").GetDouble() > 0);
        Assert.True(result.GetProperty("total_seconds").GetDouble() > result.GetProperty("train_seconds").GetDouble());
        string adapter = result.GetProperty("adapter_dir").GetString()!;
        Assert.All(new[] { "adapter_config.json", "adapter_model.safetensors", "report.md", "rows.jsonl" }, file => Assert.True(new FileInfo(Path.Combine(adapter, file)).Length > 0));
        Assert.Contains("step 2/2", log, StringComparison.Ordinal);
        Assert.Contains("with adapter", log, StringComparison.Ordinal);
        Assert.Contains("curl http", log, StringComparison.Ordinal);
        await HoneProcess.NobodyUsesAsync(data);
    }

    [Theory]
    [InlineData(Interrupt, 130)]
    [InlineData(Kill, 137)]
    public async Task Quickstart_StoppedWhileItTrains_LeavesNoProcessBehind(int signal, int code)
    {
        string data = _folder.At("data");
        await using HoneProcess quickstart = Start("--data", data);
        await quickstart.LineWithAsync("Fine-tuning job started");

        quickstart.Signal(signal);

        Assert.Equal(code, await quickstart.ExitAsync());
        await HoneProcess.NobodyUsesAsync(data);
    }

    private HoneProcess Start(params string[] more) => new(["quickstart", "--examples", _folder.Path, "--config", _folder.At("config.json"), .. more]);
}
