using Hone.Core;
using Hone.Server.Auth;
using Microsoft.Extensions.Time.Testing;

namespace Hone.Server.Tests.Auth;

public sealed class RateLimitTests : IAsyncLifetime
{
    private readonly RunningServer server = new();
    private readonly FakeTimeProvider clock = new(new DateTimeOffset(2026, 11, 28, 12, 0, 0, TimeSpan.Zero));

    public async ValueTask InitializeAsync() => await server.StartAsync(new HoneLimits(), rate: new RateLimit(3, TimeSpan.FromSeconds(300)), clock: clock);

    public ValueTask DisposeAsync() => server.DisposeAsync();

    [Fact]
    public async Task Token_OverItsLimit_IsRefusedUntilTheWindowEnds()
    {
        var account = await server.NewAccountAsync();
        var first = (await account.GetAsync("/ai/finetunes")).MustSucceed();
        Assert.Equal("\"default\";r=2;t=300", first.Headers.GetValues("Ratelimit").Single());
        Assert.Equal("\"default\";q=3;w=300", first.Headers.GetValues("Ratelimit-Policy").Single());
        clock.Advance(TimeSpan.FromSeconds(100));
        (await account.GetAsync("/ai/models/search")).MustSucceed();
        // What fails counts as well.
        Assert.Equal("\"default\";r=0;t=200", (await account.GetAsync("/ai/finetunes/none")).MustFail(404, 3037, "none").Headers.GetValues("Ratelimit").Single());
        var refused = (await account.GetAsync("/ai/finetunes")).MustFail(429, 10429, "200 seconds");
        Assert.Equal(TimeSpan.FromSeconds(200), refused.Headers.RetryAfter!.Delta);
        Assert.Equal("\"default\";r=0;t=200", refused.Headers.GetValues("Ratelimit").Single());
        Assert.Equal(System.Text.Json.JsonValueKind.Null, refused.Result.ValueKind);
        // Another token of the account, and another account, have limits of their own.
        (await account.GetAsync("/ai/finetunes", account.ReadToken)).MustSucceed();
        (await (await server.NewAccountAsync()).GetAsync("/ai/finetunes")).MustSucceed();
        clock.Advance(TimeSpan.FromSeconds(200));
        Assert.Equal("\"default\";r=2;t=300", (await account.GetAsync("/ai/finetunes")).MustSucceed().Headers.GetValues("Ratelimit").Single());
    }

    [Fact]
    public async Task Unknown_OverTheLimit_IsRefusedByAddressAndTokensAreNot()
    {
        var account = await server.NewAccountAsync();
        for (int i = 0; i < 3; i++)
            (await account.GetAsync("/ai/finetunes", "hone_unknown")).MustFail(403, 10000, "Authentication error");
        (await account.GetAsync("/ai/finetunes", "hone_unknown")).MustFail(429, 10429, "300 seconds");
        (await account.GetAsync("/client/v4/user/tokens/verify", "hone_unknown")).MustFail(429, 10429, "300 seconds");
        (await account.GetAsync("/ai/finetunes")).MustSucceed();
    }

    [Theory]
    [InlineData("1200/300", 1200, 300)]
    [InlineData("1/86400", 1, 86400)]
    public void Parse_Limit_IsRead(string text, int requests, int seconds)
    {
        Assert.True(RateLimit.TryParse(text, out var limit));
        Assert.Equal(new RateLimit(requests, TimeSpan.FromSeconds(seconds)), limit);
    }

    [Fact]
    public void Parse_Off_IsNone()
    {
        Assert.True(RateLimit.TryParse("off", out var limit));
        Assert.Null(limit);
    }

    [Theory]
    [InlineData("")]
    [InlineData("1200")]
    [InlineData("0/300")]
    [InlineData("1200/0")]
    [InlineData("-1/300")]
    [InlineData("1200/300/1")]
    [InlineData("1e3/300")]
    [InlineData("1200/86401")]
    public void Parse_Other_IsRefused(string text) => Assert.False(RateLimit.TryParse(text, out _));

    [Fact]
    public void Windows_MoreKeysThanRoom_StayBoundedAndShareOneWindow()
    {
        var windows = new RateWindows<int>(new RateLimit(2, TimeSpan.FromSeconds(60)), clock, capacity: 1000);
        for (int key = 0; key < 100_000; key++)
            windows.Take(key);
        Assert.Equal(1000, windows.Held);
        // Those without a window of their own share one, which is used up; those with one go on.
        Assert.False(windows.Take(50_000).Allowed);
        Assert.True(windows.Take(7).Allowed);
        Assert.False(windows.Take(7).Allowed);
        clock.Advance(TimeSpan.FromSeconds(60));
        Assert.True(windows.Take(50_000).Allowed);
        Assert.Equal(1, windows.Held);
    }

    [Fact]
    public async Task Windows_ManyAtOnce_ExactlyTheLimitPasses()
    {
        var windows = new RateWindows<string>(new RateLimit(10_000, TimeSpan.FromSeconds(60)), clock, capacity: 16);
        int[] passed = await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => Task.Run(() => Enumerable.Range(0, 5_000).Count(_ => windows.Take("one").Allowed))));
        Assert.Equal(10_000, passed.Sum());
    }

    [Fact]
    public void Windows_SteadyState_AllocatesNothing()
    {
        var windows = new RateWindows<string>(RateLimit.Default, clock, capacity: 16);
        windows.Take("one");
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 10_000; i++)
            windows.Take("one");
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
    }
}
