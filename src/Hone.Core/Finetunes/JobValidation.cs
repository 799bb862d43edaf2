using System.Collections.Concurrent;
using Hone.Core.Models;
using Hone.Core.Store;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Hone.Core.Finetunes;

/// <summary>
/// Checks the files of jobs that are validating: those of an account one after the other, some accounts at once, so that none waits for another's long file. After a
/// restart those as well that an earlier process was at. One of these a data folder: in the process that takes the jobs.
/// </summary>
public sealed partial class JobValidation(FinetuneService finetunes, HoneStore store, StoreSignals signals, ILogger<JobValidation> logger) : BackgroundService
{
    private const int AccountsAtOnce = 4;
    private static readonly TimeSpan LookEvery = TimeSpan.FromSeconds(10);
    private readonly ConcurrentDictionary<string, bool> taken = [];

    protected override Task ExecuteAsync(CancellationToken stoppingToken) => Task.WhenAll(Enumerable.Range(0, AccountsAtOnce).Select(_ => CheckAllAsync(stoppingToken)));

    private async Task CheckAllAsync(CancellationToken stoppingToken)
    {
        await Task.Yield();
        using StoreSignals.Subscription wanted = signals.FilesToCheck();
        try
        {
            while (true)
            {
                try
                {
                    foreach (IGrouping<string, Guid> account in await WaitingAsync(stoppingToken))
                        await CheckAccountAsync(account, stoppingToken);
                }
                catch (Exception error) when (!stoppingToken.IsCancellationRequested)
                {
                    LogNotAsked(error);
                }
                await wanted.WaitAsync(LookEvery, stoppingToken);
            }
        }
        catch (Exception) when (stoppingToken.IsCancellationRequested)
        {
            // What is not checked yet is after the next start.
        }
    }

    private async Task<IEnumerable<IGrouping<string, Guid>>> WaitingAsync(CancellationToken cancellationToken)
    {
        await using HoneDbContext db = store.Read();
        var waiting = await db.Finetunes.Where(f => f.State == FinetuneState.Validating).OrderBy(f => f.CreatedAt).Select(f => new { f.AccountId, f.Id }).ToListAsync(cancellationToken);
        return waiting.GroupBy(f => f.AccountId, f => f.Id);
    }

    /// <summary>Nothing where another is at this account; it sees what came meanwhile when it looks again.</summary>
    private async Task CheckAccountAsync(IGrouping<string, Guid> account, CancellationToken cancellationToken)
    {
        if (!taken.TryAdd(account.Key, true))
            return;
        try
        {
            foreach (Guid id in account)
                await CheckAsync(id, cancellationToken);
        }
        finally
        {
            taken.TryRemove(account.Key, out _);
        }
    }

    private async Task CheckAsync(Guid id, CancellationToken cancellationToken)
    {
        using var wanted = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        Task watch = StopWhenUnwantedAsync(id, wanted);
        try
        {
            await finetunes.ValidateAsync(id, wanted.Token);
        }
        catch (ModelUnavailableException error)
        {
            LogModelUnavailable(error, id);
            await finetunes.EndValidationAsync(id, ModelUnavailableException.Code, [error.PublicMessage], [], cancellationToken);
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            // It was cancelled or deleted meanwhile.
        }
        catch (Exception error) when (error is not OperationCanceledException)
        {
            // The others do not wait for it; the next round tries it again.
            LogNotChecked(error, id);
        }
        finally
        {
            await wanted.CancelAsync();
            await watch;
        }
    }

    /// <summary>Cancels the check of a job that is no longer validating; returns when it is cancelled.</summary>
    private async Task StopWhenUnwantedAsync(Guid id, CancellationTokenSource wanted)
    {
        using StoreSignals.Subscription changed = signals.Changed(id);
        try
        {
            do
                await changed.WaitAsync(StoreSignals.Fallback, wanted.Token);
            while (await IsValidatingAsync(id, wanted.Token));
            await wanted.CancelAsync();
        }
        catch (OperationCanceledException)
        {
            // The check has ended.
        }
        catch (Exception error)
        {
            // The check goes on; its own reading and writing tells of a broken store.
            LogNotAsked(error);
        }
    }

    private async Task<bool> IsValidatingAsync(Guid id, CancellationToken cancellationToken)
    {
        await using HoneDbContext db = store.Read();
        return await db.Finetunes.AnyAsync(f => f.Id == id && f.State == FinetuneState.Validating, cancellationToken);
    }

    [LoggerMessage(2101, LogLevel.Error, "The files of job {Job} could not be checked; trying again")]
    private partial void LogNotChecked(Exception error, Guid job);

    [LoggerMessage(2103, LogLevel.Error, "The model of job {Job} cannot be read; the job fails")]
    private partial void LogModelUnavailable(Exception error, Guid job);

    [LoggerMessage(2102, LogLevel.Error, "The store could not be asked for jobs to check; trying again")]
    private partial void LogNotAsked(Exception error);
}
