using Hone.Core.Finetunes;
using Hone.Core.Models;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Time.Testing;

namespace Hone.Core.Tests.Finetunes;

public sealed class FinetuneServiceTests
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Create_EverythingWrong_AllErrorsAndNothingWritten()
    {
        await using TestHone hone = await TestHone.StartAsync();
        var request = new CreateFinetune { Model = "@cf/no/such", Name = "cf-public-\u0007" + new string('x', 130), Description = new string('d', 4097) };
        var invalid = Assert.IsType<CreateResult.Invalid>(await hone.Finetunes.CreateAsync(hone.AccountId, request, Stop));
        Assert.Equal(
            [CreateErrorCode.UnknownModel, CreateErrorCode.BadName, CreateErrorCode.BadName, CreateErrorCode.ReservedName, CreateErrorCode.DescriptionTooLong],
            invalid.Errors.Select(e => e.Code));
        Assert.Contains(ModelCatalog.EmbeddedId, invalid.Errors[0].Message, StringComparison.Ordinal);
        Assert.Empty(await hone.Finetunes.ListAsync(hone.AccountId, Stop));
    }

    [Fact]
    public async Task Create_OverTheAccountsLimit_Refused()
    {
        await using TestHone hone = await TestHone.StartAsync(new HoneLimits { FinetunesPerAccount = 2 });
        await hone.CreateAsync("a");
        await hone.CreateAsync("b");
        var request = new CreateFinetune { Model = ModelCatalog.EmbeddedId, Name = "c" };
        var invalid = Assert.IsType<CreateResult.Invalid>(await hone.Finetunes.CreateAsync(hone.AccountId, request, Stop));
        Assert.Equal(CreateErrorCode.TooManyFinetunes, Assert.Single(invalid.Errors).Code);
        await hone.Finetunes.DeleteAsync(hone.AccountId, "a", Stop);
        Assert.IsType<CreateResult.Created>(await hone.Finetunes.CreateAsync(hone.AccountId, request, Stop));
    }

    [Fact]
    public async Task Create_SameNameInTwoAccounts_BothAndUnseenByEachOther()
    {
        await using TestHone hone = await TestHone.StartAsync();
        string other = (await hone.Accounts.CreateAccountAsync("other", "o@example.com", Stop)).Account.Id;
        Finetune mine = await hone.CreateAsync("name");
        var theirs = Assert.IsType<CreateResult.Created>(await hone.Finetunes.CreateAsync(other, new CreateFinetune { Model = ModelCatalog.EmbeddedId, Name = "name" }, Stop)).Finetune;
        Assert.Equal(mine.Id, (await hone.Finetunes.FindAsync(hone.AccountId, "name", true, Stop))!.Id);
        Assert.Null(await hone.Finetunes.FindAsync(hone.AccountId, theirs.Id.ToString(), true, Stop));
        Assert.IsType<CancelResult.NotFound>(await hone.Finetunes.CancelAsync(hone.AccountId, theirs.Id.ToString(), Stop));
        Assert.Null(await hone.Finetunes.DeleteAsync(hone.AccountId, theirs.Id.ToString(), Stop));
        Assert.Equal([theirs.Id], (await hone.Finetunes.ListAsync(other, Stop)).Select(f => f.Id));
    }

    [Fact]
    public async Task Find_Public_SeenByOthersOnlyWhereAskedFor()
    {
        await using TestHone hone = await TestHone.StartAsync();
        string other = (await hone.Accounts.CreateAccountAsync("other", "o@example.com", Stop)).Account.Id;
        var shared = new List<Finetune>();
        foreach (string name in new[] { "b", "a", "c" })
        {
            var request = new CreateFinetune { Model = ModelCatalog.EmbeddedId, Name = name, Public = true };
            shared.Add(Assert.IsType<CreateResult.Created>(await hone.Finetunes.CreateAsync(other, request, Stop)).Finetune);
        }
        await hone.CreateAsync("private");
        foreach (string key in new[] { "b", shared[0].Id.ToString() })
        {
            Assert.Equal(shared[0].Id, (await hone.Finetunes.FindAsync(hone.AccountId, key, true, Stop))!.Id);
            Assert.Null(await hone.Finetunes.FindAsync(hone.AccountId, key, false, Stop));
        }
        // One that is not ready hides none that is, however much older.
        string third = (await hone.Accounts.CreateAccountAsync("third", "t@example.com", Stop)).Account.Id;
        Finetune ready = Assert.IsType<CreateResult.Created>(await hone.Finetunes.CreateAsync(third, new CreateFinetune { Model = ModelCatalog.EmbeddedId, Name = "c", Public = true }, Stop)).Finetune;
        Assert.Equal(shared[2].Id, (await hone.Finetunes.FindAsync(hone.AccountId, "cf-public-c", true, Stop))!.Id);
        await hone.Writer.RunAsync(db => db.Database.ExecuteSqlAsync($"UPDATE finetunes SET state = 'ready', finalized_at = 1 WHERE id = {ready.Id.ToString("D")}", Stop), Stop);
        Assert.Equal(ready.Id, (await hone.Finetunes.FindAsync(hone.AccountId, "cf-public-c", true, Stop))!.Id);
        await hone.Finetunes.DeleteAsync(third, "c", Stop);
        Finetune own = await hone.CreateAsync("a");
        Assert.Equal(own.Id, (await hone.Finetunes.FindAsync(hone.AccountId, "a", true, Stop))!.Id);
        Assert.Equal(shared[1].Id, (await hone.Finetunes.FindAsync(hone.AccountId, "cf-public-a", true, Stop))!.Id);
        foreach (string key in new[] { "cf-public-private", "cf-public-", "cf-public-cf-public-a" })
            Assert.Null(await hone.Finetunes.FindAsync(hone.AccountId, key, true, Stop));
        Assert.Null(await hone.Finetunes.FindAsync(hone.AccountId, "cf-public-a", false, Stop));
        Assert.Equal(["a", "b", "c"], (await hone.Finetunes.ListPublicAsync(20, 0, PublicOrder.Name, Stop)).Select(f => f.Name));
        Assert.Equal(["b"], (await hone.Finetunes.ListPublicAsync(1, 1, PublicOrder.Name, Stop)).Select(f => f.Name));
        Assert.Empty(await hone.Finetunes.ListPublicAsync(20, 3, PublicOrder.CreatedAt, Stop));
    }

    [Fact]
    public async Task Cancel_Waiting_AtOnceAndNeverClaimed()
    {
        await using TestHone hone = await TestHone.StartAsync();
        await hone.CreateAsync("waits for files");
        await hone.QueueAsync("queued");
        foreach (string name in new[] { "waits for files", "queued" })
        {
            Finetune cancelled = Assert.IsType<CancelResult.Accepted>(await hone.Finetunes.CancelAsync(hone.AccountId, name, Stop)).Finetune;
            Assert.Equal(FinetuneState.Cancelled, cancelled.State);
            Assert.NotNull((await hone.GetAsync(cancelled.Id)).FinalizedAt);
            Assert.Contains("cancelled", Assert.IsType<CancelResult.AlreadyEnded>(await hone.Finetunes.CancelAsync(hone.AccountId, name, Stop)).Message, StringComparison.Ordinal);
        }
        Assert.Null(await hone.Queue.ClaimAsync("w", TimeSpan.FromSeconds(30), Stop));
    }

    [Fact]
    public async Task Watch_UntilCancelled_EveryEventOnceWithoutPolling()
    {
        // This clock stands still: only signals wake the watcher.
        await using TestHone hone = await TestHone.StartAsync(clock: new FakeTimeProvider());
        Finetune job = await hone.QueueAsync("job");
        await using IAsyncEnumerator<FinetuneEvent> watch = hone.Finetunes.WatchEventsAsync(job.Id, 0, Stop).GetAsyncEnumerator(Stop);
        Assert.True(await watch.MoveNextAsync());
        Assert.Equal(1, watch.Current.Sequence);
        var claimed = (await hone.Queue.ClaimAsync("w", TimeSpan.FromSeconds(30), Stop))!;
        for (int i = 0; i < 3; i++)
        {
            ValueTask<bool> next = watch.MoveNextAsync();
            await hone.Queue.AppendEventsAsync(job.Id, claimed.Fence, [new NewEvent($"Step {i}", Type: "metrics", DataJson: "{}")], null, Stop);
            Assert.True(await next);
            Assert.Equal((i + 2, $"Step {i}"), (watch.Current.Sequence, watch.Current.Message));
        }
        ValueTask<bool> last = watch.MoveNextAsync();
        await hone.Finetunes.CancelAsync(hone.AccountId, "job", Stop);
        await hone.Queue.FinishCancelAsync(job.Id, claimed.Fence, Stop);
        Assert.True(await last);
        Assert.Equal("The job was cancelled", watch.Current.Message);
        Assert.False(await watch.MoveNextAsync());
        Assert.Equal([3L, 4, 5], (await hone.Finetunes.WatchEventsAsync(job.Id, 2, Stop).ToListAsync(Stop)).Select(e => e.Sequence));
    }

    [Fact]
    public async Task Watch_WrittenByAnotherProcess_SeenAfterTheFallback()
    {
        var clock = new FakeTimeProvider();
        await using TestHone hone = await TestHone.StartAsync(clock: clock);
        Finetune job = await hone.CreateAsync("job");
        await using IAsyncEnumerator<FinetuneEvent> watch = hone.Finetunes.WatchEventsAsync(job.Id, 1, Stop).GetAsyncEnumerator(Stop);
        Task<bool> next = watch.MoveNextAsync().AsTask();
        await hone.Writer.RunAsync(async db =>
        {
            await EventLog.AppendAsync(db, job.Id, [new NewEvent("from elsewhere")], Stop);
            return true;
        }, Stop);
        while (!next.IsCompleted)
        {
            clock.Advance(TimeSpan.FromSeconds(1));
            await Task.Yield();
        }
        Assert.True(await next);
        Assert.Equal("from elsewhere", watch.Current.Message);
    }

    [Fact]
    public async Task Watch_Deleted_Ends()
    {
        await using TestHone hone = await TestHone.StartAsync(clock: new FakeTimeProvider());
        Finetune job = await hone.CreateAsync("job");
        await using IAsyncEnumerator<FinetuneEvent> watch = hone.Finetunes.WatchEventsAsync(job.Id, 1, Stop).GetAsyncEnumerator(Stop);
        ValueTask<bool> next = watch.MoveNextAsync();
        await hone.Finetunes.DeleteAsync(hone.AccountId, "job", Stop);
        Assert.False(await next);
    }
}
