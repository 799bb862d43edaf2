using Hone.Core.Accounts;
using Hone.Core.Finetunes;
using Hone.Core.Store;

namespace Hone.Server.Tests.Cloudflare;

public sealed class EventEndpointTests(RunningServer server) : IClassFixture<RunningServer>
{
    private static readonly TimeSpan Lease = TimeSpan.FromMinutes(5);

    [Fact]
    public async Task Get_Json_PagesWithAfterAndLimit()
    {
        var (account, job) = await RunningJobAsync("json");
        await AppendAsync(job, "one", "two", "three");
        var all = (await account.GetAsync("/ai/finetunes/json/events")).MustSucceed().Result.EnumerateArray().ToList();
        Assert.Equal(Enumerable.Range(1, all.Count), all.Select(e => e.GetProperty("sequence").GetInt32()));
        Assert.Equal(["one", "two", "three"], all.TakeLast(3).Select(e => e.GetProperty("message").GetString()));
        Assert.Equal("metrics", all[^1].GetProperty("type").GetString());
        Assert.Equal(0.5, all[^1].GetProperty("data").GetProperty("loss").GetDouble());
        var page = (await account.GetAsync($"/ai/finetunes/json/events?after={all.Count - 3}&limit=2")).MustSucceed().Result.EnumerateArray();
        Assert.Equal(["one", "two"], page.Select(e => e.GetProperty("message").GetString()));
        Assert.Equal(2, (await account.GetAsync("/ai/finetunes/json/events?after=-1&limit=5000")).Errors.Count);
        await FinishAsync(job);
    }

    [Fact]
    public async Task Get_Stream_FollowsResumesAndEndsWithTheFinalState()
    {
        var (account, job) = await RunningJobAsync("sse");
        int known = (await account.GetAsync("/ai/finetunes/sse/events")).Result.GetArrayLength();
        long seen;
        using (var first = await OpenAsync(account, "sse", null))
        {
            for (int i = 1; i <= known; i++)
                Assert.Equal(i, (await first.NextAsync())!.Id);
            await AppendAsync(job, "live");
            var live = (await first.NextAsync())!;
            Assert.Equal(("metrics", "live"), (live.Name, live.Data.GetProperty("message").GetString()));
            seen = live.Id!.Value;
        }
        await AppendAsync(job, "missed", "missed too");
        using var second = await OpenAsync(account, "sse", seen);
        Assert.Equal("missed", (await second.NextAsync())!.Data.GetProperty("message").GetString());
        Assert.Equal(seen + 2, (await second.NextAsync())!.Id);
        await FinishAsync(job);
        ServerEvent? last = null, next;
        while ((next = await second.NextAsync()) is not null)
            last = next;
        Assert.Equal("state", last!.Name);
        Assert.Null(last.Id);
        Assert.Equal("failed", last.Data.GetProperty("status").GetString());
        Assert.Equal("for_the_test", last.Data.GetProperty("error").GetProperty("code").GetString());
        // One that comes after the end gets the end.
        using var late = await OpenAsync(account, "sse", seen + 1000);
        Assert.Equal("state", (await late.NextAsync())!.Name);
        Assert.Null(await late.NextAsync());
    }

