using Hone.Core.Blobs;
using Hone.Core.Models;
using Hone.Core.Store;
using Hone.Formats.Files;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Hone.Core.Scheduling;

/// <summary>Takes jobs from the store, as many at a time as it has slots, and sees each attempt through.</summary>
public sealed partial class WorkerLoop(
    SqliteJobQueue queue, HoneStore store, StoreSignals signals, BlobStore blobs, ModelCatalog models, WorkerSettings settings, ILogger<WorkerLoop> logger, TimeProvider clock)
    : BackgroundService
{
    /// <summary>What goes wrong with each poll, as on a full disk, is logged this often.</summary>
    private static readonly TimeSpan SayAgainAfter = TimeSpan.FromMinutes(1);

    private readonly HashSet<Task> _running = [];

    /// <summary>When it was last said that polls fail; null: the last one has not.</summary>
    private long? _saidAt;

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        // Off the host's start, which waits for the first suspension.
        await Task.Yield();
        using StoreSignals.Subscription queued = signals.JobQueued();
        using var slots = new SemaphoreSlim(settings.Slots);
        try
        {
            string worker = await TakeOverAsync(stoppingToken);
            while (true)
            {
                await slots.WaitAsync(stoppingToken);
                if (!await TryStartAsync(worker, slots, stoppingToken))
                {
                    slots.Release();
                    await queued.WaitAsync(settings.PollEvery, stoppingToken);
                }
            }
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
            // The attempts have been told as well.
        }
        Task[] running;
        lock (_running)
            running = [.. _running];
        await Task.WhenAll(running);
    }

    /// <summary>A server that was killed leaves trainers that are about to end, folders, and leases that nobody renews: in this order they are done with.</summary>
    private async Task<string> TakeOverAsync(CancellationToken stopping)
    {
        while (true)
        {
            try
            {
                await JobFolder.RemoveLeftoversAsync(settings.DataFolder, settings.StopGrace, logger, clock, stopping);
                string worker = WorkerName();
                int ended = await queue.EndLeasesAsync(worker, stopping);
                if (ended > 0)
                    LogTakesOver(logger, ended);
                return worker;
            }
            catch (Exception error) when (!stopping.IsCancellationRequested)
            {
                LogNotReady(logger, error);
                await Task.Delay(settings.PollEvery, clock, stopping);
            }
        }
    }

    /// <summary>One name a data folder, kept in it: by it a restarted worker knows the jobs of the one before.</summary>
    private string WorkerName()
    {
        string path = Path.Combine(settings.DataFolder, "worker-name");
        if (File.Exists(path) && File.ReadAllText(path).Trim() is { Length: > 0 } name)
            return name;
        name = $"{Environment.MachineName}-{Guid.NewGuid():n}";
        AtomicFile.WriteAllText(path, name);
        return name;
    }

    private async Task<bool> TryStartAsync(string worker, SemaphoreSlim slots, CancellationToken stopping)
    {
        long claimedAt = clock.GetTimestamp();
        ClaimedJob? job;
        try
        {
            job = await queue.ClaimAsync(worker, settings.Lease, stopping);
        }
        catch (Exception error) when (!stopping.IsCancellationRequested)
        {
            if (_saidAt is not { } said || clock.GetElapsedTime(said) >= SayAgainAfter)
            {
                LogNotClaimed(logger, error);
                _saidAt = clock.GetTimestamp();
            }
            return false;
        }
        _saidAt = null;
        if (job is null)
            return false;
        var attempt = new JobAttempt(job, claimedAt, queue, store, signals, blobs, models, settings, logger, clock);
        Task run = RunAsync(attempt, job, slots, stopping);
        lock (_running)
            _running.Add(run);
        _ = ForgetAsync(run);
        return true;
    }

    private async Task RunAsync(JobAttempt attempt, ClaimedJob job, SemaphoreSlim slots, CancellationToken stopping)
    {
        await Task.Yield();
        try
        {
            await attempt.RunAsync(stopping);
        }
        catch (Exception error)
        {
            // The store could not be told; when the lease has ended, the job goes to the next attempt.
            LogNotConcluded(logger, error, job.FinetuneId);
        }
        finally
        {
            slots.Release();
        }
    }

    private async Task ForgetAsync(Task run)
    {
        await run;
        lock (_running)
            _running.Remove(run);
    }

    [LoggerMessage(3061, LogLevel.Information, "Taking over {Count} jobs of the worker before this one")]
    private static partial void LogTakesOver(ILogger logger, int count);

    [LoggerMessage(3062, LogLevel.Error, "The worker could not clear up after the one before it; trying again")]
    private static partial void LogNotReady(ILogger logger, Exception error);

    [LoggerMessage(3063, LogLevel.Warning, "The store could not be asked for a job; trying again")]
    private static partial void LogNotClaimed(ILogger logger, Exception error);

    [LoggerMessage(3064, LogLevel.Error, "Job {Job}: the end of the attempt could not be stored; it is tried again after its lease")]
    private static partial void LogNotConcluded(ILogger logger, Exception error, Guid job);
}
