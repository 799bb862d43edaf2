using Hone.Core.Accounts;
using Hone.Core.Finetunes;
using Hone.Core.Store;
using Microsoft.EntityFrameworkCore;

namespace Hone.Core.Tests.Store;

public sealed class StoreVersionTests
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Now_CommitsOfThisProcessAndOfAnother_AnotherNumberWithEach()
    {
        await using TestHone hone = await TestHone.StartAsync();
        await using TestHone other = TestHone.Create(folder: hone.Folder);
        using var version = new StoreVersion(hone.Store);
        var seen = new HashSet<long>();
        for (int i = 0; i < 50; i++)
        {
            Assert.True(seen.Add(version.Now()));
            Assert.Equal(version.Now(), version.Now());
            if (i % 2 == 0)
                await hone.CreateAsync($"n{i}");
            else
                await other.Accounts.CreateTokenAsync(hone.AccountId, $"t{i}", TokenPermission.Read, null, Stop);
            // The log begins anew with the next.
            if (i % 10 == 9)
                await hone.Store.Read().Database.ExecuteSqlRawAsync("PRAGMA wal_checkpoint(TRUNCATE)", Stop);
        }
    }

    [Fact]
    public async Task OfAccounts_OwnCreations_StaysUntilAnotherCommits()
    {
        await using TestHone hone = await TestHone.StartAsync();
        await using TestHone other = TestHone.Create(folder: hone.Folder);
        StoreVersion version = hone.Version;
        long before = version.OfAccounts(), now = version.Now();
        foreach (string name in (string[])["a", "b", "c"])
            await hone.CreateAsync(name);
        Assert.NotEqual(now, version.Now());
        Assert.Equal(before, version.OfAccounts());
        Assert.Equal(3, (await other.Finetunes.ListAsync(hone.AccountId, Stop)).Count);
        await other.Finetunes.CancelAsync(hone.AccountId, "a", Stop);
        long after = version.OfAccounts();
        Assert.NotEqual(before, after);
        await hone.CreateAsync("d");
        Assert.Equal(after, version.OfAccounts());
        // Of this process as well, what is no creation.
        await hone.Finetunes.CancelAsync(hone.AccountId, "b", Stop);
        Assert.NotEqual(after, version.OfAccounts());
    }

    [Fact]
    public async Task Token_RevokedByAnotherProcessBetweenCreations_RefusedAtOnce()
    {
        await using TestHone hone = await TestHone.StartAsync();
        await using TestHone other = TestHone.Create(folder: hone.Folder);
        for (int round = 0; round < 20; round++)
        {
            NewToken token = (await hone.Accounts.CreateTokenAsync(hone.AccountId, "t", TokenPermission.Write, null, Stop))!;
            Task<Finetune>[] creations = [.. Enumerable.Range(0, 3).Select(i => Task.Run(() => hone.CreateAsync($"{round} {i}")))];
            Assert.NotNull(await hone.Accounts.AuthenticateBearerAsync(token.Secret, Stop));
            Assert.True(await other.Accounts.RevokeAsync(hone.AccountId, token.Token.Id, Stop));
            Assert.Null(await hone.Accounts.AuthenticateBearerAsync(token.Secret, Stop));
            await Task.WhenAll(creations);
            Assert.Null(await hone.Accounts.AuthenticateBearerAsync(token.Secret, Stop));
        }
    }
}
