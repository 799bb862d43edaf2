using System.Text.Json;
using Hone.Core.Accounts;

namespace Hone.Server.Tests.Auth;

public sealed class AccountAccessTests(RunningServer server) : IClassFixture<RunningServer>
{
    [Fact]
    public async Task Get_WithoutCredentials_IsAuthenticationErrorThatNamesTheHeaders()
    {
        var account = await server.NewAccountAsync();
        var reply = await account.SendAsync(HttpMethod.Get, "/ai/finetunes", headers: h => h.Authorization = null);
        reply.MustFail(403, 10000, "Authentication error");
        Assert.Equal(9106, reply.Body.GetProperty("errors")[0].GetProperty("error_chain")[0].GetProperty("code").GetInt32());
        Assert.Equal(JsonValueKind.Null, reply.Result.ValueKind);
    }

    [Theory]
    [InlineData("Basic dXNlcjpwYXNz")]
    [InlineData("Bearer")]
    [InlineData("Bearer ")]
    [InlineData("Bearer two words")]
    [InlineData("hone_without_scheme")]
    public async Task Get_AuthorizationOfWrongForm_Is6003With6111(string authorization)
    {
        var account = await server.NewAccountAsync();
        var reply = await account.SendAsync(HttpMethod.Get, "/ai/finetunes", headers: h =>
        {
            h.Authorization = null;
            h.TryAddWithoutValidation("Authorization", authorization);
        });
        reply.MustFail(400, 6003, "Invalid request headers");
        var chain = reply.Body.GetProperty("errors")[0].GetProperty("error_chain")[0];
        Assert.Equal(6111, chain.GetProperty("code").GetInt32());
        Assert.Equal("Invalid format for Authorization header", chain.GetProperty("message").GetString());
    }

    [Theory]
    [InlineData("owner@example.org", "short", 6103)]
    [InlineData("owner@example.org", "a key with spaces in its middle", 6103)]
    [InlineData("owner@example.org", null, 6103)]
    [InlineData("no address", "c2547eb745079dac9320b638f5e225cf483cc5cfdda41", 6102)]
    [InlineData(null, "c2547eb745079dac9320b638f5e225cf483cc5cfdda41", 6102)]
    public async Task Get_KeyHeadersOfWrongForm_Is6003WithChain(string? email, string? key, int chain)
    {
        var account = await server.NewAccountAsync();
        var reply = await WithKeyAsync(account, email, key);
        reply.MustFail(400, 6003, "Invalid request headers");
        Assert.Equal(chain, reply.Body.GetProperty("errors")[0].GetProperty("error_chain")[0].GetProperty("code").GetInt32());
    }

    [Fact]
    public async Task Get_EmailAndKey_OnlyTogetherAndRight()
    {
        var account = await server.NewAccountAsync();
        var other = await server.NewAccountAsync();
        (await WithKeyAsync(account, account.Email, account.Key)).MustSucceed();
        (await WithKeyAsync(account, other.Email, account.Key)).MustFail(403, 10000, "Authentication error");
        (await WithKeyAsync(account, account.Email, other.Key)).MustFail(403, 10000, "Authentication error");
        (await WithKeyAsync(account, account.Email, "c2547eb745079dac9320b638f5e225cf483cc5cfdda41")).MustFail(403, 10000, "Authentication error");
    }

    [Fact]
    public async Task Get_TokenWithOneCharacterChanged_IsAuthenticationError()
    {
        var account = await server.NewAccountAsync();
        (await account.GetAsync("/ai/finetunes")).MustSucceed();
        for (int i = 0; i < account.Token.Length; i++)
        {
            char changed = account.Token[i] == 'x' ? 'y' : 'x';
            (await account.GetAsync("/ai/finetunes", account.Token.Remove(i, 1).Insert(i, changed.ToString()))).MustFail(403, 10000, "Authentication error");
        }
    }

    [Fact]
    public async Task Get_RevokedOrExpiredToken_IsAuthenticationError()
    {
        var account = await server.NewAccountAsync();
        var accounts = server.Service<AccountService>();
        var revoked = (await accounts.CreateTokenAsync(account.Id, "r", TokenPermission.Write, null, CancellationToken.None))!;
        (await account.GetAsync("/ai/finetunes", revoked.Secret)).MustSucceed();
        Assert.True(await accounts.RevokeAsync(account.Id, revoked.Token.Id, CancellationToken.None));
        (await account.GetAsync("/ai/finetunes", revoked.Secret)).MustFail(403, 10000, "Authentication error");
        var expired = (await accounts.CreateTokenAsync(account.Id, "e", TokenPermission.Write, TimeProvider.System.GetUtcNow().AddSeconds(-1), CancellationToken.None))!;
        (await account.GetAsync("/ai/finetunes", expired.Secret)).MustFail(403, 10000, "Authentication error");
    }

