using System.Globalization;
using System.Net;
using System.Text.Json;

namespace Hone.Server.Tests.Cloudflare;

public sealed class FinetuneEndpointTests(RunningServer server) : IClassFixture<RunningServer>
{
    [Fact]
    public async Task Create_Answers_ThePublishedFields()
    {
        var account = await server.NewAccountAsync();
        var reply = (await account.PostAsync("/ai/finetunes", $$"""{"model":"{{RunningServer.Model}}","name":"first","description":"d","public":true,"unknown":[1]}""")).MustSucceed();
        Assert.Equal(["created_at", "description", "id", "model", "modified_at", "name", "public"], reply.Result.EnumerateObject().Select(p => p.Name).Order(StringComparer.Ordinal));
        Assert.True(Guid.TryParseExact(reply.Result.GetProperty("id").GetString(), "D", out _));
        Assert.Equal(RunningServer.Model, reply.Result.GetProperty("model").GetString());
        Assert.Equal("first", reply.Result.GetProperty("name").GetString());
        Assert.True(reply.Result.GetProperty("public").GetBoolean());
        Assert.True(DateTimeOffset.TryParseExact(reply.Result.GetProperty("created_at").GetString(), "yyyy-MM-dd'T'HH:mm:ss.fff'Z'", CultureInfo.InvariantCulture, DateTimeStyles.None, out _));
        Assert.Equal(["result", "success", "errors", "messages"], reply.Body.EnumerateObject().Select(p => p.Name));
    }

    [Theory]
    [InlineData("text/plain;charset=UTF-8")]
    [InlineData("application/x-www-form-urlencoded")]
    [InlineData("application/octet-stream")]
    [InlineData("application/json; charset=utf-8")]
    public async Task Create_AnyContentType_IsReadAsJson(string contentType)
    {
        var account = await server.NewAccountAsync();
        foreach (string slash in (string[])["", "/"])
            (await account.PostAsync($"/ai/finetunes{slash}", $$"""{"model":"{{RunningServer.Model}}","name":"n{{slash}}"}""", contentType)).MustSucceed();
        // Without any content type, and with a byte order mark.
        var bare = new ByteArrayContent([.. "\uFEFF"u8, .. System.Text.Encoding.UTF8.GetBytes($$"""{"model":"{{RunningServer.Model}}","name":"bare"}""")]);
        (await account.SendAsync(HttpMethod.Post, "/ai/finetunes", bare)).MustSucceed();
        Assert.Equal(3, (await account.GetAsync("/ai/finetunes/")).MustSucceed().Result.GetArrayLength());
    }

    [Theory]
    [InlineData("""{"_public":true}""", true)]
    [InlineData("""{"_public":true,"public":true}""", true)]
    [InlineData("""{"_public":false}""", false)]
    [InlineData("""{"public":true,"_public":null}""", true)]
    [InlineData("{}", false)]
    public async Task Create_PublicOrItsAlias_IsTaken(string fields, bool expected)
    {
        var account = await server.NewAccountAsync();
        string body = $$"""{"model":"{{RunningServer.Model}}","name":"n",{{fields[1..]}}""".Replace(",}", "}", StringComparison.Ordinal);
        Assert.Equal(expected, (await account.PostAsync("/ai/finetunes", body)).MustSucceed().Result.GetProperty("public").GetBoolean());
    }

    [Fact]
    public async Task Create_PublicAndAliasDiffer_IsRefused()
    {
        var account = await server.NewAccountAsync();
        (await account.PostAsync("/ai/finetunes", $$"""{"model":"{{RunningServer.Model}}","name":"n","public":true,"_public":false}""")).MustFail(400, 1001, "'public' and '_public'");
        Assert.Equal(0, (await account.GetAsync("/ai/finetunes")).Result.GetArrayLength());
    }

    [Theory]
    [InlineData("", "the body is empty")]
    [InlineData("  \n", "the body is empty")]
    [InlineData("[]", "an array")]
    [InlineData("null", "null")]
    [InlineData("{\"model\":", "line 1, byte 10")]
    [InlineData("{\n \"model\": nope}", "line 2, byte 12")]
    [InlineData("{}x", "line 1, byte 3")]
    [InlineData("model=a&name=b", "line 1, byte 1")]
    public async Task Create_MalformedJson_SaysWhere(string body, string part)
    {
        var account = await server.NewAccountAsync();
        (await account.PostAsync("/ai/finetunes", body)).MustFail(400, 6007, part);
    }

