using System.Net;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using Hone.Core;
using Hone.Core.Store;
using Hone.Server.Tests.Cloudflare;
using Microsoft.Extensions.Time.Testing;

namespace Hone.Server.Tests.Hosting;

public sealed partial class HostingTests(RunningServer server) : IClassFixture<RunningServer>
{
    [Fact]
    public async Task Health_WithoutCredentials_Answers()
    {
        Assert.Equal("""{"status":"ok"}""", await server.Http.GetStringAsync("/healthz"));
        Assert.Equal("""{"status":"ready"}""", await server.Http.GetStringAsync("/readyz"));
        foreach (string path in new[] { "/healthz", "/readyz" })
        {
            using var head = await server.Http.SendAsync(new HttpRequestMessage(HttpMethod.Head, path));
            Assert.Equal((HttpStatusCode.OK, ""), (head.StatusCode, await head.Content.ReadAsStringAsync(TestContext.Current.CancellationToken)));
        }
    }

    /// <summary>As a browser asks: before a call with a token, and then with it. Errors can be read as well.</summary>
    [Theory]
    [InlineData("https://a.example", "https://a.example")]
    [InlineData("*", "*")]
    [InlineData("https://b.example", null)]
    [InlineData(null, null)]
    public async Task Origins_Allowed_MayCallAndReadErrors(string? allowed, string? expected)
    {
        await using var own = new RunningServer();
        await own.StartAsync(new HoneLimits(), origins: allowed is null ? null : [allowed]);
        using var ask = new HttpRequestMessage(HttpMethod.Options, "/v1/chat/completions") { Headers = { { "Origin", "https://a.example" }, { "Access-Control-Request-Method", "POST" }, { "Access-Control-Request-Headers", "authorization,content-type" } } };
        using var asked = await own.Http.SendAsync(ask);
        using var call = new HttpRequestMessage(HttpMethod.Post, "/v1/chat/completions") { Headers = { { "Origin", "https://a.example" } }, Content = new StringContent("{}") };
        using var called = await own.Http.SendAsync(call);

        Assert.Equal(expected, Allowed(asked));
        Assert.Equal(expected, Allowed(called));
        Assert.Equal(HttpStatusCode.Unauthorized, called.StatusCode);
        if (expected is not null)
            Assert.Equal((HttpStatusCode.NoContent, "authorization,content-type"), (asked.StatusCode, asked.Headers.GetValues("Access-Control-Allow-Headers").Single()));

        static string? Allowed(HttpResponseMessage response) => response.Headers.TryGetValues("Access-Control-Allow-Origin", out var values) ? values.Single() : null;
    }

