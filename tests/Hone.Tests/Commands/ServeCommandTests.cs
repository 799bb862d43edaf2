using System.Globalization;
using System.Net;
using System.Net.Http.Json;
using System.Net.Sockets;
using System.Text.Json;
using Hone.Formats.Models;

namespace Hone.Tests.Commands;

[Trait("Category", "Slow")]
[Trait("Category", "Native")]
public sealed class ServeCommandTests : IDisposable
{
    private const int Terminate = 15;

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task Serve_FirstRun_PrintsWhatClientsNeedAndEndsCleanly()
    {
        string data = _folder.At("data");
        if (!OperatingSystem.IsWindows())
            Directory.CreateDirectory(data, Open); // as somebody else made it
        await using var server = new HoneProcess("serve", "--listen", "http://127.0.0.1:0", "--data", data);
        string url = (await server.LineWithAsync("Hone listens on ")).Split(' ')[3].TrimEnd(';');
        string token = (await server.LineWithAsync("CLOUDFLARE_API_TOKEN=")).Split('=')[1];

        string credentials = Path.Combine(data, "credentials.json");
        if (!OperatingSystem.IsWindows())
        {
            foreach (string path in Directory.EnumerateFileSystemEntries(data, "*", SearchOption.AllDirectories))
                Assert.Equal(UnixFileMode.None, File.GetUnixFileMode(path) & Open & ~Own);
        }
        JsonElement file = JsonElement.Parse(File.ReadAllText(credentials));
        Assert.Equal((url, token), (file.GetProperty("url").GetString(), file.GetProperty("token").GetString()));
        CommandResult models = await CommandLine.RunAsync("models", "list", "--data", data);
        Assert.True(models.Code == 0, models.Error);
        Assert.Contains("@cf/huggingfacetb/smollm2-135m-instruct", models.Output, StringComparison.Ordinal);

        CommandResult locked = await RunAsync("serve", "--listen", "http://127.0.0.1:0", "--data", data);
        Assert.Equal(1, locked.Code);
        Assert.Contains($"process {server.Id}", OneLine(locked.Error), StringComparison.Ordinal);

        server.Signal(Terminate);
        Assert.Equal(0, await server.ExitAsync());
        await HoneProcess.NobodyUsesAsync(data);

        await using var again = new HoneProcess("serve", "--listen", "http://127.0.0.1:0", "--data", data);
        Assert.DoesNotContain(token, await again.LineWithAsync("CLOUDFLARE_API_TOKEN="), StringComparison.Ordinal);
    }

    private const UnixFileMode Own = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;
    private const UnixFileMode Open = Own | UnixFileMode.GroupRead | UnixFileMode.GroupExecute | UnixFileMode.OtherRead | UnixFileMode.OtherExecute;

    /// <summary>The account stands before the port is open, so that nobody who reads the credentials file is refused.</summary>
    [Fact]
    public async Task Bug_Serve_FirstCallOnceThePortIsOpen_IsLetIn()
    {
        int port = FreePort();
        string data = _folder.At("data");
        await using var server = new HoneProcess("serve", "--listen", $"http://127.0.0.1:{port}", "--data", data, "--no-worker");
        using var client = new HttpClient { BaseAddress = new Uri($"http://127.0.0.1:{port}") };
        while (!await IsOpenAsync(port))
            await Task.Yield();

        JsonElement credentials = JsonElement.Parse(File.ReadAllText(Path.Combine(data, "credentials.json")));
        client.DefaultRequestHeaders.Authorization = new("Bearer", credentials.GetProperty("token").GetString());
        using HttpResponseMessage answer = await client.GetAsync($"client/v4/accounts/{credentials.GetProperty("account_id").GetString()}/ai/finetunes", TestContext.Current.CancellationToken);

        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
    }

