using Hone.Core.Finetunes;
using Hone.Core.Models;
using Hone.Core.Store;
using Microsoft.Data.Sqlite;
using Microsoft.EntityFrameworkCore;

namespace Hone.Core.Tests.Store;

public sealed class StoreWriterTests
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Create_SameNameEightTimesAtOnce_OneWinsSevenNameIt()
    {
        await using TestHone hone = await TestHone.StartAsync();
        var request = new CreateFinetune { Model = ModelCatalog.EmbeddedId, Name = "wanted by all" };
        CreateResult[] results = await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => Task.Run(() => hone.Finetunes.CreateAsync(hone.AccountId, request, Stop))));
        CreateResult.Created winner = Assert.Single(results.OfType<CreateResult.Created>());
        Assert.Equal(Enumerable.Repeat(winner.Finetune.Id, 7), results.OfType<CreateResult.DuplicateName>().Select(d => d.ExistingId));
        Assert.Single(await hone.Finetunes.ListAsync(hone.AccountId, Stop));
    }

    [Fact]
    public async Task Run_ManyAtOnce_SomeFailing_OthersAreStored()
    {
        await using TestHone hone = await TestHone.StartAsync();
        Finetune finetune = await hone.CreateAsync("events");
        Task<int>[] writes = [.. Enumerable.Range(0, 200).Select(i => hone.Writer.RunAsync(async db =>
        {
            await EventLog.AppendAsync(db, finetune.Id, [new NewEvent($"write {i}")], Stop);
            return i % 10 == 3 ? throw new InvalidOperationException($"no {i}") : i;
        }, Stop))];
        foreach (int i in Enumerable.Range(0, 200))
        {
            if (i % 10 == 3)
                Assert.Equal($"no {i}", (await Assert.ThrowsAsync<InvalidOperationException>(() => writes[i])).Message);
            else
                Assert.Equal(i, await writes[i]);
        }
        IReadOnlyList<FinetuneEvent> events = await hone.Finetunes.ListEventsAsync(finetune.Id, 1, 1000, Stop);
        Assert.Equal(Enumerable.Range(0, 200).Where(i => i % 10 != 3).Select(i => $"write {i}"), events.Select(e => e.Message));
        Assert.Equal(Enumerable.Range(2, 180).Select(n => (long)n), events.Select(e => e.Sequence));
    }

    [Fact]
    public async Task Run_ConstraintBroken_OnlyThatWriteFails()
    {
        await using TestHone hone = await TestHone.StartAsync();
        Task<int> bad = hone.Writer.RunAsync(db => db.Database.ExecuteSqlRawAsync("INSERT INTO finetune_events VALUES ('none', 1, 1, 'info', 'message', 'x', NULL)", Stop), Stop);
        Task<Finetune> good = hone.CreateAsync("good");
        Assert.Equal(SQLitePCL.raw.SQLITE_CONSTRAINT, (await Assert.ThrowsAsync<SqliteException>(() => bad)).SqliteErrorCode);
        Assert.Equal("good", (await hone.GetAsync((await good).Id)).Name);
    }

    [Fact]
    public async Task RunPrepared_OneOfABatchThrowsHalfway_OthersAreStoredOnce()
    {
        await using TestHone hone = await TestHone.StartAsync();
        var (entered, gate) = (new TaskCompletionSource(), new TaskCompletionSource());
        Task<int> first = hone.Writer.RunAsync(async _ =>
        {
            entered.SetResult();
            await gate.Task;
            return 0;
        }, Stop);
        await entered.Task;
        long before = hone.Writer.Commits;
        Task<Finetune>[] good = [.. Enumerable.Range(0, 20).Select(i => hone.CreateAsync($"good {i}"))];
        Task<int> bad = hone.Writer.RunPreparedAsync<int>(statements =>
        {
            statements.Run("UPDATE finetunes SET description = 'lost'");
            throw new InvalidOperationException("halfway");
        }, Stop);
        using var cancelled = new CancellationTokenSource();
        Task<int> late = hone.Writer.RunPreparedAsync(_ => 0, cancelled.Token);
        await cancelled.CancelAsync();
        Task<Finetune>[] more = [.. Enumerable.Range(20, 20).Select(i => hone.CreateAsync($"good {i}"))];
        gate.SetResult();
        await first;
        Assert.Equal("halfway", (await Assert.ThrowsAsync<InvalidOperationException>(() => bad)).Message);
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => late);
        Guid[] made = [.. (await Task.WhenAll([.. good, .. more])).Select(f => f.Id)];
        IReadOnlyList<Finetune> stored = await hone.Finetunes.ListAsync(hone.AccountId, Stop);
        Assert.Equal(made.Order(), stored.Select(f => f.Id).Order());
        Assert.All(stored, f => Assert.Null(f.Description));
        Assert.InRange(hone.Writer.Commits - before, 2, 4);
    }

    [Fact]
    public async Task Run_Answered_IsSeenByAnotherConnection()
    {
        await using TestHone hone = await TestHone.StartAsync();
        await Task.WhenAll(Enumerable.Range(0, 32).Select(async i =>
        {
            Finetune made = await hone.CreateAsync($"name {i}");
            await using HoneDbContext db = hone.Store.Read();
            Assert.True(await db.Finetunes.AnyAsync(f => f.Id == made.Id, Stop));
        }));
    }

    [Fact]
    [Trait("Category", "Slow")]
    public async Task Bug_RunPrepared_LockHeldElsewhereForTwelveSeconds_IsStored()
    {
        await using TestHone hone = await TestHone.StartAsync();
        await using SqliteConnection other = hone.Store.OpenConnection();
        await using SqliteTransaction held = other.BeginTransaction();
        Task<Finetune> write = Task.Run(() => hone.CreateAsync("waits"));
        await Task.Delay(TimeSpan.FromSeconds(12), Stop);
        Assert.False(write.IsCompleted);
        await held.RollbackAsync(Stop);
        Assert.Equal("waits", (await hone.GetAsync((await write).Id)).Name);
    }

    [Fact]
    public async Task Run_Cancelled_NotRun()
    {
        await using TestHone hone = await TestHone.StartAsync();
        bool ran = false;
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => hone.Writer.RunAsync(_ => Task.FromResult(ran = true), new CancellationToken(canceled: true)));
        Assert.False(ran);
    }

    [Fact]
    public async Task Run_Disposed_Throws()
    {
        TestHone hone = await TestHone.StartAsync();
        StoreWriter writer = hone.Writer;
        await hone.DisposeAsync();
        await Assert.ThrowsAsync<ObjectDisposedException>(() => writer.RunAsync(_ => Task.FromResult(0), Stop));
    }

    [Fact]
    public async Task Run_QueuedWhileOneRuns_ShareOneCommit()
    {
        await using TestHone hone = await TestHone.StartAsync();
        Finetune finetune = await hone.CreateAsync("f");
        var entered = new TaskCompletionSource();
        var gate = new TaskCompletionSource();
        long before = hone.Writer.Commits;
        Task<int> first = hone.Writer.RunAsync(async _ =>
        {
            entered.SetResult();
            await gate.Task;
            return 0;
        }, Stop);
        await entered.Task;
        Task<int>[] others = [.. Enumerable.Range(0, 100).Select(i => hone.Writer.RunAsync(async db =>
        {
            await EventLog.AppendAsync(db, finetune.Id, [new NewEvent($"{i}")], Stop);
            return i;
        }, Stop))];
        Assert.DoesNotContain(others, o => o.IsCompleted);
        gate.SetResult();
        await first;
        await Task.WhenAll(others);
        Assert.Equal(before + 1, hone.Writer.Commits);
    }
}