    [Fact]
    public async Task OpenApi_Document_HasEveryPath()
    {
        var document = JsonElement.Parse(await server.Http.GetStringAsync("/openapi.json"));
        var paths = document.GetProperty("paths");
        (string Path, string Method)[] all =
        [
            ("/client/v4/accounts/{account_id}/ai/finetunes", "post"), ("/client/v4/accounts/{account_id}/ai/finetunes", "get"),
            ("/client/v4/accounts/{account_id}/ai/finetunes/public", "get"), ("/client/v4/accounts/{account_id}/ai/finetunes/{finetune_id}", "delete"),
            ("/client/v4/accounts/{account_id}/ai/finetunes/{finetune_id}/finetune-assets", "post"), ("/client/v4/accounts/{account_id}/ai/run", "post"),
            ("/client/v4/accounts/{account_id}/ai/models/search", "get"), ("/client/v4/user/tokens/verify", "get"),
        ];
        foreach (var (path, method) in all)
            Assert.True(paths.GetProperty(path).TryGetProperty(method, out _), $"{method} {path}");
        var create = paths.GetProperty("/client/v4/accounts/{account_id}/ai/finetunes").GetProperty("post");
        Assert.Contains("name", create.GetProperty("requestBody").GetRawText() + document.GetProperty("components").GetRawText(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Docs_Page_LoadsNothingFromOtherHosts()
    {
        string page = await server.Http.GetStringAsync("/docs/");
        Assert.Contains("openapi.json", page, StringComparison.Ordinal);
        var scripts = Source().Matches(page);
        Assert.NotEmpty(scripts);
        foreach (Match script in scripts)
        {
            string address = script.Groups[1].Value;
            Assert.DoesNotContain("//", address, StringComparison.Ordinal);
            using var response = await server.Http.GetAsync(new Uri(new Uri(server.Url, "/docs/"), address));
            Assert.Equal(HttpStatusCode.OK, response.StatusCode);
            Assert.True((await response.Content.ReadAsByteArrayAsync()).Length > 1000);
        }
        Assert.DoesNotContain("cdn.", page, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Start_FolderHeldByAnother_SaysWho()
    {
        await using var second = new SecondServer(server.DataFolder, 0);
        var error = await Assert.ThrowsAsync<StorageException>(second.StartAsync);
        Assert.Equal(StorageProblem.InUse, error.Problem);
        Assert.Contains(server.DataFolder, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Start_PortInUse_FailsAndReleasesTheFolder()
    {
        string folder = Path.Combine(server.Folder, "other");
        await using (var second = new SecondServer(folder, server.Url.Port))
            await Assert.ThrowsAnyAsync<IOException>(second.StartAsync);
        await using var third = new SecondServer(folder, 0);
        await third.StartAsync();
    }

    [Fact]
    public async Task Stop_WithOpenStreams_EndsThemAndKeepsTheData()
    {
        await using var own = new RunningServer();
        await own.InitializeAsync();
        var account = await own.NewAccountAsync();
        string id = await account.CreatedAsync("kept");
        var request = account.Request(HttpMethod.Get, "/ai/finetunes/kept/events");
        request.Headers.Accept.ParseAdd("text/event-stream");
        using (var stream = await EventReader.OpenAsync(own, request))
        {
            Assert.NotNull(await stream.NextAsync());
            var stopped = own.App.StopAsync();
            ServerEvent last = (await stream.NextAsync())!;
            Assert.Equal(("error", 10503), (last.Name, last.Data.GetProperty("errors")[0].GetProperty("code").GetInt32()));
            Assert.Null(await stream.NextAsync());
            await stopped.WaitAsync(TimeSpan.FromSeconds(8));
        }
        await own.StopAsync();
        await own.StartAsync(new HoneLimits());
        Assert.Equal("kept", (await account.GetAsync($"/ai/finetunes/{id}")).MustSucceed().Result.GetProperty("name").GetString());
    }

    /// <summary>An upload would take the server's stop for as long as its line is slow.</summary>
    [Fact]
    public async Task Stop_WithAnUploadUnderWay_IsSaidToItAndLeavesNothing()
    {
        await using var own = new RunningServer();
        await own.InitializeAsync();
        using var upload = await HalfAnUploadAsync(own, await own.NewAccountAsync());
        var began = System.Diagnostics.Stopwatch.StartNew();
        var stopped = own.App.StopAsync();

        string answer = await upload.ReadToEndAsync(TestContext.Current.CancellationToken).WaitAsync(RunningServer.Patience, TestContext.Current.CancellationToken);
        await stopped;
        Assert.StartsWith("HTTP/1.1 503 ", answer, StringComparison.Ordinal);
        Assert.Contains("Retry-After: ", answer, StringComparison.Ordinal);
        Assert.Contains("The server shuts down", answer, StringComparison.Ordinal);
        Assert.True(began.Elapsed < TimeSpan.FromSeconds(6), $"{began.Elapsed}");
        Assert.DoesNotContain(own.Log, line => line.StartsWith("Error", StringComparison.Ordinal));
        Assert.Empty(Directory.EnumerateFiles(Path.Combine(own.DataFolder, "blobs", "tmp")));
    }

    /// <summary>Slow lines are served, silent ones are given up.</summary>
    [Fact]
    public async Task Bug_UploadThatFellSilent_WasWaitedForForEver()
    {
        var clock = new FakeTimeProvider(TimeProvider.System.GetUtcNow());
        await using var own = new RunningServer();
        await own.StartAsync(new HoneLimits(), clock: clock);
        using var upload = await HalfAnUploadAsync(own, await own.NewAccountAsync());
        Task<string> answer = upload.ReadToEndAsync(TestContext.Current.CancellationToken);
        clock.Advance(TimeSpan.FromSeconds(59));
        await Task.Delay(100, TestContext.Current.CancellationToken);
        Assert.False(answer.IsCompleted);
        clock.Advance(TimeSpan.FromSeconds(2));

        Assert.StartsWith("HTTP/1.1 408 ", await answer.WaitAsync(RunningServer.Patience, TestContext.Current.CancellationToken), StringComparison.Ordinal);
        Assert.Empty(Directory.EnumerateFiles(Path.Combine(own.DataFolder, "blobs", "tmp")));
    }

    [Fact]
    public async Task Bug_ConnectionThatWasReset_WasAFailureOfTheServer()
    {
        await using var own = new RunningServer();
        await own.InitializeAsync();
        using StreamReader upload = await HalfAnUploadAsync(own, await own.NewAccountAsync());
        // Not the stream, which ends its side in order.
        ((NetworkStream)upload.BaseStream).Socket.Close(timeout: 0);

        await AssetEndpointTests.UntilAsync(() => own.Log.Any(line => line.Contains("POST /v1/files", StringComparison.Ordinal)));
        Assert.Contains(own.Log, line => line.Contains("hung up", StringComparison.Ordinal));
        Assert.DoesNotContain(own.Log, line => line.StartsWith("Error", StringComparison.Ordinal));
    }

    /// <summary>When it is over the server has read what there is, and waits for the rest.</summary>
    private static async Task<StreamReader> HalfAnUploadAsync(RunningServer own, TestAccount account)
    {
        var socket = new TcpClient();
        await socket.ConnectAsync(own.Url.Host, own.Url.Port);
        NetworkStream stream = socket.GetStream();
        await stream.WriteAsync(Encoding.ASCII.GetBytes(
            $"POST /v1/files HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {account.Token}\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: 500000\r\nExpect: 100-continue\r\n\r\n"));
        await stream.ReadExactlyAsync(new byte["HTTP/1.1 100 Continue\r\n\r\n".Length]);
        await stream.WriteAsync(Encoding.ASCII.GetBytes($"--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\n{new string('x', 200_000)}"));
        await AssetEndpointTests.UntilAsync(() => new DirectoryInfo(Path.Combine(own.DataFolder, "blobs", "tmp")).EnumerateFiles().Any(file => file.Length > 100_000));
        return new StreamReader(stream, Encoding.ASCII);
    }

    [GeneratedRegex("(?:src|href)=\"([^\"]+)\"")]
    private static partial Regex Source();

    private sealed class SecondServer(string folder, int port) : IAsyncDisposable
    {
        private readonly Microsoft.AspNetCore.Builder.WebApplication app = HoneServer.Build(new HoneServerOptions
        {
            Listen = new IPEndPoint(IPAddress.Loopback, port),
            Core = new HoneCoreOptions { DataFolder = folder },
            Logging = _ => { },
        });

        public Task StartAsync() => app.StartAsync();

        public async ValueTask DisposeAsync()
        {
            await app.StopAsync();
            await app.DisposeAsync();
        }
    }
}