    /// <summary>Prompts that fill what an engine keeps of ended answers: what it takes is what <c>hone models check</c> reckons.</summary>
    [Fact]
    public async Task Bug_ServedMemory_WasReckonedWithWidenedWeights()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "reads /proc");
        const string Model = "@cf/huggingfacetb/smollm2-135m-instruct";
        const int Tokens = 2_000;
        string data = _folder.At("data");
        await using var server = new HoneProcess("serve", "--listen", "http://127.0.0.1:0", "--data", data, "--no-worker");
        await server.LineWithAsync("Hone listens on ");
        JsonElement credentials = JsonElement.Parse(File.ReadAllText(Path.Combine(data, "credentials.json")));
        using var client = new HttpClient { BaseAddress = new Uri(credentials.GetProperty("url").GetString()!), Timeout = HoneProcess.Patience };
        client.DefaultRequestHeaders.Authorization = new("Bearer", credentials.GetProperty("token").GetString());
        for (int i = 0; i < 4; i++)
        {
            string prompt = i + string.Concat(Enumerable.Repeat(" word", Tokens - 2));
            using HttpResponseMessage answer = await client.PostAsJsonAsync($"client/v4/accounts/{credentials.GetProperty("account_id").GetString()}/ai/run/{Model}",
                new { prompt, raw = true, max_tokens = 2 }, TestContext.Current.CancellationToken);
            Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        }

        string engine = Assert.Single(Directory.EnumerateDirectories("/proc"), p => Is(p, "cmdline", "engine") && Is(p, "status", $"PPid:\t{server.Id}\n"));
        long taken = 1024 * long.Parse(File.ReadLines(Path.Combine(engine, "status")).First(l => l.StartsWith("VmHWM:", StringComparison.Ordinal)).Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture);
        using BaseModel model = BaseModel.Open(Path.Combine(Repository.Root, "models", "SmolLM2-135M-Instruct.Q4_1.gguf"));
        long reckoned = ModelMemory.OfServing(model.Config, ModelFiles.Stamp(model.Path).Size, [], 0, answers: 1, Tokens, model.HasParts).Total;
        Assert.InRange(reckoned, 0.85 * taken, 1.15 * taken);

        static bool Is(string process, string file, string text)
        {
            try
            {
                return File.ReadAllText(Path.Combine(process, file)).Contains(text, StringComparison.Ordinal);
            }
            catch (Exception gone) when (gone is IOException or UnauthorizedAccessException)
            {
                return false;
            }
        }
    }

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }

    private static async Task<bool> IsOpenAsync(int port)
    {
        using var socket = new TcpClient();
        try
        {
            await socket.ConnectAsync(IPAddress.Loopback, port);
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }

    [Fact]
    public async Task Serve_InputThatEnds_EndsTheServer()
    {
        await using var server = new HoneProcess("serve", "--listen", "http://127.0.0.1:0", "--data", _folder.At("data"), "--json", "--until-input-ends");
        JsonElement credentials = JsonElement.Parse(await server.LineWithAsync("{"));
        Assert.StartsWith("http://127.0.0.1:", credentials.GetProperty("url").GetString(), StringComparison.Ordinal);

        server.EndInput();

        Assert.Equal(0, await server.ExitAsync());
    }

    [Fact]
    public async Task Serve_PortInUse_SaysSoInOneLine()
    {
        using var taken = new TcpListener(IPAddress.Loopback, 0);
        taken.Start();

        CommandResult result = await RunAsync("serve", "--listen", $"http://{taken.LocalEndpoint}", "--data", _folder.At("data"));

        Assert.Equal(1, result.Code);
        Assert.Contains(taken.LocalEndpoint.ToString()!, OneLine(result.Error), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Serve_DataFolderThatCannotBe_SaysSoInOneLine()
    {
        string file = _folder.Write("file", "");

        CommandResult result = await RunAsync("serve", "--listen", "http://127.0.0.1:0", "--data", Path.Combine(file, "data"));

        Assert.Equal(1, result.Code);
        Assert.Contains(file, OneLine(result.Error), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Finetune_CreatedListedAndDeleted_OverTheApi()
    {
        string data = _folder.At("data");
        await using var server = new HoneProcess("serve", "--listen", "http://127.0.0.1:0", "--data", data, "--no-worker");
        await server.LineWithAsync("credentials.json");
        const string model = "@cf/huggingfacetb/smollm2-135m-instruct";

        CommandResult created = await CommandLine.RunAsync("finetune", "create", model, "mine", "--description", "d", "--json", "--data", data);
        Assert.True(created.Code == 0, created.Error);
        Assert.Equal("awaiting_assets", JsonElement.Parse(created.Output).GetProperty("status").GetString());
        CommandResult twice = await CommandLine.RunAsync("finetune", "create", model, "mine", "--data", data);
        Assert.Equal(1, twice.Code);
        Assert.Contains(JsonElement.Parse(created.Output).GetProperty("id").GetString()!, twice.Error, StringComparison.Ordinal);
        CommandResult refused = await CommandLine.RunAsync(
            "finetune", "upload", "mine", Repository.PathOf("tests/Hone.Formats.Tests/data/bad/weight_2.jsonl"), "--as", "training_data.jsonl", "--data", data);
        Assert.Equal(1, refused.Code);
        Assert.Contains("weight", refused.Error, StringComparison.Ordinal);
        CommandResult missing = await CommandLine.RunAsync("finetune", "download", "mine", "--data", data);
        Assert.Contains("no adapter yet", missing.Error, StringComparison.Ordinal);
        Assert.Equal(0, (await CommandLine.RunAsync("finetune", "delete", "mine", "--data", data)).Code);
        Assert.Equal("[]", (await CommandLine.RunAsync("finetune", "list", "--json", "--data", data)).Output.Trim());
        Assert.Equal(1, (await CommandLine.RunAsync("finetune", "get", "mine", "--data", data)).Code);
    }

    private static async Task<CommandResult> RunAsync(params string[] args)
    {
        await using var process = new HoneProcess(args);
        string output = await process.RestAsync();
        return new CommandResult(await process.ExitAsync(), output, await process.ErrorAsync());
    }

    private static string OneLine(string error)
    {
        string[] lines = error.TrimEnd().Split('\n');
        Assert.InRange(lines.Length, 1, 2);
        Assert.StartsWith("error: ", lines[0], StringComparison.Ordinal);
        return lines[0];
    }
}
