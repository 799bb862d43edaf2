using Hone.Core.Store;
using Microsoft.Data.Sqlite;
using Microsoft.EntityFrameworkCore;

namespace Hone.Core.Finetunes;

/// <summary>The statements of a creation, compiled once: creations come by the thousand.</summary>
internal static class FinetuneRows
{
    private const string Count = "(SELECT finetunes FROM accounts WHERE id = @account)";

    private const string Ask = $"""
        SELECT (SELECT id FROM finetunes WHERE account_id = @account AND name = @name), {Count}, {SqliteJobQueue.Now}
        """;

    private const string InsertFinetune = """
        INSERT INTO finetunes (id, account_id, name, model, description, public, state, created_at, modified_at, priority, fence, attempts, workers_lost, cancel_requested, pause_requested, is_job, seed)
        VALUES (@id, @account, @name, @model, @description, @public, @state, @now, @now, @priority, 0, 0, 0, 0, 0, 0, @seed)
        """;

    private const string InsertEvent = """
        INSERT INTO finetune_events (finetune_id, sequence, created_at, level, type, message) VALUES (@id, 1, @now, 'info', 'message', @message)
        """;

    /// <summary>What a creation must know, in one question.</summary>
    /// <param name="Count">Finetunes of the account: a trigger keeps count.</param>
    internal readonly record struct Standing(Guid? ExistingId, long Count, DateTimeOffset Now);

    public static Standing Stand(PreparedWrites statements, string accountId, string name)
    {
        using SqliteDataReader row = PreparedWrites.Bind(statements.Get(Ask, "@account", "@name"), accountId, name).ExecuteReader();
        row.Read();
        return new(row.IsDBNull(0) ? null : Guid.Parse(row.GetString(0)), row.IsDBNull(1) ? 0 : row.GetInt64(1), DateTimeOffset.FromUnixTimeMilliseconds(row.GetInt64(2)));
    }

    /// <summary>Finetunes of the account, as the trigger counts them.</summary>
    public static async Task<long> CountAsync(HoneDbContext db, string accountId, CancellationToken cancellationToken) =>
        await db.Database.SqlQueryRaw<long?>($"SELECT {Count} AS Value", new SqliteParameter("@account", accountId)).SingleAsync(cancellationToken) ?? 0;

    public static void Insert(PreparedWrites statements, Finetune finetune, string message)
    {
        string id = finetune.Id.ToString("D");
        long now = finetune.CreatedAt.ToUnixTimeMilliseconds();
        PreparedWrites.Bind(
            statements.Get(InsertFinetune, "@id", "@account", "@name", "@model", "@description", "@public", "@state", "@now", "@priority", "@seed"),
            id, finetune.AccountId, finetune.Name, finetune.Model, finetune.Description, finetune.Public, finetune.State.Name(), now, finetune.Priority, finetune.Seed).ExecuteNonQuery();
        PreparedWrites.Bind(statements.Get(InsertEvent, "@id", "@now", "@message"), id, now, message).ExecuteNonQuery();
    }
}
