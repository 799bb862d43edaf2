using Hone.Core.Models;

namespace Hone.Server.Tests.Cloudflare;

public sealed class ModelEndpointTests(RunningServer server) : IClassFixture<RunningServer>
{
    [Fact]
    public async Task Search_Pages_EndWithAnEmptyOne()
    {
        var account = await server.NewAccountAsync();
        var first = (await account.GetAsync("/ai/models/search?per_page=50&page=1")).MustSucceed();
        var model = first.Result.EnumerateArray().Single(m => m.GetProperty("name").GetString() == RunningServer.Model);
        Assert.True(Guid.TryParse(model.GetProperty("id").GetString(), out _));
        Assert.NotEqual("", model.GetProperty("description").GetString());
        Assert.Equal("Text Generation", model.GetProperty("task").GetProperty("name").GetString());
        Assert.Equal(0, (await account.GetAsync("/ai/models/search?per_page=50&page=2")).MustSucceed().Result.GetArrayLength());
        Assert.Equal(0, (await account.GetAsync("/ai/models/search?page=2000000000&per_page=1000")).MustSucceed().Result.GetArrayLength());
        Assert.Equal(first.Result.GetArrayLength(), (await account.GetAsync("/ai/models/search/?page=x&per_page=-3")).MustSucceed().Result.GetArrayLength());
    }

    [Theory]
    [InlineData("search=SMOLLM2", 1)]
    [InlineData("search=nothing-like-it", 0)]
    [InlineData("author=huggingfacetb&task=Text%20Generation", 1)]
    [InlineData("author=somebody", 0)]
    [InlineData("task=Translation", 0)]
    public async Task Search_Filters_Narrow(string query, int expected)
    {
        var account = await server.NewAccountAsync();
        Assert.Equal(expected, (await account.GetAsync($"/ai/models/search?{query}")).MustSucceed().Result.GetArrayLength());
    }

    [Theory]
    [InlineData("source=1", 1)]
    [InlineData("source=2", 0)]
    [InlineData("source=1.0&hide_experimental=true", 1)]
    public async Task Search_SourceAndExperimental_Narrow(string query, int expected)
    {
        var account = await server.NewAccountAsync();
        Assert.Equal(expected, (await account.GetAsync($"/ai/models/search?{query}")).MustSucceed().Result.GetArrayLength());
    }

    [Fact]
    public async Task Search_AnAddedModel_IsOfTheOtherSourceAndItsOwnAuthor()
    {
        await using var two = new RunningServer();
        await two.InitializeAsync();
        string embedded = ModelCatalog.FindEmbedded()!.Path;
        Assert.IsType<AddModelResult.Added>(await two.Service<ModelCatalog>().AddAsync(embedded, "@own/smith/second", CancellationToken.None));
        var account = await two.NewAccountAsync();
        foreach ((string query, string[] names) in ((string, string[])[])
            [("source=1", [RunningServer.Model]), ("source=2", ["@own/smith/second"]), ("author=smith", ["@own/smith/second"]), ("author=huggingfacetb", [RunningServer.Model]), ("search=second", ["@own/smith/second"]),
             ("author=smith&source=1", []), ("hide_experimental=true&task=text%20generation&per_page=1&page=2", ["@own/smith/second"])])
            Assert.Equal(names, (await account.GetAsync($"/ai/models/search?{query}")).MustSucceed().Result.EnumerateArray().Select(m => m.GetProperty("name").GetString()!));
    }

    [Fact]
    public async Task Search_FiltersOfWrongForm_AreAllNamed()
    {
        var account = await server.NewAccountAsync();
        var reply = await account.GetAsync("/ai/models/search?source=x&hide_experimental=maybe&format=xml");
        Assert.Equal(System.Net.HttpStatusCode.BadRequest, reply.Status);
        Assert.Equal(["1001: 'source' is 'x', it must be a number: 1 or 2", "1001: 'hide_experimental' is 'maybe', it must be true or false", "1001: 'format' is 'xml', it must be openrouter or absent"], reply.Errors);
    }

    [Fact]
    public async Task Search_FormatOpenRouter_IsThatMarketplacesForm()
    {
        var account = await server.NewAccountAsync();
        var model = Assert.Single((await account.GetAsync("/ai/models/search?format=openrouter")).Body.GetProperty("data").EnumerateArray());
        Assert.Equal((RunningServer.Model, 8192, "0"), (model.GetProperty("id").GetString(), model.GetProperty("context_length").GetInt32(), model.GetProperty("pricing").GetProperty("prompt").GetString()));
    }

    [Fact]
    public async Task Schema_Model_IsWhatRunTakes()
    {
        var account = await server.NewAccountAsync();
        var schema = (await account.GetAsync($"/ai/models/schema?model={Uri.EscapeDataString(RunningServer.Model)}")).MustSucceed().Result;
        var tokens = schema.GetProperty("input").GetProperty("properties").GetProperty("max_tokens");
        Assert.Equal((1, 131_072, 256), (tokens.GetProperty("minimum").GetInt32(), tokens.GetProperty("maximum").GetInt32(), tokens.GetProperty("default").GetInt32()));
        Assert.Equal("object", schema.GetProperty("output").GetProperty("type").GetString());
        foreach (string side in (string[])["input", "output"])
            Assert.True(Json.Schema.MetaSchemas.Draft202012.Evaluate(schema.GetProperty(side)).IsValid, schema.GetProperty(side).GetRawText());
    }

    [Theory]
    [InlineData("/ai/authors/search", "huggingfacetb")]
    [InlineData("/ai/tasks/search", "Text Generation")]
    public async Task AuthorsAndTasks_Search_ListWithPages(string path, string name)
    {
        var account = await server.NewAccountAsync();
        var all = (await account.GetAsync(path)).MustSucceed();
        Assert.Equal(name, Assert.Single(all.Result.EnumerateArray()).GetProperty("name").GetString());
        Assert.Equal((1, 100, 1, 1, 1), Info(all));
        var past = (await account.GetAsync($"{path}?page=2&per_page=1")).MustSucceed();
        Assert.Equal(0, past.Result.GetArrayLength());
        Assert.Equal((2, 1, 0, 1, 1), Info(past));
    }

    private static (int Page, int PerPage, int Count, int Total, int Pages) Info(Reply reply)
    {
        var info = reply.Body.GetProperty("result_info");
        return (info.GetProperty("page").GetInt32(), info.GetProperty("per_page").GetInt32(), info.GetProperty("count").GetInt32(), info.GetProperty("total_count").GetInt32(), info.GetProperty("total_pages").GetInt32());
    }
}
