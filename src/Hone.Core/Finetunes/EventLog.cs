using Hone.Core.Store;
using Microsoft.Data.Sqlite;
using Microsoft.EntityFrameworkCore;

namespace Hone.Core.Finetunes;

/// <summary>Appends events within a write: the writer is alone, so the next number is one more than the last.</summary>
internal static class EventLog
{
    public const string Cancelled = "The job was cancelled";
    public const string Validated = "Files validated, moving job to queued state";
    public const string Paused = "The job is paused";
    public const string Resumed = "The job is resumed, moving job to queued state";

    public static async Task AppendAsync(HoneDbContext db, Guid finetuneId, IReadOnlyList<NewEvent> events, CancellationToken cancellationToken)
    {
        if (events.Count == 0)
            return;
        Position position = await db.Database.SqlQueryRaw<Position>(
            $"SELECT COALESCE(MAX(sequence), 0) AS Last, {SqliteJobQueue.Now} AS Now FROM finetune_events WHERE finetune_id = @id",
            new SqliteParameter("@id", finetuneId.ToString("D"))).SingleAsync(cancellationToken);
        DateTimeOffset now = DateTimeOffset.FromUnixTimeMilliseconds(position.Now);
        long last = position.Last;
        foreach (NewEvent e in events)
        {
            db.FinetuneEvents.Add(new FinetuneEvent
            {
                FinetuneId = finetuneId,
                Sequence = ++last,
                CreatedAt = now,
                Level = e.Level,
                Type = e.Type,
                Message = e.Message,
                DataJson = e.DataJson,
            });
        }
        await db.SaveChangesAsync(cancellationToken);
    }

    /// <summary>The database's clock.</summary>
    public static async Task<DateTimeOffset> NowAsync(HoneDbContext db, CancellationToken cancellationToken) =>
        DateTimeOffset.FromUnixTimeMilliseconds(await db.Database.SqlQueryRaw<long>($"SELECT {SqliteJobQueue.Now} AS Value").SingleAsync(cancellationToken));

    private sealed record Position(long Last, long Now);
}
