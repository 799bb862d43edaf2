using Microsoft.Extensions.Logging;

namespace Hone.Core.Scheduling;

/// <summary>Why an attempt must end before its trainer does.</summary>
internal enum LeaseEnd
{
    /// <summary>It need not.</summary>
    None,

    /// <summary>The job belongs to another attempt, or is no longer there: nothing may be written.</summary>
    Lost,

    /// <summary>The store could not be reached for so long that another worker may soon own the job: nothing may be written.</summary>
    Expired,

    /// <summary>The user cancelled; the attempt still owns the job and ends it as cancelled.</summary>
    CancelRequested,

    /// <summary>The server shuts down; the attempt still owns the job and gives it back.</summary>
    Stopping,
}

/// <summary>
/// Renews one attempt's lease until disposed. <see cref="Ended"/> is cancelled once, with the first reason. Time is the worker's own monotonic clock,
/// counted from before the last renewal that succeeded was sent.
/// </summary>
internal sealed partial class LeaseKeeper : IAsyncDisposable
{
    private static readonly TimeSpan RetryEvery = TimeSpan.FromSeconds(1);

    private readonly Func<CancellationToken, Task<LeaseEnd>> _renew;
    private readonly WorkerSettings _settings;
    private readonly ILogger _logger;
    private readonly TimeProvider _clock;
    private readonly CancellationTokenSource _ended = new();
    private readonly CancellationTokenSource _disposed = new();
    private readonly SemaphoreSlim _wake = new(0);
    private readonly ITimer _giveUp;
    private readonly Task _loop;
    private int _reason;

    /// <param name="claimedAt">Timestamp of <paramref name="clock"/> taken before the claim was sent.</param>
    /// <param name="renew">One renewal: None, Lost or CancelRequested.</param>
    public LeaseKeeper(Func<CancellationToken, Task<LeaseEnd>> renew, long claimedAt, WorkerSettings settings, ILogger logger, TimeProvider clock)
    {
        _renew = renew;
        _settings = settings;
        _logger = logger;
        _clock = clock;
        _giveUp = clock.CreateTimer(_ => End(LeaseEnd.Expired), null, Left(claimedAt), Timeout.InfiniteTimeSpan);
        _loop = RenewLoopAsync();
    }

    /// <summary>Cancelled when the attempt must end.</summary>
    public CancellationToken Ended => _ended.Token;

    public LeaseEnd Reason => (LeaseEnd)Volatile.Read(ref _reason);

    /// <summary>Ends the attempt; the first reason stands.</summary>
    public void End(LeaseEnd reason)
    {
        if (Interlocked.CompareExchange(ref _reason, (int)reason, (int)LeaseEnd.None) == (int)LeaseEnd.None)
            _ended.Cancel();
    }

    /// <summary>Renews now, where something is known to have happened to the job.</summary>
    public void RenewNow() => _wake.Release();

    public async ValueTask DisposeAsync()
    {
        await _disposed.CancelAsync();
        await _loop;
        await _giveUp.DisposeAsync();
        _disposed.Dispose();
        _wake.Dispose();
    }

    private TimeSpan Left(long since)
    {
        TimeSpan left = _settings.GiveUpAfter - _clock.GetElapsedTime(since);
        return left > TimeSpan.Zero ? left : TimeSpan.Zero;
    }

    private async Task RenewLoopAsync()
    {
        TimeSpan pause = _settings.RenewEvery;
        while (await WaitAsync(pause))
        {
            long sent = _clock.GetTimestamp();
            try
            {
                LeaseEnd answer = await _renew(_disposed.Token);
                if (answer != LeaseEnd.None)
                {
                    End(answer);
                    if (answer == LeaseEnd.Lost)
                        return;
                }
                // A cancelled attempt keeps its lease until it has ended its trainer and said so.
                _giveUp.Change(Left(sent), Timeout.InfiniteTimeSpan);
                pause = _settings.RenewEvery;
            }
            catch (OperationCanceledException) when (_disposed.IsCancellationRequested)
            {
                return;
            }
            catch (Exception error)
            {
                LogNotRenewed(_logger, error);
                pause = RetryEvery < _settings.RenewEvery ? RetryEvery : _settings.RenewEvery;
            }
        }
    }

    private async Task<bool> WaitAsync(TimeSpan pause)
    {
        using var timeout = new CancellationTokenSource(pause, _clock);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(timeout.Token, _disposed.Token);
        try
        {
            await _wake.WaitAsync(either.Token);
        }
        catch (OperationCanceledException)
        {
            // Time to renew, or the end.
        }
        return !_disposed.IsCancellationRequested;
    }

    [LoggerMessage(3031, LogLevel.Warning, "The lease could not be renewed; trying again until the worker must give up")]
    private static partial void LogNotRenewed(ILogger logger, Exception error);
}
