using System.Text.Json;
using Hone.Core.Accounts;

namespace Hone.Server.Tests.Cloudflare;

public sealed class TokenEndpointTests(RunningServer server) : IClassFixture<RunningServer>
{
    [Fact]
    public async Task Verify_KnownToken_IsActive()
    {
        var account = await server.NewAccountAsync();
        foreach (string path in (string[])["/client/v4/user/tokens/verify", "/client/v4/user/tokens/verify/", $"{account.Root}/tokens/verify"])
        {
            var reply = (await account.GetAsync(path, account.ReadToken)).MustSucceed();
            Assert.Equal("active", reply.Result.GetProperty("status").GetString());
            Assert.Equal(32, reply.Result.GetProperty("id").GetString()!.Length);
            Assert.Equal("This API Token is valid and active", reply.Body.GetProperty("messages")[0].GetProperty("message").GetString());
        }
        var expiry = TimeProvider.System.GetUtcNow().AddDays(1);
        var limited = (await server.Service<AccountService>().CreateTokenAsync(account.Id, "e", TokenPermission.Read, expiry, CancellationToken.None))!;
        var verified = (await account.GetAsync("/client/v4/user/tokens/verify", limited.Secret)).MustSucceed().Result;
        Assert.Equal(limited.Token.Id, verified.GetProperty("id").GetString());
        Assert.Equal(expiry.DateTime, verified.GetProperty("expires_on").GetDateTimeOffset().DateTime, TimeSpan.FromMilliseconds(1));
    }

    [Fact]
    public async Task Verify_OtherToken_IsInvalidOrUnauthorized()
    {
        var account = await server.NewAccountAsync();
        var other = await server.NewAccountAsync();
        (await account.GetAsync("/client/v4/user/tokens/verify", TokenFormat.Create())).MustFail(401, 1000, "Invalid API Token");
        (await account.GetAsync($"{account.Root}/tokens/verify", TokenFormat.Create())).MustFail(403, 9109, "Unauthorized to access requested resource");
        (await account.GetAsync($"{account.Root}/tokens/verify", other.Token)).MustFail(403, 9109, "Unauthorized to access requested resource");
        (await account.GetAsync($"{other.Root}")).MustFail(403, 9109, "Unauthorized to access requested resource");
        (await account.SendAsync(HttpMethod.Get, "/client/v4/user/tokens/verify", headers: h =>
        {
            h.Authorization = null;
            h.TryAddWithoutValidation("Authorization", "Token x");
        })).MustFail(400, 6003, "Invalid request headers");
    }

    [Fact]
    public async Task WhoAmI_Caller_SeesHisAccountAlone()
    {
        var account = await server.NewAccountAsync();
        await server.NewAccountAsync();
        Assert.Equal(account.Email, (await account.GetAsync("/client/v4/user")).MustSucceed().Result.GetProperty("email").GetString());
        var accounts = (await account.GetAsync("/client/v4/accounts?page=1")).MustSucceed();
        Assert.Equal(account.Id, Assert.Single(accounts.Result.EnumerateArray()).GetProperty("id").GetString());
        Assert.Equal(1, accounts.Body.GetProperty("result_info").GetProperty("total_count").GetInt32());
        Assert.Equal(0, (await account.GetAsync("/client/v4/accounts?page=2")).MustSucceed().Result.GetArrayLength());
        var membership = Assert.Single((await account.GetAsync("/client/v4/memberships?page=1", account.ReadToken)).MustSucceed().Result.EnumerateArray());
        Assert.Equal(account.Id, membership.GetProperty("account").GetProperty("id").GetString());
        Assert.Equal("Workers AI Read", membership.GetProperty("roles")[0].GetString());
        foreach (string path in (string[])["/client/v4/user", "/client/v4/accounts", "/client/v4/memberships"])
            (await account.GetAsync(path, TokenFormat.Create())).MustFail(403, 10000, "Authentication error");
        Assert.Equal(JsonValueKind.Object, (await account.GetAsync(account.Root)).MustSucceed().Result.ValueKind);
    }
}
