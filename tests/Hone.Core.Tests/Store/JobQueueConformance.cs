using System.Collections.Concurrent;
using Hone.Core.Finetunes;
using Hone.Core.Store;
using Microsoft.EntityFrameworkCore;

namespace Hone.Core.Tests.Store;

/// <summary>What every database's job queue must do.</summary>
public abstract class JobQueueConformance
{
    private static readonly TimeSpan Lease = TimeSpan.FromSeconds(30);
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    private protected abstract Task<TestHone> StartAsync(HoneLimits? limits = null);

    /// <summary>Lets the lease of a running job end now.</summary>
    private protected abstract Task ExpireAsync(TestHone hone, Guid id);

    /// <summary>Publishes as an attempt would whose writes are not guarded by the fence; answers the rows changed.</summary>
    private protected abstract Task<int> PublishWithoutFenceAsync(TestHone hone, Guid id);

    [Fact]
    public async Task Claim_NothingQueued_IsNull()
    {
        await using TestHone hone = await StartAsync();
        await hone.CreateAsync("still without files");
        Assert.Null(await hone.Queue.ClaimAsync("w", Lease, Stop));
    }

    [Fact]
    public async Task Claim_EightWorkersForTwentyJobs_EachJobOnce()
    {
        await using TestHone hone = await StartAsync();
        var queued = new HashSet<Guid>();
        for (int i = 0; i < 20; i++)
            queued.Add((await hone.QueueAsync($"job {i}")).Id);
        var claims = new ConcurrentBag<ClaimedJob>();
        await Task.WhenAll(Enumerable.Range(0, 8).Select(worker => Task.Run(async () =>
        {
            while (await hone.Queue.ClaimAsync($"worker {worker}", Lease, Stop) is { } job)
                claims.Add(job);
        })));
        Assert.Equal(20, claims.Count);
        Assert.Equal(queued, claims.Select(c => c.FinetuneId).ToHashSet());
        Assert.All(claims, c => Assert.Equal((1, 1), (c.Fence, c.Attempt)));
    }

    [Fact]
    public async Task Claim_SeveralQueued_OldestFirst()
    {
        await using TestHone hone = await StartAsync();
        Finetune first = await hone.QueueAsync("first");
        await hone.Writer.RunAsync(db => db.Finetunes.Where(f => f.Id == first.Id)
            .ExecuteUpdateAsync(set => set.SetProperty(f => f.CreatedAt, first.CreatedAt.AddSeconds(-1)), Stop), Stop);
        await hone.QueueAsync("second");
        Assert.Equal(first.Id, (await hone.Queue.ClaimAsync("w", Lease, Stop))!.FinetuneId);
    }

    [Fact]
    public async Task Claim_LeaseEnded_SameAttemptWithTheNextFence()
    {
        await using TestHone hone = await StartAsync();
        Guid id = (await hone.QueueAsync("job")).Id;
        PublishedFile checkpoint = await hone.BlobAsync("checkpoint", [1, 2, 3]);
        ClaimedJob first = (await hone.Queue.ClaimAsync("a", Lease, Stop))!;
        Assert.Equal(AttemptWrite.Done, await hone.Queue.SaveCheckpointAsync(id, first.Fence, 7, checkpoint.Sha256, Stop));
        Assert.Null(await hone.Queue.ClaimAsync("b", Lease, Stop));
        await ExpireAsync(hone, id);
        ClaimedJob second = (await hone.Queue.ClaimAsync("b", Lease, Stop))!;
        Assert.Equal((id, 2L, 1), (second.FinetuneId, second.Fence, second.Attempt));
        Assert.Equal((checkpoint.Sha256, 7), (second.CheckpointBlob, second.CheckpointStep!.Value));
    }

    [Fact]
    public async Task Claim_LeaseEndedOfAJobToPause_IsPausedAndNotClaimed()
    {
        await using TestHone hone = await StartAsync();
        Guid id = (await hone.QueueAsync("job")).Id;
        await hone.Queue.ClaimAsync("a", Lease, Stop);
        Assert.IsType<HoldResult.Accepted>(await hone.Finetunes.PauseAsync(hone.AccountId, "job", Stop));
        await ExpireAsync(hone, id);
        Assert.Null(await hone.Queue.ClaimAsync("b", Lease, Stop));
        Assert.Equal(FinetuneState.Paused, (await hone.GetAsync(id)).State);
        Assert.IsType<HoldResult.Accepted>(await hone.Finetunes.ResumeAsync(hone.AccountId, "job", Stop));
        ClaimedJob next = (await hone.Queue.ClaimAsync("b", Lease, Stop))!;
        Assert.Equal((id, 1), (next.FinetuneId, next.Attempt));
        Assert.Equal(1, (await hone.GetAsync(id)).WorkersLost);
    }

