using System.Text.Json;
using Hone.Client;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;

namespace Hone.Tests.Client;

/// <summary>Against a scripted server: what the real one does only when it is unwell.</summary>
public sealed class HoneClientTests : IAsyncLifetime
{
    private const string Account = "/client/v4/accounts/acc";
    private const string Finetune = """{"id":"i","name":"n","model":"m","public":false,"created_at":"2026-01-01T00:00:00Z","modified_at":"2026-01-01T00:00:00Z","status":"ready","error":null,"new_field":7}""";

    private readonly WebApplication _app;
    private HoneClient? _client;

    public HoneClientTests()
    {
        WebApplicationBuilder builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.WebHost.UseKestrelCore().UseUrls("http://127.0.0.1:0");
        builder.Services.AddRoutingCore();
        _app = builder.Build();
    }

    public ValueTask InitializeAsync() => ValueTask.CompletedTask;

    public async ValueTask DisposeAsync()
    {
        _client?.Dispose();
        await _app.DisposeAsync();
    }

    [Fact]
    public async Task WatchEvents_StreamThatBreaks_GoesOnWhereItBroke()
    {
        var asked = new List<string>();
        var second = new TaskCompletionSource();
        _app.MapGet(Account + "/ai/finetunes/n/events", async (HttpContext context) =>
        {
            asked.Add(context.Request.Headers["Last-Event-ID"].ToString());
            context.Response.ContentType = "text/event-stream";
            int first = asked.Count == 1 ? 1 : 3;
            for (int i = first; i < first + 2; i++)
                await context.Response.WriteAsync($"id: {i}\nevent: message\ndata: {{\"sequence\":{i},\"created_at\":\"2026-01-01T00:00:00Z\",\"level\":\"info\",\"type\":\"message\",\"message\":\"e{i}\"}}\n\n");
            await context.Response.Body.FlushAsync();
            if (asked.Count > 1)
            {
                await context.Response.WriteAsync($"event: state\ndata: {Finetune}\n\n");
                return;
            }
            // What an abort overtakes never arrives.
            await second.Task;
            context.Abort();
        });
        HoneClient client = await StartAsync();

        List<string> messages = [];
        await foreach (FinetuneEvent happened in client.WatchEventsAsync("n", 0, TestContext.Current.CancellationToken))
        {
            messages.Add(happened.Message);
            if (happened.Sequence == 2)
                second.TrySetResult();
        }

        Assert.Equal(["e1", "e2", "e3", "e4"], messages);
        Assert.Equal(["", "2"], asked);
    }

    [Fact]
    public async Task Get_ServerUnwellForAMoment_IsAskedAgain()
    {
        int asked = 0;
        _app.MapGet(Account + "/ai/finetunes/n", (HttpContext context) => Answer(context, ++asked < 3 ? 503 : 200, asked < 3 ? Refusal("later") : Result(Finetune)));
        HoneClient client = await StartAsync();

        Assert.Equal("ready", (await client.GetFinetuneAsync("n", TestContext.Current.CancellationToken)).Status);
        Assert.Equal(3, asked);
    }

    [Fact]
    public async Task Create_ServerUnwell_IsNotRepeated()
    {
        int asked = 0;
        _app.MapPost(Account + "/ai/finetunes", (HttpContext context) => Answer(context, ++asked < 2 ? 503 : 200, Refusal("later")));
        HoneClient client = await StartAsync();

        ApiException refused = await Assert.ThrowsAsync<ApiException>(() => client.CreateFinetuneAsync(new CreateFinetune("m", "n", null, false), TestContext.Current.CancellationToken));

        Assert.Equal("later [code 9]", refused.Message);
        Assert.Equal(1, asked);
    }

