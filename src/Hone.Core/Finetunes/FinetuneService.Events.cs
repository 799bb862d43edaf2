using System.Runtime.CompilerServices;
using Hone.Core.Store;
using Microsoft.EntityFrameworkCore;

namespace Hone.Core.Finetunes;

public sealed partial class FinetuneService
{
    private const int WatchPage = 500;

    private static readonly Func<HoneDbContext, Guid, long, int, IAsyncEnumerable<FinetuneEvent>> EventsAfter = EF.CompileAsyncQuery(
        (HoneDbContext db, Guid id, long after, int limit) => db.FinetuneEvents.Where(e => e.FinetuneId == id && e.Sequence > after).OrderBy(e => e.Sequence).Take(limit));

    /// <summary>Events after a sequence number, oldest first.</summary>
    public async Task<IReadOnlyList<FinetuneEvent>> ListEventsAsync(Guid finetuneId, long afterSequence, int limit, CancellationToken cancellationToken)
    {
        await using HoneDbContext db = store.Read();
        return await EventsAfter(db, finetuneId, afterSequence, limit).ToListAsync(cancellationToken);
    }

    /// <summary>Events after a sequence number as they come. Ends when the finetune has ended and its last event was given, or when it is deleted.</summary>
    public async IAsyncEnumerable<FinetuneEvent> WatchEventsAsync(Guid finetuneId, long afterSequence, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        using StoreSignals.Subscription changed = signals.Changed(finetuneId);
        while (true)
        {
            // The state is read before the events: what is final then has no event that the reading after it would miss.
            FinetuneState? state;
            await using (HoneDbContext db = store.Read())
                state = await db.Finetunes.Where(f => f.Id == finetuneId).Select(f => (FinetuneState?)f.State).FirstOrDefaultAsync(cancellationToken);
            IReadOnlyList<FinetuneEvent> events = await ListEventsAsync(finetuneId, afterSequence, WatchPage, cancellationToken);
            foreach (FinetuneEvent e in events)
            {
                yield return e;
                afterSequence = e.Sequence;
            }
            if (events.Count == WatchPage)
                continue;
            if (state is null || state.Value.IsFinal())
                yield break;
            await changed.WaitAsync(StoreSignals.Fallback, cancellationToken);
        }
    }
}
