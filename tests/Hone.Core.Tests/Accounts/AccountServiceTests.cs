using System.Text;
using Hone.Core.Accounts;
using Microsoft.Extensions.Time.Testing;

namespace Hone.Core.Tests.Accounts;

public sealed class AccountServiceTests
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public async Task AuthenticateBearer_KnownToken_ItsAccountAndPermission()
    {
        await using TestHone hone = await TestHone.StartAsync();
        NewToken read = (await hone.Accounts.CreateTokenAsync(hone.AccountId, "ci", TokenPermission.Read, null, Stop))!;
        NewToken write = (await hone.Accounts.CreateTokenAsync(hone.AccountId, "ci", TokenPermission.Write, null, Stop))!;
        Principal reader = (await hone.Accounts.AuthenticateBearerAsync(read.Secret, Stop))!;
        Assert.Equal((hone.AccountId, read.Token.Id, false), (reader.AccountId, reader.TokenId, reader.MayWrite));
        Assert.True((await hone.Accounts.AuthenticateBearerAsync(write.Secret, Stop))!.MayWrite);
    }

    [Fact]
    public async Task AuthenticateBearer_UnknownOrWithOneCharacterChanged_Null()
    {
        await using TestHone hone = await TestHone.StartAsync();
        NewToken token = (await hone.Accounts.CreateTokenAsync(hone.AccountId, "ci", TokenPermission.Write, null, Stop))!;
        Assert.Null(await hone.Accounts.AuthenticateBearerAsync(TokenFormat.Create(), Stop));
        Assert.Null(await hone.Accounts.AuthenticateBearerAsync(token.Secret[..20] + (token.Secret[20] == 'x' ? 'y' : 'x') + token.Secret[21..], Stop));
        Assert.Null(await hone.Accounts.AuthenticateBearerAsync(null, Stop));
    }

    [Fact]
    public async Task AuthenticateBearer_RevokedByAnotherProcess_NullWithTheNextRequest()
    {
        await using TestHone server = await TestHone.StartAsync();
        NewToken token = (await server.Accounts.CreateTokenAsync(server.AccountId, "a", TokenPermission.Write, null, Stop))!;
        // As `hone tokens revoke` does beside a running server: its own connections, its own writer.
        await using TestHone commandLine = TestHone.Create(folder: server.Folder);
        for (int i = 0; i < 3; i++)
            Assert.NotNull(await server.Accounts.AuthenticateBearerAsync(token.Secret, Stop));
        Assert.True(await commandLine.Accounts.RevokeAsync(server.AccountId, token.Token.Id, Stop));
        Assert.Null(await server.Accounts.AuthenticateBearerAsync(token.Secret, Stop));
    }

    [Fact]
    public async Task AuthenticateBearer_RevokedOrExpired_Null()
    {
        var clock = new FakeTimeProvider(new DateTimeOffset(2026, 1, 1, 0, 0, 0, TimeSpan.Zero));
        await using TestHone hone = await TestHone.StartAsync(clock: clock);
        NewToken revoked = (await hone.Accounts.CreateTokenAsync(hone.AccountId, "a", TokenPermission.Write, null, Stop))!;
        NewToken expiring = (await hone.Accounts.CreateTokenAsync(hone.AccountId, "b", TokenPermission.Write, clock.GetUtcNow().AddHours(1), Stop))!;
        Assert.NotNull(await hone.Accounts.AuthenticateBearerAsync(revoked.Secret, Stop));
        Assert.False(await hone.Accounts.RevokeAsync("other account", revoked.Token.Id, Stop));
        Assert.True(await hone.Accounts.RevokeAsync(hone.AccountId, revoked.Token.Id, Stop));
        Assert.False(await hone.Accounts.RevokeAsync(hone.AccountId, revoked.Token.Id, Stop));
        Assert.Null(await hone.Accounts.AuthenticateBearerAsync(revoked.Secret, Stop));
        clock.Advance(TimeSpan.FromMinutes(59));
        Assert.NotNull(await hone.Accounts.AuthenticateBearerAsync(expiring.Secret, Stop));
        clock.Advance(TimeSpan.FromMinutes(1));
        Assert.Null(await hone.Accounts.AuthenticateBearerAsync(expiring.Secret, Stop));
    }

    [Fact]
    public async Task AuthenticateKey_RightAndWrongPairs_OnlyTheRightOne()
    {
        await using TestHone hone = await TestHone.StartAsync();
        NewAccount a = await hone.Accounts.CreateAccountAsync("a", "a@example.com", Stop), b = await hone.Accounts.CreateAccountAsync("b", "b@example.com", Stop);
        Assert.Equal(a.Account.Id, (await hone.Accounts.AuthenticateKeyAsync("A@example.com", a.Key, Stop))!.AccountId);
        Assert.Null(await hone.Accounts.AuthenticateKeyAsync("a@example.com", b.Key, Stop));
        Assert.Null(await hone.Accounts.AuthenticateKeyAsync("a@example.com", TokenFormat.Create(), Stop));
        Assert.Null(await hone.Accounts.AuthenticateKeyAsync(null, a.Key, Stop));
        Assert.Null(await hone.Accounts.AuthenticateBearerAsync(a.Key, Stop));
    }

    [Fact]
    public async Task CreateToken_UnknownAccount_Null()
    {
        await using TestHone hone = await TestHone.StartAsync();
        Assert.Null(await hone.Accounts.CreateTokenAsync(new string('0', 32), "x", TokenPermission.Read, null, Stop));
    }

    [Fact]
    public async Task Secrets_AfterUse_AreNowhereInTheDataFolder()
    {
        string folder = Directory.CreateTempSubdirectory("hone-core-").FullName;
        try
        {
            string key, secret;
            await using (TestHone hone = await TestHone.StartAsync(folder: folder))
            {
                key = (await hone.Accounts.CreateAccountAsync("x", "x@example.com", Stop)).Key;
                secret = (await hone.Accounts.CreateTokenAsync(hone.AccountId, "x", TokenPermission.Write, null, Stop))!.Secret;
                Assert.NotNull(await hone.Accounts.AuthenticateBearerAsync(secret, Stop));
            }
            foreach (string file in Directory.EnumerateFiles(folder, "*", SearchOption.AllDirectories))
            {
                byte[] bytes = await File.ReadAllBytesAsync(file, Stop);
                Assert.Equal(-1, bytes.AsSpan().IndexOf(Encoding.ASCII.GetBytes(key)));
                Assert.Equal(-1, bytes.AsSpan().IndexOf(Encoding.ASCII.GetBytes(secret)));
            }
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Fact]
    public async Task EnsureCredentials_EmptyFolder_FileThatWorksAndIsPrivate()
    {
        await using TestHone hone = TestHone.Create();
        await hone.Store.InitializeAsync(Stop);
        Credentials made = (await hone.FirstRun.EnsureCredentialsAsync("http://127.0.0.1:4663", Stop))!;
        Assert.Equal(made, Credentials.Read(hone.DataFolder.CredentialsPath));
        if (!OperatingSystem.IsWindows())
            Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(hone.DataFolder.CredentialsPath));
        Assert.Equal(made.AccountId, (await hone.Accounts.AuthenticateBearerAsync(made.Token, Stop))!.AccountId);
        Assert.Equal(made.AccountId, (await hone.Accounts.AuthenticateKeyAsync(made.Email, made.Key, Stop))!.AccountId);
        Assert.Equal(["account_id", "email", "key", "token", "url"], System.Text.Json.Nodes.JsonNode.Parse(await File.ReadAllTextAsync(hone.DataFolder.CredentialsPath, Stop))!.AsObject().Select(p => p.Key).Order());

        Credentials again = (await hone.FirstRun.EnsureCredentialsAsync("http://127.0.0.1:9", Stop))!;
        Assert.Equal(made with { Url = "http://127.0.0.1:9" }, again);
        Assert.Single(await hone.Accounts.ListAsync(Stop));
        Assert.DoesNotContain(Directory.EnumerateFiles(hone.Folder), f => f.EndsWith(".tmp", StringComparison.Ordinal));
    }

    [Fact]
    public async Task EnsureCredentials_CrashAfterTheFile_AccountOfTheFileIsMade()
    {
        await using TestHone hone = TestHone.Create();
        await hone.Store.InitializeAsync(Stop);
        Credentials made = (await hone.FirstRun.EnsureCredentialsAsync("http://127.0.0.1:1", Stop))!;
        File.Copy(hone.DataFolder.CredentialsPath, hone.DataFolder.CredentialsPath + ".kept");
        await using TestHone crashed = TestHone.Create();
        await crashed.Store.InitializeAsync(Stop);
        File.Copy(hone.DataFolder.CredentialsPath, crashed.DataFolder.CredentialsPath);
        Assert.Equal(made, await crashed.FirstRun.EnsureCredentialsAsync("http://127.0.0.1:1", Stop));
        Assert.Equal(made.AccountId, (await crashed.Accounts.AuthenticateBearerAsync(made.Token, Stop))!.AccountId);
    }

    [Fact]
    public async Task EnsureCredentials_AccountsButNoFile_Null()
    {
        await using TestHone hone = await TestHone.StartAsync();
        Assert.Null(await hone.FirstRun.EnsureCredentialsAsync("http://127.0.0.1:1", Stop));
        Assert.False(File.Exists(hone.DataFolder.CredentialsPath));
    }
}