    [Fact]
    public async Task SaveCheckpoint_OfALaterStep_DeletesTheBlobBeforeUnlessAnotherNamesIt()
    {
        await using TestHone hone = await StartAsync();
        await hone.QueueAsync("one");
        await hone.QueueAsync("two");
        ClaimedJob one = (await hone.Queue.ClaimAsync("w", Lease, Stop))!, two = (await hone.Queue.ClaimAsync("w", Lease, Stop))!;
        PublishedFile first = await hone.BlobAsync("1", [1]), second = await hone.BlobAsync("2", [2]), third = await hone.BlobAsync("3", [3]);
        await SaveAsync(one, 1, first);
        await SaveAsync(one, 1, first);
        await SaveAsync(one, 2, second);
        Assert.Equal([second, third], Stored());

        await SaveAsync(two, 2, second);
        await SaveAsync(one, 3, third);
        Assert.Equal([second, third], Stored());
        Assert.Equal(AttemptWrite.Lost, await hone.Queue.SaveCheckpointAsync(two.FinetuneId, two.Fence - 1, 3, third.Sha256, Stop));
        Assert.Equal([second, third], Stored());
        await Assert.ThrowsAsync<FileNotFoundException>(() => SaveAsync(two, 3, first));
        await SaveAsync(two, 3, third);
        Assert.Equal([third], Stored());

        async Task SaveAsync(ClaimedJob job, int step, PublishedFile checkpoint) =>
            Assert.Equal(AttemptWrite.Done, await hone.Queue.SaveCheckpointAsync(job.FinetuneId, job.Fence, step, checkpoint.Sha256, Stop));

        IEnumerable<PublishedFile> Stored() => new[] { first, second, third }.Where(blob => hone.Blobs.Exists(blob.Sha256, blob.Size));
    }

    [Fact]
    public async Task Pause_OfAJobThatCrashesOnce_HoldsItBackAndCountsTheAttempt()
    {
        await using TestHone hone = await StartAsync();
        Guid id = (await hone.QueueAsync("job")).Id;
        long fence = (await hone.Queue.ClaimAsync("a", Lease, Stop))!.Fence;
        await hone.Finetunes.PauseAsync(hone.AccountId, "job", Stop);
        Assert.Equal(AttemptWrite.Done, await hone.Queue.ReleaseAsync(id, fence, TimeSpan.Zero, "It crashed.", countAttempt: true, Stop));
        Finetune held = await hone.GetAsync(id);
        Assert.Equal((FinetuneState.Paused, 1, false), (held.State, held.Attempts, held.PauseRequested));
        Assert.IsType<CancelResult.Accepted>(await hone.Finetunes.CancelAsync(hone.AccountId, "job", Stop));
        Assert.Equal(FinetuneState.Cancelled, (await hone.GetAsync(id)).State);
    }

    [Fact]
    public async Task EveryWrite_AfterAnotherClaimed_IsLostAndChangesNothing()
    {
        await using TestHone hone = await StartAsync();
        Guid id = (await hone.QueueAsync("job")).Id;
        PublishedFile file = await hone.BlobAsync("adapter_config.json", [1]);
        long stale = (await hone.Queue.ClaimAsync("a", Lease, Stop))!.Fence;
        await ExpireAsync(hone, id);
        long current = (await hone.Queue.ClaimAsync("b", Lease, Stop))!.Fence;
        Assert.True(current > stale);
        string before = await SnapshotAsync(hone, id);

        Assert.Equal(AttemptWrite.Lost, await hone.Queue.RenewAsync(id, stale, Lease, Stop));
        Assert.Equal(AttemptWrite.Lost, await hone.Queue.AppendEventsAsync(id, stale, [new NewEvent("late")], "{}", Stop));
        Assert.Equal(AttemptWrite.Lost, await hone.Queue.SaveCheckpointAsync(id, stale, 1, file.Sha256, Stop));
        Assert.Equal(AttemptWrite.Lost, await hone.Queue.PublishAsync(id, stale, [file], null, Stop));
        Assert.Equal(AttemptWrite.Lost, await hone.Queue.FailAsync(id, stale, "bad_data", "late", Stop));
        Assert.Equal(AttemptWrite.Lost, await hone.Queue.FinishCancelAsync(id, stale, Stop));
        Assert.Equal(AttemptWrite.Lost, await hone.Queue.ReleaseAsync(id, stale, TimeSpan.Zero, "late", true, Stop));
        Assert.Equal(before, await SnapshotAsync(hone, id));

        // The control: without the fence the late publication goes through, so the check above can fail.
        Assert.Equal(1, await PublishWithoutFenceAsync(hone, id));
        Assert.NotEqual(before, await SnapshotAsync(hone, id));
    }

