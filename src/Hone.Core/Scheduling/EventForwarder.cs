using System.Threading.Channels;
using Hone.Core.Finetunes;
using Hone.Core.Store;
using Microsoft.Extensions.Logging;

namespace Hone.Core.Scheduling;

/// <summary>
/// Carries one attempt's events into the store, in order and some at a time, so that a fast trainer costs few writes. A store that
/// fails is tried again; a trainer that is faster than the store for long has to wait.
/// </summary>
internal sealed partial class EventForwarder : IAsyncDisposable
{
    private const int Pending = 2000;
    private const int Batch = 500;
    private static readonly TimeSpan RetryEvery = TimeSpan.FromSeconds(1);

    private readonly Func<IReadOnlyList<NewEvent>, string?, CancellationToken, Task<AttemptWrite>> _append;
    private readonly Action<AttemptWrite> _refused;
    private readonly TimeSpan _every;
    private readonly ILogger _logger;
    private readonly TimeProvider _clock;
    private readonly Channel<Item> _items = Channel.CreateBounded<Item>(new BoundedChannelOptions(Pending) { SingleReader = true });
    private readonly CancellationTokenSource _discard = new();
    private readonly Task _loop;

    /// <param name="append">Writes events, and the figures to show for the job.</param>
    /// <param name="refused">Told when a write was answered with anything but Done.</param>
    public EventForwarder(Func<IReadOnlyList<NewEvent>, string?, CancellationToken, Task<AttemptWrite>> append, Action<AttemptWrite> refused, TimeSpan every, ILogger logger, TimeProvider clock)
    {
        _append = append;
        _refused = refused;
        _every = every;
        _logger = logger;
        _clock = clock;
        _loop = ForwardAsync();
    }

    public ValueTask AddAsync(NewEvent next, string? metricsJson, CancellationToken cancellationToken) =>
        _items.Writer.WriteAsync(new Item(next, metricsJson, null), cancellationToken);

    /// <summary>Returns when all that was added before is stored, or is no longer wanted.</summary>
    public async Task FlushAsync(CancellationToken cancellationToken)
    {
        var flushed = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await _items.Writer.WriteAsync(new Item(null, null, flushed), cancellationToken);
        await Task.WhenAny(flushed.Task, _loop).WaitAsync(cancellationToken);
    }

    /// <summary>What is not stored yet is dropped; flush before where it matters.</summary>
    public async ValueTask DisposeAsync()
    {
        _items.Writer.TryComplete();
        await _discard.CancelAsync();
        await _loop;
        _discard.Dispose();
    }

    private async Task ForwardAsync()
    {
        var events = new List<NewEvent>();
        var flushes = new List<TaskCompletionSource>();
        try
        {
            while (await _items.Reader.WaitToReadAsync(_discard.Token))
            {
                long began = _clock.GetTimestamp();
                string? metrics = null;
                while (events.Count < Batch && _items.Reader.TryRead(out Item? item))
                {
                    if (item.Event is not null)
                        events.Add(item.Event);
                    metrics = item.MetricsJson ?? metrics;
                    if (item.Flushed is not null)
                        flushes.Add(item.Flushed);
                }
                if (events.Count > 0 && !await AppendAsync([.. events], metrics))
                    return;
                events.Clear();
                bool flushed = flushes.Count > 0;
                flushes.ForEach(f => f.TrySetResult());
                flushes.Clear();
                if (!flushed)
                    await PauseAsync(_every - _clock.GetElapsedTime(began));
            }
        }
        catch (OperationCanceledException) when (_discard.IsCancellationRequested)
        {
            // Dropped on purpose.
        }
        finally
        {
            _items.Writer.TryComplete();
            flushes.ForEach(f => f.TrySetResult());
        }
    }

    /// <summary>False when the attempt has lost its job: nothing further is wanted.</summary>
    private async Task<bool> AppendAsync(NewEvent[] events, string? metrics)
    {
        while (true)
        {
            try
            {
                AttemptWrite answer = await _append(events, metrics, _discard.Token);
                if (answer != AttemptWrite.Done)
                    _refused(answer);
                return answer != AttemptWrite.Lost;
            }
            catch (Exception error) when (!_discard.IsCancellationRequested)
            {
                LogNotStored(_logger, error, events.Length);
                await PauseAsync(RetryEvery);
            }
            catch (Exception) when (_discard.IsCancellationRequested)
            {
                return false;
            }
        }
    }

    /// <summary>A flush that comes meanwhile waits for the rest of it: a quarter of a second at most.</summary>
    private Task PauseAsync(TimeSpan time) => time > TimeSpan.Zero ? Task.Delay(time, _clock, _discard.Token) : Task.CompletedTask;

    private sealed record Item(NewEvent? Event, string? MetricsJson, TaskCompletionSource? Flushed);

    [LoggerMessage(3041, LogLevel.Warning, "{Count} events could not be stored; trying again")]
    private static partial void LogNotStored(ILogger logger, Exception error, int count);
}
