using System.Net;
using System.Text;
using System.Text.Json;
using Hone.Server.Tests.OpenApi;

namespace Hone.Server.Tests.OpenAI;

/// <summary>Speaks the dialect under one of its two addresses. Every answer is held to the document that the server publishes.</summary>
public sealed record OpenAIClient(TestAccount Account, string Base)
{
    public static async Task<OpenAIClient> NewAsync(RunningServer server, bool shortAddress = false)
    {
        var account = await server.NewAccountAsync();
        return new OpenAIClient(account, shortAddress ? "/v1" : $"{account.Root}/ai/v1");
    }

    public Task<Reply> GetAsync(string path, string? token = null) => SendAsync(HttpMethod.Get, path, null, token);

    public Task<Reply> PostAsync(string path, string body = "", string? token = null) => SendAsync(HttpMethod.Post, path, TestAccount.Text(body), token);

    public Task<Reply> DeleteAsync(string path, string? token = null) => SendAsync(HttpMethod.Delete, path, null, token);

    public Task<Reply> FormAsync(string path, params (string Name, string? FileName, byte[] Bytes)[] parts) => SendAsync(HttpMethod.Post, path, TestAccount.Form(parts));

    private async Task<Reply> SendAsync(HttpMethod method, string path, HttpContent? content, string? token = null)
    {
        var reply = await Account.SendAsync(method, Base + path, content, token);
        var api = await PublishedApi.SharedAsync(Account.Server);
        if (api.FindOpenAI(method, Base + path) is { } operation && api.CheckAnswer(operation, reply.Status, "application/json", reply.Body.GetRawText()) is { } wrong)
            Assert.Fail($"{operation} → {reply.Status} {reply.Body}: {wrong}");
        return reply;
    }

    /// <summary>All events of a stream.</summary>
    public async Task<List<ServerEvent>> StreamAsync(string path, string body)
    {
        using var reader = await EventReader.OpenAsync(Account.Server, Account.Request(HttpMethod.Post, Base + path, TestAccount.Text(body)));
        var api = await PublishedApi.SharedAsync(Account.Server);
        var operation = api.FindOpenAI(HttpMethod.Post, Base + path)!;
        var events = new List<ServerEvent>();
        while (await reader.NextAsync() is { } next)
        {
            Assert.Null(api.CheckEvent(operation, next.Text));
            events.Add(next);
        }
        return events;
    }

    public Task<Reply> UploadAsync(string content, string name = "rows.jsonl") =>
        FormAsync("/files", ("purpose", null, "fine-tune"u8.ToArray()), ("file", name, Encoding.UTF8.GetBytes(content)));

    public async Task<string> UploadedAsync(string content) => (await UploadAsync(content)).Must().GetProperty("id").GetString()!;

    public async Task<(HttpStatusCode Status, byte[] Bytes)> BytesAsync(string path)
    {
        using var request = Account.Request(HttpMethod.Get, Base + path);
        using var response = await Account.Server.Http.SendAsync(request).WaitAsync(RunningServer.Patience);
        return (response.StatusCode, await response.Content.ReadAsByteArrayAsync());
    }

    /// <summary>Creates a job and follows it until its files are checked.</summary>
    public async Task<JsonElement> QueuedJobAsync(string extra = "")
    {
        string file = await UploadedAsync(Rows());
        var job = (await PostAsync("/fine_tuning/jobs", $$"""{"model":"{{RunningServer.Model}}","training_file":"{{file}}"{{extra}}}""")).Must();
        return await ReachAsync(job.GetProperty("id").GetString()!, "queued");
    }

    public async Task<JsonElement> ReachAsync(string id, string status)
    {
        using var reader = await EventReader.OpenAsync(Account.Server, Account.Request(HttpMethod.Get, $"{Base}/fine_tuning/jobs/{id}/events?stream=true"));
        while (true)
        {
            var job = (await GetAsync($"/fine_tuning/jobs/{id}")).Must();
            if (job.GetProperty("status").ValueEquals(status))
                return job;
            if (await reader.NextAsync() is null or { Text: "[DONE]" })
                Assert.Fail($"The job ended otherwise: {await GetAsync($"/fine_tuning/jobs/{id}")}");
        }
    }

    public static string Rows(int count = 12) => string.Concat(Enumerable.Range(1, count).Select(
        i => $$"""{"messages":[{"role":"user","content":"Parcel {{i}} is late."},{"role":"assistant","content":"delay {{i * 7 % 12}}"}]}""" + "\n"));
}

internal static class OpenAIReplies
{
    public static JsonElement Must(this Reply reply)
    {
        Assert.True(reply.Status == HttpStatusCode.OK, $"{reply.Status} {reply.Body}");
        return reply.Body;
    }

    /// <summary>The one shape of all failures.</summary>
    public static void MustRefuse(this Reply reply, int status, string? param, string messagePart, string? code = null)
    {
        Assert.True(status == (int)reply.Status, $"{reply.Status} {reply.Body}");
        Assert.Equal("error", Assert.Single(reply.Body.EnumerateObject()).Name);
        var error = reply.Body.GetProperty("error");
        Assert.Equal(["message", "type", "param", "code"], error.EnumerateObject().Select(p => p.Name));
        Assert.Contains(messagePart, error.GetProperty("message").GetString(), StringComparison.Ordinal);
        Assert.Equal(param, error.GetProperty("param").GetString());
        if (code is not null)
            Assert.Equal(code, error.GetProperty("code").GetString());
        Assert.StartsWith("req_", Assert.Single(reply.Headers.GetValues("x-request-id")), StringComparison.Ordinal);
    }

    public static string[] Ids(this JsonElement list) => [.. list.GetProperty("data").EnumerateArray().Select(d => d.GetProperty("id").GetString()!)];
}
