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
}