    /// <summary>In both dialects: a job takes hours, and its token may be revoked meanwhile.</summary>
    [Theory]
    [InlineData("/ai/finetunes/JOB/events", "error")]
    [InlineData("/ai/v1/fine_tuning/jobs/JOB/events?stream=true", null)]
    public async Task Get_StreamWhoseTokenIsRevoked_EndsBeforeTheNextEvent(string path, string? name)
    {
        var (account, job) = await RunningJobAsync("revoked");
        var accounts = server.Service<AccountService>();
        var token = (await accounts.CreateTokenAsync(account.Id, "t", TokenPermission.Read, null, CancellationToken.None))!;
        int known = (await account.GetAsync("/ai/finetunes/revoked/events")).Result.GetArrayLength();
        var request = account.Request(HttpMethod.Get, path.Replace("JOB", job.FinetuneId.ToString(), StringComparison.Ordinal), token: token.Secret);
        request.Headers.Accept.ParseAdd("text/event-stream");
        using var stream = await EventReader.OpenAsync(server, request);
        for (int i = 1; i <= known; i++)
            await stream.NextAsync();
        await AppendAsync(job, "seen");
        Assert.Equal("seen", (await stream.NextAsync())!.Data.GetProperty("message").GetString());

        Assert.True(await accounts.RevokeAsync(account.Id, token.Token.Id, CancellationToken.None));
        await AppendAsync(job, "not seen");

        ServerEvent last = (await stream.NextAsync())!;
        Assert.Equal(name, last.Name);
        Assert.Contains(name is null ? "invalid_api_key" : "Authentication error", last.Text, StringComparison.Ordinal);
        Assert.Null(await stream.NextAsync());
        await FinishAsync(job);
    }

    [Fact]
    public async Task Get_StreamOfADeletedFinetune_EndsWithDeleted()
    {
        var account = await server.NewAccountAsync();
        await account.CreatedAsync("del");
        using var stream = await OpenAsync(account, "del", null);
        Assert.NotNull(await stream.NextAsync());
        (await account.SendAsync(HttpMethod.Delete, "/ai/finetunes/del")).MustSucceed();
        Assert.Equal("deleted", (await stream.NextAsync())!.Data.GetProperty("status").GetString());
        Assert.Null(await stream.NextAsync());
    }

    [Fact]
    public async Task Get_StreamOfUnknownOrWithBadId_IsAPlainError()
    {
        var account = await server.NewAccountAsync();
        await account.CreatedAsync("known");
        static void Sse(System.Net.Http.Headers.HttpRequestHeaders h) => h.Accept.ParseAdd("text/event-stream");
        (await account.SendAsync(HttpMethod.Get, "/ai/finetunes/unknown/events", headers: Sse)).MustFail(404, 3037, "not found");
        (await account.SendAsync(HttpMethod.Get, "/ai/finetunes/known/events", headers: h =>
        {
            Sse(h);
            h.Add("Last-Event-ID", "x");
        })).MustFail(400, 1001, "Last-Event-ID");
    }

    private async Task<(TestAccount, ClaimedJob)> RunningJobAsync(string name)
    {
        var account = await server.NewAccountAsync();
        await account.CreatedAsync(name);
        (await account.UploadAsync(name, "training_data.jsonl", await File.ReadAllBytesAsync(Repository.Path("examples/support-triage/train.jsonl")))).MustSucceed();
        var job = await server.Service<SqliteJobQueue>().ClaimAsync("test", Lease, CancellationToken.None);
        Assert.Equal(name, job!.Name);
        return (account, job);
    }

    private async Task AppendAsync(ClaimedJob job, params string[] messages) => Assert.Equal(AttemptWrite.Done, await server.Service<SqliteJobQueue>()
        .AppendEventsAsync(job.FinetuneId, job.Fence, [.. messages.Select(m => new NewEvent(m, Type: "metrics", DataJson: """{"loss":0.5}"""))], null, CancellationToken.None));

    private async Task FinishAsync(ClaimedJob job) =>
        Assert.Equal(AttemptWrite.Done, await server.Service<SqliteJobQueue>().FailAsync(job.FinetuneId, job.Fence, "for_the_test", "It ends.", CancellationToken.None));

    private static async Task<EventReader> OpenAsync(TestAccount account, string name, long? after)
    {
        var request = account.Request(HttpMethod.Get, $"/ai/finetunes/{name}/events");
        request.Headers.Accept.ParseAdd("text/event-stream");
        if (after is not null)
            request.Headers.Add("Last-Event-ID", after.ToString());
        return await EventReader.OpenAsync(account.Server, request);
    }
}