    [Fact]
    public async Task Publish_Holder_ReadyOnceWithFilesAndEvents()
    {
        await using TestHone hone = await StartAsync();
        Guid id = (await hone.QueueAsync("job")).Id;
        PublishedFile config = await hone.BlobAsync("adapter_config.json", [1]), model = await hone.BlobAsync("adapter_model.safetensors", [2]);
        ClaimedJob job = (await hone.Queue.ClaimAsync("w", Lease, Stop))!;
        AttemptWrite[] answers = await Task.WhenAll(Enumerable.Range(0, 4).Select(_ => hone.Queue.PublishAsync(id, job.Fence, [config, model], """{"steps":3}""", Stop)));
        Assert.Equal([AttemptWrite.Done, AttemptWrite.Lost, AttemptWrite.Lost, AttemptWrite.Lost], answers.Order());
        Finetune ready = await hone.GetAsync(id);
        Assert.Equal(FinetuneState.Ready, ready.State);
        Assert.NotNull(ready.FinalizedAt);
        Assert.Equal("""{"steps":3}""", ready.MetricsJson);
        Assert.Equal([config.Sha256, model.Sha256], (await hone.Finetunes.ListAssetsAsync(id, Stop)).Select(a => a.Sha256));
        IReadOnlyList<FinetuneEvent> events = await hone.Finetunes.ListEventsAsync(id, 0, 100, Stop);
        Assert.Equal($"New fine-tuned model created: ft:{ready.Model}:{ready.AccountId}:job:{id}", events[^2].Message);
        Assert.Equal("The job has successfully completed", events[^1].Message);
        Assert.Equal(Enumerable.Range(1, events.Count).Select(n => (long)n), events.Select(e => e.Sequence));
    }

    [Fact]
    public async Task Publish_BlobMissing_ThrowsAndChangesNothing()
    {
        await using TestHone hone = await StartAsync();
        Guid id = (await hone.QueueAsync("job")).Id;
        ClaimedJob job = (await hone.Queue.ClaimAsync("w", Lease, Stop))!;
        string before = await SnapshotAsync(hone, id);
        await Assert.ThrowsAsync<ArgumentException>(() => hone.Queue.PublishAsync(id, job.Fence, [new PublishedFile("adapter_config.json", new string('a', 64), 1)], null, Stop));
        Assert.Equal(before, await SnapshotAsync(hone, id));
    }

    [Fact]
    public async Task Cancel_Running_NeverReady()
    {
        await using TestHone hone = await StartAsync();
        Guid id = (await hone.QueueAsync("job")).Id;
        PublishedFile file = await hone.BlobAsync("adapter_config.json", [1]);
        ClaimedJob job = (await hone.Queue.ClaimAsync("w", Lease, Stop))!;
        Assert.Equal(AttemptWrite.Done, await hone.Queue.RenewAsync(id, job.Fence, Lease, Stop));
        var accepted = Assert.IsType<CancelResult.Accepted>(await hone.Finetunes.CancelAsync(hone.AccountId, "job", Stop));
        Assert.Equal(FinetuneState.Running, accepted.Finetune.State);
        Assert.Equal(AttemptWrite.CancelRequested, await hone.Queue.RenewAsync(id, job.Fence, Lease, Stop));
        Assert.Equal(AttemptWrite.CancelRequested, await hone.Queue.PublishAsync(id, job.Fence, [file], null, Stop));
        Assert.Equal(AttemptWrite.Done, await hone.Queue.FinishCancelAsync(id, job.Fence, Stop));
        Assert.Equal(FinetuneState.Cancelled, (await hone.GetAsync(id)).State);
        Assert.Empty(await hone.Finetunes.ListAssetsAsync(id, Stop));
        Assert.IsType<CancelResult.AlreadyEnded>(await hone.Finetunes.CancelAsync(hone.AccountId, "job", Stop));
    }

