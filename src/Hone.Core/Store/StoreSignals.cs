using System.Collections.Concurrent;
using System.Threading.Channels;

namespace Hone.Core.Store;

/// <summary>
/// Tells this process that something was committed, so that nobody polls tightly. Other processes are not told: waiters also wake after a second.
/// A signal given while its subscriber is busy is kept, several are kept as one.
/// </summary>
public sealed class StoreSignals(TimeProvider clock)
{
    private static readonly Guid AnyJob = Guid.Empty;
    private static readonly Guid AnyFiles = new(1, 0, 0, new byte[8]);
    private static readonly Guid AnyDeletion = new(2, 0, 0, new byte[8]);
    private readonly ConcurrentDictionary<Guid, Subscription[]> subscriptions = new();

    /// <summary>What a waiter falls back to, for changes by other processes.</summary>
    public static TimeSpan Fallback { get; } = TimeSpan.FromSeconds(1);

    /// <summary>A job was queued.</summary>
    public Subscription JobQueued() => Subscribe(AnyJob);

    /// <summary>A job's files are to be checked.</summary>
    public Subscription FilesToCheck() => Subscribe(AnyFiles);

    /// <summary>Something was deleted that named files.</summary>
    public Subscription Deleted() => Subscribe(AnyDeletion);

    /// <summary>Events were appended to a finetune, its state changed, its cancellation was asked for, or it was deleted.</summary>
    public Subscription Changed(Guid finetuneId) => Subscribe(finetuneId);

    internal void NotifyQueued() => Notify(AnyJob);

    internal void NotifyFilesToCheck() => Notify(AnyFiles);

    internal void NotifyDeleted() => Notify(AnyDeletion);

    internal void NotifyChanged(Guid finetuneId) => Notify(finetuneId);

    private Subscription Subscribe(Guid topic)
    {
        var subscription = new Subscription(this, topic, clock);
        subscriptions.AddOrUpdate(topic, [subscription], (_, others) => [.. others, subscription]);
        return subscription;
    }

    private void Notify(Guid topic)
    {
        if (!subscriptions.TryGetValue(topic, out Subscription[]? waiting))
            return;
        foreach (Subscription subscription in waiting)
            subscription.Set();
    }

    private void Remove(Subscription subscription)
    {
        while (subscriptions.TryGetValue(subscription.Topic, out Subscription[]? all))
        {
            Subscription[] rest = [.. all.Where(s => s != subscription)];
            bool done = rest.Length == 0
                ? subscriptions.TryRemove(new KeyValuePair<Guid, Subscription[]>(subscription.Topic, all))
                : subscriptions.TryUpdate(subscription.Topic, rest, all);
            if (done)
                return;
        }
    }

    /// <summary>One waiter's ear. Not for several waiters at once.</summary>
    public sealed class Subscription : IDisposable
    {
        private readonly Channel<bool> latch = Channel.CreateBounded<bool>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });
        private readonly StoreSignals owner;
        private readonly TimeProvider clock;

        internal Subscription(StoreSignals owner, Guid topic, TimeProvider clock)
        {
            this.owner = owner;
            this.clock = clock;
            Topic = topic;
        }

        internal Guid Topic { get; }

        internal void Set() => latch.Writer.TryWrite(true);

        /// <summary>True after a signal since the last wait, false after the timeout.</summary>
        public async Task<bool> WaitAsync(TimeSpan timeout, CancellationToken cancellationToken)
        {
            if (latch.Reader.TryRead(out _))
                return true;
            using var timer = new CancellationTokenSource(timeout, clock);
            using var either = CancellationTokenSource.CreateLinkedTokenSource(timer.Token, cancellationToken);
            try
            {
                return await latch.Reader.ReadAsync(either.Token);
            }
            catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
            {
                return false;
            }
        }

        public void Dispose() => owner.Remove(this);
    }
}
