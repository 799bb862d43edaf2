using System.Net.Sockets;
using System.Text;
using System.Text.Json;

namespace Hone.Server.Tests.Requests;

public sealed class BadRequestTests(RunningServer server) : IClassFixture<RunningServer>
{
    [Theory]
    [InlineData("/")]
    [InlineData("/client/v4")]
    [InlineData("/client/v4/nothing")]
    [InlineData("/client/v5/user")]
    public async Task Get_UnknownPath_Is7000(string path)
    {
        using var response = await server.Http.GetAsync(path);
        var reply = (await Reply.OfAsync(response)).MustFail(404, 7000, "No route for that URI");
        Assert.Equal("""{"success":false,"errors":[{"code":7000,"message":"No route for that URI"}],"messages":[],"result":null}""", reply.Body.GetRawText());
    }

    [Fact]
    public async Task Get_UnknownPathOfAnAccount_Is7000()
    {
        var account = await server.NewAccountAsync();
        foreach (string path in (string[])["/ai", "/ai/nothing", "/ai/finetunes/a/b", "/ai/finetunes/a/finetune-assets/b/c"])
            (await account.GetAsync(path)).MustFail(404, 7000, "No route for that URI");
    }

    [Fact]
    public async Task Any_WrongMethod_Is405WithAllow()
    {
        var account = await server.NewAccountAsync();
        (HttpMethod Method, string Path, string[] Allow)[] all =
        [
            (HttpMethod.Put, "/ai/finetunes", ["GET", "POST"]), (HttpMethod.Post, "/ai/finetunes/x", ["DELETE", "GET"]), (HttpMethod.Get, "/ai/run/@cf/a/b", ["POST"]),
            (HttpMethod.Delete, "/ai/models/search/", ["GET"]), (HttpMethod.Patch, "/client/v4/user", ["GET"]),
        ];
        foreach (var (method, path, allow) in all)
        {
            var reply = (await account.SendAsync(method, path)).MustFail(405, 10405, method.Method);
            Assert.Equal(allow, reply.ContentHeaders.Allow.Order(StringComparer.Ordinal));
        }
    }

    [Fact]
    public async Task Any_Answer_CarriesTheRayThatTheLogHas()
    {
        var account = await server.NewAccountAsync();
        var reply = await account.GetAsync("/ai/finetunes/unknown");
        string ray = Assert.Single(reply.Headers.GetValues("cf-ray"));
        Assert.Matches("^[0-9a-f]{16}-[A-Z]{3}$", ray);
        await InLogAsync(ray, "404");
        Assert.DoesNotContain(server.Log, l => l.Contains(account.Token, StringComparison.Ordinal) || l.Contains("hone_", StringComparison.Ordinal));
        Assert.NotEqual(ray, Assert.Single((await account.GetAsync("/ai/finetunes/unknown")).Headers.GetValues("cf-ray")));
    }