    [Fact]
    public async Task Any_OtherAccountsPath_IsAuthenticationErrorAndShowsNothing()
    {
        var owner = await server.NewAccountAsync();
        var stranger = await server.NewAccountAsync();
        string id = await owner.CreatedAsync("private");
        (HttpMethod Method, string Path)[] all =
        [
            (HttpMethod.Get, "/ai/finetunes"), (HttpMethod.Post, "/ai/finetunes"), (HttpMethod.Get, "/ai/finetunes/public"), (HttpMethod.Get, $"/ai/finetunes/{id}"),
            (HttpMethod.Delete, $"/ai/finetunes/{id}"), (HttpMethod.Post, $"/ai/finetunes/{id}/cancel"), (HttpMethod.Get, $"/ai/finetunes/{id}/events"),
            (HttpMethod.Get, $"/ai/finetunes/{id}/finetune-assets"), (HttpMethod.Post, $"/ai/finetunes/{id}/finetune-assets"),
            (HttpMethod.Get, $"/ai/finetunes/{id}/finetune-assets/x"), (HttpMethod.Get, "/ai/models/search"), (HttpMethod.Post, $"/ai/run/{RunningServer.Model}"), (HttpMethod.Post, "/ai/run"),
        ];
        foreach (var (method, path) in all)
            (await owner.SendAsync(method, path, token: stranger.Token)).MustFail(403, 10000, "Authentication error");
        // On the stranger's own path the finetune does not exist.
        foreach (var (method, path) in all.Where(e => e.Path.Contains(id, StringComparison.Ordinal)))
        {
            var reply = await stranger.SendAsync(method, path);
            Assert.False(reply.Success);
            Assert.Contains("not found", Assert.Single(reply.Errors), StringComparison.Ordinal);
        }
        Assert.Equal(0, (await stranger.GetAsync("/ai/finetunes")).MustSucceed().Result.GetArrayLength());
        (await owner.GetAsync($"/ai/finetunes/{id}")).MustSucceed();
    }

    [Fact]
    public async Task Write_WithReadToken_IsAuthenticationError()
    {
        var account = await server.NewAccountAsync();
        string id = await account.CreatedAsync("mine");
        (HttpMethod Method, string Path)[] writes =
            [(HttpMethod.Post, "/ai/finetunes"), (HttpMethod.Delete, $"/ai/finetunes/{id}"), (HttpMethod.Post, $"/ai/finetunes/{id}/cancel"), (HttpMethod.Post, $"/ai/finetunes/{id}/finetune-assets")];
        foreach (var (method, path) in writes)
            (await account.SendAsync(method, path, token: account.ReadToken)).MustFail(403, 10000, "Authentication error");
        (await account.GetAsync($"/ai/finetunes/{id}", account.ReadToken)).MustSucceed();
        // Running needs no more than reading.
        (await account.PostAsync("/ai/run/@cf/none/none", "{}", token: account.ReadToken)).MustFail(400, 5007, "No such model");
    }

    [Theory]
    [InlineData("short")]
    [InlineData("zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz")]
    [InlineData("0123456789abcdef0123456789abcdef0")]
    public async Task Any_MalformedAccountId_CouldNotRoute(string accountId)
    {
        var account = await server.NewAccountAsync();
        string path = $"/client/v4/accounts/{accountId}/ai/finetunes";
        (await account.GetAsync(path)).MustFail(404, 7003, $"Could not route to {path}, perhaps your object identifier is invalid?");
    }

    private static Task<Reply> WithKeyAsync(TestAccount account, string? email, string? key) => account.SendAsync(HttpMethod.Get, "/ai/finetunes", headers: h =>
    {
        h.Authorization = null;
        if (email is not null)
            h.TryAddWithoutValidation("X-Auth-Email", email);
        if (key is not null)
            h.TryAddWithoutValidation("X-Auth-Key", key);
    });
}