    [Fact]
    public async Task Create_NotUtf8OrTooDeep_IsMalformed()
    {
        var account = await server.NewAccountAsync();
        (await account.SendAsync(HttpMethod.Post, "/ai/finetunes", new ByteArrayContent([.. "{\"name\":\""u8, 0xFF, .. "\"}"u8]))).MustFail(400, 6007, "not UTF-8");
        string deep = $$"""{"model":"{{RunningServer.Model}}","name":"n","x":{{new string('[', 5000)}}{{new string(']', 5000)}}}""";
        (await account.PostAsync("/ai/finetunes", deep)).MustFail(400, 6007, "deeper than 64");
        string shallow = $$"""{"model":"{{RunningServer.Model}}","name":"n","x":{{new string('[', 60)}}{{new string(']', 60)}}}""";
        (await account.PostAsync("/ai/finetunes", shallow)).MustSucceed();
    }

    [Fact]
    public async Task Create_HugeBody_Is413()
    {
        var account = await server.NewAccountAsync();
        string body = $$"""{"model":"{{RunningServer.Model}}","name":"n","description":"{{new string('x', 3 << 20)}}"}""";
        (await account.PostAsync("/ai/finetunes", body)).MustFail(413, 3006, "too large");
        // Chunked, so that no header tells the length.
        var chunked = TestAccount.Text(body);
        (await account.SendAsync(HttpMethod.Post, "/ai/finetunes", chunked, headers: h => h.TransferEncodingChunked = true)).MustFail(413, 3006, "too large");
    }

    [Fact]
    public async Task Create_ManyMistakes_AreAllNamed()
    {
        var account = await server.NewAccountAsync();
        var types = await account.PostAsync("/ai/finetunes", """{"model":5,"name":["x"],"description":{},"public":"yes"}""");
        Assert.Equal(400, (int)types.Status);
        Assert.Equal(4, types.Errors.Count);
        Assert.StartsWith("1000: 'model' is a number (5)", types.Errors[0], StringComparison.Ordinal);
        Assert.Equal(JsonValueKind.Object, types.Result.ValueKind);

        var rules = await account.PostAsync("/ai/finetunes", $$"""{"model":"@cf/none/such","name":"cf-public-{{new string('x', 200)}}","description":"{{new string('d', 4097)}}"}""");
        Assert.Equal(400, (int)rules.Status);
        Assert.Contains(rules.Errors, e => e.StartsWith("1000: ", StringComparison.Ordinal) && e.Contains("@cf/none/such", StringComparison.Ordinal) && e.Contains(RunningServer.Model, StringComparison.Ordinal));
        Assert.Contains(rules.Errors, e => e.StartsWith("1001: ", StringComparison.Ordinal) && e.Contains("128", StringComparison.Ordinal));
        Assert.Contains(rules.Errors, e => e.Contains("cf-public-", StringComparison.Ordinal) && e.Contains("reserved", StringComparison.Ordinal));
        Assert.Contains(rules.Errors, e => e.Contains("4096", StringComparison.Ordinal));

        // A field of the wrong type does not hide what is wrong with the others.
        var mixed = await account.PostAsync("/ai/finetunes", """{"model":"@cf/none/such","name":"","public":1}""");
        Assert.Equal(3, mixed.Errors.Count);
        Assert.Equal(0, (await account.GetAsync("/ai/finetunes")).Result.GetArrayLength());
    }