    [Fact]
    public async Task Cancel_RunningAndWorkerGone_CancelledAtNextClaim()
    {
        await using TestHone hone = await StartAsync();
        Guid id = (await hone.QueueAsync("job")).Id;
        await hone.Queue.ClaimAsync("w", Lease, Stop);
        await hone.Finetunes.CancelAsync(hone.AccountId, "job", Stop);
        await ExpireAsync(hone, id);
        Assert.Null(await hone.Queue.ClaimAsync("b", Lease, Stop));
        Assert.Equal(FinetuneState.Cancelled, (await hone.GetAsync(id)).State);
    }

    [Fact]
    public async Task Delete_Running_WritesOfTheAttemptAreLost()
    {
        await using TestHone hone = await StartAsync();
        Guid id = (await hone.QueueAsync("job")).Id;
        ClaimedJob job = (await hone.Queue.ClaimAsync("w", Lease, Stop))!;
        Assert.NotNull(await hone.Finetunes.DeleteAsync(hone.AccountId, "job", Stop));
        Assert.Equal(AttemptWrite.Lost, await hone.Queue.RenewAsync(id, job.Fence, Lease, Stop));
        Assert.Equal(AttemptWrite.Lost, await hone.Queue.AppendEventsAsync(id, job.Fence, [new NewEvent("late")], null, Stop));
        Assert.Empty(await hone.Finetunes.ListEventsAsync(id, 0, 10, Stop));
    }

    [Fact]
    public async Task Claim_WorkersLostWithoutProgress_Failed()
    {
        await using TestHone hone = await StartAsync();
        Guid id = (await hone.QueueAsync("job")).Id;
        for (int lost = 0; lost < 3; lost++)
        {
            ClaimedJob job = (await hone.Queue.ClaimAsync("w", Lease, Stop))!;
            Assert.Equal((lost + 1, 1), (job.Fence, job.Attempt));
            await ExpireAsync(hone, id);
        }
        Assert.Null(await hone.Queue.ClaimAsync("w", Lease, Stop));
        Finetune failed = await hone.GetAsync(id);
        Assert.Equal((FinetuneState.Failed, "worker_lost"), (failed.State, failed.ErrorCode));
        Assert.Contains("3 times the worker died", failed.ErrorMessage, StringComparison.Ordinal);
        Assert.Equal("error", (await hone.Finetunes.ListEventsAsync(id, 0, 100, Stop))[^1].Level);
    }

    [Fact]
    public async Task Claim_WorkersLostWithProgress_GoesOnAndKeepsItsAttempts()
    {
        await using TestHone hone = await StartAsync();
        Guid id = (await hone.QueueAsync("job")).Id;
        PublishedFile checkpoint = await hone.BlobAsync("checkpoint", [1, 2, 3]);
        for (int step = 1; step <= 10; step++)
        {
            ClaimedJob job = (await hone.Queue.ClaimAsync("w", Lease, Stop))!;
            Assert.Equal(1, job.Attempt);
            Assert.Equal(AttemptWrite.Done, await hone.Queue.SaveCheckpointAsync(id, job.Fence, step, checkpoint.Sha256, Stop));
            await ExpireAsync(hone, id);
        }
        // The same step again is no progress: the claims above have lost one worker since it, two more end the job.
        for (int lost = 1; lost < 3; lost++)
        {
            ClaimedJob job = (await hone.Queue.ClaimAsync("w", Lease, Stop))!;
            Assert.Equal(AttemptWrite.Done, await hone.Queue.SaveCheckpointAsync(id, job.Fence, 10, checkpoint.Sha256, Stop));
            await ExpireAsync(hone, id);
        }
        Assert.Null(await hone.Queue.ClaimAsync("w", Lease, Stop));
        Assert.Equal("worker_lost", (await hone.GetAsync(id)).ErrorCode);
    }

