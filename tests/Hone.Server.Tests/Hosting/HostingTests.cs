using System.Net;
using System.Text.Json;
using System.Text.RegularExpressions;
using Hone.Core;
using Hone.Core.Store;

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
            Assert.Null(await stream.NextAsync());
            await stopped.WaitAsync(TimeSpan.FromSeconds(8));
        }
        await own.StopAsync();
        await own.StartAsync(new HoneLimits());
        Assert.Equal("kept", (await account.GetAsync($"/ai/finetunes/{id}")).MustSucceed().Result.GetProperty("name").GetString());
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