    [Fact]
    public async Task Log_PathWithLineBreak_StaysOneLine()
    {
        var account = await server.NewAccountAsync();
        await account.GetAsync("/ai/finetunes/a%0AError%20forged");
        await InLogAsync("a Error forged");
        Assert.DoesNotContain(server.Log, l => l.Contains("\nError forged", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Head_Finetunes_HasNoBody()
    {
        var account = await server.NewAccountAsync();
        using var response = await server.Http.SendAsync(account.Request(HttpMethod.Head, "/ai/finetunes"));
        Assert.Empty(await response.Content.ReadAsByteArrayAsync());
    }

    /// <summary>What a client library would not send.</summary>
    [Theory]
    [InlineData("GET http://x/client/v4/nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "HTTP/1.1 404")]
    [InlineData("GET /client/v4/%ff%fe/%zz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "HTTP/1.1 404")]
    [InlineData("GET /client/v4/user/../accounts/./x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "HTTP/1.1 403")]
    public async Task Raw_OddRequest_IsAnsweredAndTheServerLives(string request, string expected)
    {
        Assert.StartsWith(expected, await RawAsync(request), StringComparison.Ordinal);
        (await (await server.NewAccountAsync()).GetAsync("/ai/finetunes")).MustSucceed();
    }

    /// <summary>What no pipeline ever sees.</summary>
    public static TheoryData<string, int> Refused => new()
    {
        { "GET /client/v4/%00 HTTP/1.1\r\nHost: x\r\n\r\n", 400 },
        { "GET /client/v4/accounts/x/ai/finetunes/a%00b HTTP/1.1\r\nHost: x\r\n\r\n", 400 },
        { "GET /client/v4/user HTTP/1.1\r\n\r\n", 400 },
        { "NONSENSE\r\n\r\n", 400 },
        { "GET /client/v4/user HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n", 400 },
        { "GET /client/v4/user HTTP/7.7\r\nHost: x\r\n\r\n", 505 },
        { $"GET /{new string('a', 70_000)} HTTP/1.1\r\nHost: x\r\n\r\n", 414 },
        { $"GET /client/v4/user HTTP/1.1\r\nHost: x\r\nBig: {new string('a', 40_000)}\r\n\r\n", 431 },
        { $"GET /client/v4/user HTTP/1.1\r\nHost: x\r\n{string.Concat(Enumerable.Range(0, 200).Select(i => $"H{i}: x\r\n"))}\r\n", 431 },
        // The second of two on one connection.
        { "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nGET /%00 HTTP/1.1\r\nHost: x\r\n\r\n", 400 },
    };

    [Theory]
    [MemberData(nameof(Refused))]
    public async Task Raw_RefusedBeforeThePipeline_HasEnvelopeAndRay(string request, int status)
    {
        string answer = await RawAsync(request);
        answer = answer[answer.LastIndexOf("HTTP/1.1 ", StringComparison.Ordinal)..];
        Assert.StartsWith($"HTTP/1.1 {status} ", answer, StringComparison.Ordinal);
        string[] parts = answer.Split("\r\n\r\n", 2);
        Assert.Contains("\r\nContent-Type: application/json", parts[0], StringComparison.Ordinal);
        Assert.Contains($"\r\nContent-Length: {parts[1].Length}", parts[0], StringComparison.Ordinal);
        var envelope = JsonElement.Parse(parts[1]);
        Assert.False(envelope.GetProperty("success").GetBoolean());
        Assert.Equal(JsonValueKind.Null, envelope.GetProperty("result").ValueKind);
        Assert.Empty(envelope.GetProperty("messages").EnumerateArray());
        var error = Assert.Single(envelope.GetProperty("errors").EnumerateArray());
        Assert.Equal(10000 + status, error.GetProperty("code").GetInt32());
        Assert.StartsWith("The request cannot be read: ", error.GetProperty("message").GetString(), StringComparison.Ordinal);
        string ray = parts[0].Split("cf-ray: ")[1][..20];
        await InLogAsync(ray, status.ToString());
        (await (await server.NewAccountAsync()).GetAsync("/ai/finetunes")).MustSucceed();
    }

    [Fact]
    public async Task Raw_AbsoluteTargetWithEncodedName_FindsTheFinetune()
    {
        var account = await server.NewAccountAsync();
        string id = await account.CreatedAsync("b c");
        string answer = await RawAsync($"GET http://x{account.Root}/ai/finetunes/b%20c HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {account.Token}\r\n\r\n");
        Assert.Equal(id, JsonElement.Parse(answer[answer.IndexOf("\r\n\r\n", StringComparison.Ordinal)..]).GetProperty("result").GetProperty("id").GetString());
    }

    /// <summary>All that the server answers until it closes.</summary>
    private async Task<string> RawAsync(string request)
    {
        using var socket = new TcpClient();
        await socket.ConnectAsync(server.Url.Host, server.Url.Port);
        await socket.GetStream().WriteAsync(Encoding.ASCII.GetBytes(request));
        using var reader = new StreamReader(socket.GetStream());
        return await reader.ReadToEndAsync().WaitAsync(RunningServer.Patience);
    }

    /// <summary>A request's line is written when its answer is out.</summary>
    private async Task InLogAsync(params string[] parts)
    {
        using var patience = new CancellationTokenSource(RunningServer.Patience);
        using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(10));
        while (!server.Log.Any(l => parts.All(p => l.Contains(p, StringComparison.Ordinal))))
            await timer.WaitForNextTickAsync(patience.Token);
    }
}