    [Fact]
    public async Task Release_AfterALostWorker_CountsTheTrainersOwnCrashAlone()
    {
        await using TestHone hone = await StartAsync(new HoneLimits { JobAttempts = 2 });
        Guid id = (await hone.QueueAsync("job")).Id;
        await hone.Queue.ClaimAsync("w", Lease, Stop);
        await ExpireAsync(hone, id);
        ClaimedJob second = (await hone.Queue.ClaimAsync("w", Lease, Stop))!;
        Assert.Equal(AttemptWrite.Done, await hone.Queue.ReleaseAsync(id, second.Fence, TimeSpan.Zero, "The trainer crashed.", true, Stop));
        ClaimedJob third = (await hone.Queue.ClaimAsync("w", Lease, Stop))!;
        Assert.Equal((3L, 2), (third.Fence, third.Attempt));
        Assert.Equal(AttemptWrite.Done, await hone.Queue.ReleaseAsync(id, third.Fence, TimeSpan.Zero, "The trainer crashed.", true, Stop));
        Assert.Equal("attempts_exhausted", (await hone.GetAsync(id)).ErrorCode);
    }

    [Fact]
    public async Task Release_Counted_WaitsThenFailsAfterTheLast()
    {
        await using TestHone hone = await StartAsync(new HoneLimits { JobAttempts = 2 });
        Guid id = (await hone.QueueAsync("job")).Id;
        ClaimedJob first = (await hone.Queue.ClaimAsync("w", Lease, Stop))!;
        Assert.Equal(AttemptWrite.Done, await hone.Queue.ReleaseAsync(id, first.Fence, TimeSpan.FromHours(1), "The trainer crashed.", true, Stop));
        Assert.Equal(FinetuneState.Queued, (await hone.GetAsync(id)).State);
        Assert.Null(await hone.Queue.ClaimAsync("w", Lease, Stop));
        await hone.Writer.RunAsync(db => db.Finetunes.ExecuteUpdateAsync(set => set.SetProperty(f => f.NotBefore, DateTimeOffset.UnixEpoch), Stop), Stop);
        ClaimedJob second = (await hone.Queue.ClaimAsync("w", Lease, Stop))!;
        Assert.Equal((2L, 2), (second.Fence, second.Attempt));
        Assert.Equal(AttemptWrite.Done, await hone.Queue.ReleaseAsync(id, second.Fence, TimeSpan.Zero, "The trainer crashed.", true, Stop));
        Finetune failed = await hone.GetAsync(id);
        Assert.Equal((FinetuneState.Failed, "attempts_exhausted"), (failed.State, failed.ErrorCode));
    }

    [Fact]
    public async Task Release_NotCounted_SameAttemptWithHigherFence()
    {
        await using TestHone hone = await StartAsync(new HoneLimits { JobAttempts = 1 });
        Guid id = (await hone.QueueAsync("job")).Id;
        for (int fence = 1; fence <= 3; fence++)
        {
            ClaimedJob job = (await hone.Queue.ClaimAsync("w", Lease, Stop))!;
            Assert.Equal((fence, 1), (job.Fence, job.Attempt));
            Assert.Equal(AttemptWrite.Done, await hone.Queue.ReleaseAsync(id, job.Fence, TimeSpan.Zero, "The server stops.", false, Stop));
        }
    }

    [Fact]
    public async Task Claims_RacingWithExpiry_FenceOnlyGrows()
    {
        await using TestHone hone = await StartAsync(new HoneLimits { JobWorkersLost = 100 });
        Guid id = (await hone.QueueAsync("job")).Id;
        var fences = new ConcurrentBag<long>();
        await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => Task.Run(async () =>
        {
            for (int i = 0; i < 5; i++)
            {
                if (await hone.Queue.ClaimAsync("w", Lease, Stop) is { } job)
                {
                    fences.Add(job.Fence);
                    await ExpireAsync(hone, id);
                }
            }
        })));
        Assert.Equal(Enumerable.Range(1, fences.Count).Select(n => (long)n), fences.Order());
        Assert.Equal(fences.Count, (await hone.GetAsync(id)).Fence);
        Assert.True(fences.Count > 1);
    }

    private static async Task<string> SnapshotAsync(TestHone hone, Guid id)
    {
        Finetune f = await hone.GetAsync(id);
        int events = (await hone.Finetunes.ListEventsAsync(id, 0, 1000, Stop)).Count, assets = (await hone.Finetunes.ListAssetsAsync(id, Stop)).Count;
        return $"{f.State} {f.Fence} {f.Attempts} {f.LeaseUntil:O} {f.ModifiedAt:O} {f.FinalizedAt:O} {f.NotBefore:O} {f.Worker} {f.CancelRequested} {f.CheckpointBlob} {f.CheckpointStep} {f.MetricsJson} {f.ErrorCode} {events} {assets}";
    }
}