    [Fact]
    public async Task Get_SomethingThatIsNotTheApi_IsSaid()
    {
        _app.MapGet(Account + "/ai/finetunes/n", (HttpContext context) => Answer(context, 200, "<html>hello</html>"));
        HoneClient client = await StartAsync();

        CliException refused = await Assert.ThrowsAsync<CliException>(() => client.GetFinetuneAsync("n", TestContext.Current.CancellationToken));

        Assert.Contains("<html>hello", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Download_BytesOfAnotherHash_AreRefusedAndNotKept()
    {
        _app.MapGet(Account + "/ai/finetunes/n/finetune-assets/a.bin", (HttpContext context) => Answer(context, 200, "bytes"));
        HoneClient client = await StartAsync();
        using var folder = new TemporaryFolder();
        var asset = new FinetuneAsset { FileName = "a.bin", Sha256 = new string('0', 64) };

        await Assert.ThrowsAsync<CliException>(() => client.DownloadAssetAsync("n", asset, folder.At("a.bin"), TestContext.Current.CancellationToken));

        Assert.Empty(Directory.GetFiles(folder.Path));
    }

    [Fact]
    public async Task Bug_DownloadThatIsInterrupted_EndsSilently()
    {
        using var interrupt = new CancellationTokenSource();
        using var folder = new TemporaryFolder();
        _app.MapGet(Account + "/ai/finetunes/n", (HttpContext context) => Answer(context, 200, Result(Finetune)));
        _app.MapGet(Account + "/ai/finetunes/i/finetune-assets/{file}", async (HttpContext context) =>
        {
            await context.Response.WriteAsync("the first bytes");
            await context.Response.Body.FlushAsync();
            while (Directory.GetFiles(folder.Path).Length == 0)
                await Task.Delay(5, context.RequestAborted);
            await interrupt.CancelAsync();
            await Task.Delay(Timeout.Infinite, context.RequestAborted);
        });
        await StartAsync();
        using StringWriter output = new(), error = new();

        int code = await Cli.RunAsync(["finetune", "download", "n", "--merged", "--to", folder.Path, "--url", _app.Urls.First(), "--account", "acc", "--token", "t"], output, error, interrupt.Token);

        Assert.Equal((130, "", ""), (code, output.ToString(), error.ToString()));
        Assert.Empty(Directory.GetFiles(folder.Path));
    }

    [Theory]
    [InlineData("finetune get n --json")]
    [InlineData("finetune list --json")]
    [InlineData("models list --json")]
    public async Task Bug_Json_IsTheServersOwn(string line)
    {
        _app.MapGet(Account + "/ai/finetunes/n", (HttpContext context) => Answer(context, 200, Result(Finetune)));
        _app.MapGet(Account + "/ai/finetunes", (HttpContext context) => Answer(context, 200, Result($"[{Finetune}]")));
        _app.MapGet(Account + "/ai/models/search", (HttpContext context) => Answer(context, 200, Result(context.Request.Query["page"] == "1" ? $"[{Finetune}]" : "[]")));
        await StartAsync();

        CommandResult result = await RunAsync(line.Split(' '));

        JsonElement printed = JsonElement.Parse(result.Output);
        Assert.Equal(Finetune, JsonSerializer.Serialize(printed.ValueKind == JsonValueKind.Array ? Assert.Single(printed.EnumerateArray()) : printed));
    }

    [Theory]
    [InlineData("failed", "hint: `hone finetune get n`")]
    [InlineData("running", "hint: `hone finetune watch n`")]
    public async Task Bug_DownloadWithoutAnAdapter_PointsToWhatSaysWhy(string status, string hint)
    {
        _app.MapGet(Account + "/ai/finetunes/n", (HttpContext context) => Answer(context, 200, Result(Finetune.Replace("ready", status, StringComparison.Ordinal))));
        await StartAsync();

        CommandResult result = await RunAsync("finetune", "download", "n", "--merged");

        Assert.Equal(1, result.Code);
        Assert.Contains(hint, result.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Bug_RunOfAModelThatIsNone_PointsToTheList()
    {
        _app.MapPost(Account + "/ai/run/@cf/a/b", (HttpContext context) => Answer(context, 400, Refusal("no such model", 5007)));
        await StartAsync();

        CommandResult result = await RunAsync("run", "@cf/a/b", "Hi");

        Assert.Equal(1, result.Code);
        Assert.Contains("hint: `hone models list`", result.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Bug_DownloadToAFile_AsksForAFolder()
    {
        _app.MapGet(Account + "/ai/finetunes/n", (HttpContext context) => Answer(context, 200, Result(Finetune)));
        await StartAsync();
        using var folder = new TemporaryFolder();
        string file = folder.Write("adapter", "");

        CommandResult result = await RunAsync("finetune", "download", "n", "--to", file);

        Assert.Equal((1, $"error: {file} is a file.\nhint: name the folder to write to with --to.\n"), (result.Code, result.Error));
    }

    [Fact]
    public async Task RunStream_CutBeforeItsEnd_IsAnError()
    {
        _app.MapPost(Account + "/ai/run/@cf/a/b", (HttpContext context) =>
        {
            context.Response.ContentType = "text/event-stream";
            return context.Response.WriteAsync("data: {\"response\":\"Hel\"}\n\ndata: {\"response\":\"lo\"}\n\n");
        });
        HoneClient client = await StartAsync();

        List<string> pieces = [];
        await Assert.ThrowsAsync<CliException>(async () =>
        {
            await foreach (string piece in client.RunStreamAsync("@cf/a/b", new RunRequest { Prompt = "p" }, TestContext.Current.CancellationToken))
                pieces.Add(piece);
        });

        Assert.Equal(["Hel", "lo"], pieces);
    }

    private async Task<HoneClient> StartAsync()
    {
        _app.UseRouting();
        await _app.StartAsync(TestContext.Current.CancellationToken);
        return _client = new HoneClient(new Connection(new Uri(_app.Urls.First()), "acc", "t"));
    }

    private Task<CommandResult> RunAsync(params string[] args) => CommandLine.RunAsync([.. args, "--url", _app.Urls.First(), "--account", "acc", "--token", "t"]);

    private static Task Answer(HttpContext context, int status, string body)
    {
        context.Response.StatusCode = status;
        return context.Response.WriteAsync(body);
    }

    private static string Result(string json) => $$"""{"result":{{json}},"success":true,"errors":[],"messages":[]}""";

    private static string Refusal(string message, int code = 9) => $$"""{"result":null,"success":false,"errors":[{"code":{{code}},"message":"{{message}}"}],"messages":[]}""";
}