    [Theory]
    [InlineData("{}")]
    [InlineData("""{"model":"","name":"n"}""")]
    [InlineData("""{"model":null,"name":"n"}""")]
    [InlineData("""{"model":"@cf/meta/llama-unknown","name":"n"}""")]
    public async Task Create_WithoutKnownModel_Is1000(string body)
    {
        var account = await server.NewAccountAsync();
        var reply = await account.PostAsync("/ai/finetunes", body);
        Assert.Equal(400, (int)reply.Status);
        Assert.StartsWith("1000: ", reply.Errors[0], StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("a\\u0000b")]
    [InlineData("a\\nb")]
    [InlineData("a\\u001bb")]
    [InlineData("a\\u202eb")]
    public async Task Create_NameWithUnprintable_IsRefused(string name)
    {
        var account = await server.NewAccountAsync();
        var reply = (await account.PostAsync("/ai/finetunes", $$"""{"model":"{{RunningServer.Model}}","name":"{{name}}"}""")).MustFail(400, 1001, "name");
        Assert.DoesNotContain(reply.Errors[0], char.IsControl);
    }

    [Theory]
    [InlineData(".")]
    [InlineData("..")]
    [InlineData("public")]
    public async Task Create_NameThatNoAddressCanHold_IsRefused(string name) =>
        (await (await server.NewAccountAsync()).CreateAsync(name)).MustFail(400, 1001, "leads elsewhere");

    [Fact]
    public async Task Create_DuplicateName_NamesTheExistingIdAndStopsRetries()
    {
        var account = await server.NewAccountAsync();
        string id = await account.CreatedAsync("same");
        var reply = (await account.CreateAsync("same")).MustFail(409, 1002, id);
        Assert.Equal("false", Assert.Single(reply.Headers.GetValues("x-should-retry")));
        // Names of other accounts do not matter.
        (await (await server.NewAccountAsync()).CreateAsync("same")).MustSucceed();
    }

    [Fact]
    public async Task Create_EightAtOnceWithOneName_OneWins()
    {
        var account = await server.NewAccountAsync();
        var replies = await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => account.CreateAsync("race")));
        var winner = Assert.Single(replies, r => r.Status == HttpStatusCode.OK);
        foreach (var loser in replies.Where(r => r != winner))
            loser.MustFail(409, 1002, winner.Result.GetProperty("id").GetString()!);
    }

    [Fact]
    public async Task List_Own_IsFlatWithStatus()
    {
        var account = await server.NewAccountAsync();
        string id = await account.CreatedAsync("one");
        await account.CreatedAsync("two");
        var list = (await account.GetAsync("/ai/finetunes?")).MustSucceed().Result;
        Assert.Equal(2, list.GetArrayLength());
        var first = list.EnumerateArray().Single(f => f.GetProperty("id").GetString() == id);
        Assert.Equal("awaiting_assets", first.GetProperty("status").GetString());
        Assert.Equal(JsonValueKind.Null, first.GetProperty("metrics").ValueKind);
        Assert.Equal(JsonValueKind.Null, first.GetProperty("error").ValueKind);
    }

    [Theory]
    [InlineData("", "a,b,c", 1, 3)]
    [InlineData("?page=2&per_page=2", "c", 2, 2)]
    [InlineData("?page=3&per_page=2", "", 3, 2)]
    [InlineData("?per_page=1", "a", 1, 1)]
    public async Task List_Page_IsCutAndCounted(string query, string names, int page, int perPage)
    {
        var account = await server.NewAccountAsync();
        foreach (string name in (string[])["a", "b", "c"])
            await account.CreatedAsync(name);
        var reply = (await account.GetAsync("/ai/finetunes" + query)).MustSucceed();
        string[] found = [.. reply.Result.EnumerateArray().Select(f => f.GetProperty("name").GetString()!)];
        Assert.Equal(names, string.Join(',', found));
        var info = reply.Body.GetProperty("result_info");
        Assert.Equal((page, perPage, found.Length, 3), (info.GetProperty("page").GetInt32(), info.GetProperty("per_page").GetInt32(), info.GetProperty("count").GetInt32(), info.GetProperty("total_count").GetInt32()));
    }

    [Fact]
    public async Task Get_ByIdOrName_WithAnyCharacters()
    {
        var account = await server.NewAccountAsync();
        foreach (string name in (string[])["plain", "mit Leerzeichen", "a/b", "100%2F", "ünïcödé 🙂", "a?b#c", "x+y&z"])
        {
            string id = await account.CreatedAsync(name);
            Assert.Equal(name, (await account.GetAsync($"/ai/finetunes/{id}/")).MustSucceed().Result.GetProperty("name").GetString());
            Assert.Equal(id, (await account.GetAsync($"/ai/finetunes/{Uri.EscapeDataString(name)}")).MustSucceed().Result.GetProperty("id").GetString());
        }
    }

    [Fact]
    public async Task Get_Unknown_Is3037WithTheRequestsId()
    {
        var account = await server.NewAccountAsync();
        string id = Guid.NewGuid().ToString();
        var reply = (await account.GetAsync($"/ai/finetunes/{id}")).MustFail(404, 3037, $"AiError: AiError: Finetune {id} not found (");
        Assert.Contains($"({Assert.Single(reply.Headers.GetValues("cf-ai-req-id"))})", reply.Errors[0], StringComparison.Ordinal);
        Assert.Equal("{}", reply.Result.GetRawText());
    }

    [Fact]
    public async Task Get_TenThousandCharacters_CouldNotRoute()
    {
        var account = await server.NewAccountAsync();
        var reply = (await account.GetAsync($"/ai/finetunes/{new string('x', 10_000)}")).MustFail(404, 7003, "Could not route to");
        Assert.True(reply.Errors[0].Length < 400);
        (await account.GetAsync($"/client/v4/accounts/{new string('a', 10_000)}/ai/finetunes")).MustFail(404, 7003, "Could not route to");
        (await account.GetAsync("/ai/finetunes/a%0Ab")).MustFail(404, 7003, "Could not route to");
    }

    [Fact]
    public async Task Delete_Own_IsGone()
    {
        var account = await server.NewAccountAsync();
        string id = await account.CreatedAsync("gone");
        (await account.SendAsync(HttpMethod.Delete, "/ai/finetunes/gone")).MustSucceed();
        (await account.GetAsync($"/ai/finetunes/{id}")).MustFail(404, 3037, "not found");
        (await account.SendAsync(HttpMethod.Delete, $"/ai/finetunes/{id}")).MustFail(404, 3037, "not found");
        await account.CreatedAsync("gone");
    }

    [Fact]
    public async Task Cancel_Twice_SecondSaysItHasEnded()
    {
        var account = await server.NewAccountAsync();
        await account.CreatedAsync("c");
        Assert.Equal("cancelled", (await account.PostAsync("/ai/finetunes/c/cancel", "")).MustSucceed().Result.GetProperty("status").GetString());
        (await account.PostAsync("/ai/finetunes/c/cancel/", "")).MustFail(400, 1008, "cancelled");
    }

    [Fact]
    public async Task Public_IsSeenByOthers_WithoutWhatIsTheOwners()
    {
        var owner = await server.NewAccountAsync();
        var other = await server.NewAccountAsync();
        string shown = await owner.CreatedAsync("shown to all", isPublic: true);
        string hidden = await owner.CreatedAsync("hidden");
        var list = (await other.GetAsync("/ai/finetunes/public?limit=1000&orderBy=created_at")).MustSucceed().Result.EnumerateArray().ToList();
        var item = list.Single(f => f.GetProperty("id").GetString() == shown);
        Assert.DoesNotContain(list, f => f.GetProperty("id").GetString() == hidden);
        Assert.Equal(["created_at", "id", "model", "modified_at", "name", "public"], item.EnumerateObject().Select(p => p.Name).Order(StringComparer.Ordinal));
        Assert.False((await other.GetAsync($"/ai/finetunes/{shown}")).MustSucceed().Result.TryGetProperty("status", out _));
        (await other.GetAsync($"/ai/finetunes/{hidden}")).MustFail(404, 3037, "not found");
        // Seen, not touched.
        (await other.SendAsync(HttpMethod.Delete, $"/ai/finetunes/{shown}")).MustFail(404, 3037, "not found");
        (await other.PostAsync($"/ai/finetunes/{shown}/cancel", "")).MustFail(404, 3037, "not found");
        (await other.UploadAsync(shown, "training_config.json", "{}"u8.ToArray())).MustFail(400, 1000, "not found");
        (await other.GetAsync($"/ai/finetunes/{shown}/events")).MustFail(404, 3037, "not found");
        (await other.GetAsync($"/ai/finetunes/{shown}/finetune-assets")).MustFail(404, 3037, "not found");
        Assert.Equal(0, (await other.GetAsync("/ai/finetunes")).Result.GetArrayLength());
    }

    [Fact]
    public async Task Public_LimitOffsetOrder_PageThroughAll()
    {
        var owner = await server.NewAccountAsync();
        foreach (string name in (string[])["p-b", "p-a", "p-c"])
            await owner.CreatedAsync(name, isPublic: true);
        var names = new List<string>();
        for (int offset = 0; ; offset += 2)
        {
            var page = (await owner.GetAsync($"/ai/finetunes/public?limit=2&offset={offset}&orderBy=name")).MustSucceed().Result;
            if (page.GetArrayLength() == 0)
                break;
            names.AddRange(page.EnumerateArray().Select(f => f.GetProperty("name").GetString()!));
        }
        Assert.Equal(["p-a", "p-b", "p-c"], names.Where(n => n.StartsWith("p-", StringComparison.Ordinal)));
        var far = await owner.GetAsync("/ai/finetunes/public?offset=2147483647&limit=1");
        Assert.Equal(int.MaxValue, far.Body.GetProperty("result_info").GetProperty("page").GetInt32());
        (await owner.GetAsync("/ai/finetunes/public?limit=Infinity")).MustFail(400, 1001, "'limit' must be a number");
        var wrong = await owner.GetAsync("/ai/finetunes/public?limit=x&offset=-1&orderBy=colour");
        Assert.Equal(400, (int)wrong.Status);
        Assert.Equal(3, wrong.Errors.Count);
    }
}
