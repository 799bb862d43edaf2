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
        using PreparedStatement.Row row = statements.Get(Ask, "@account", "@name").First(accountId, name);
        return new(row.Text(0) is { } id ? Guid.Parse(id) : null, row.Integer(1) ?? 0, DateTimeOffset.FromUnixTimeMilliseconds(row.Integer(2)!.Value));
    }

    /// <summary>Finetunes of the account, as the trigger counts them.</summary>
    public static async Task<long> CountAsync(HoneDbContext db, string accountId, CancellationToken cancellationToken) =>
        await db.Database.SqlQueryRaw<long?>($"SELECT {Count} AS Value", new SqliteParameter("@account", accountId)).SingleAsync(cancellationToken) ?? 0;

    public static void Insert(PreparedWrites statements, Finetune finetune, string message)
    {
        string id = finetune.Id.ToString("D");
        long now = finetune.CreatedAt.ToUnixTimeMilliseconds();
        statements.Get(InsertFinetune, "@id", "@account", "@name", "@model", "@description", "@public", "@state", "@now", "@priority", "@seed")
            .Run(id, finetune.AccountId, finetune.Name, finetune.Model, finetune.Description, finetune.Public, finetune.State.Name(), now, finetune.Priority, finetune.Seed);
        statements.Get(InsertEvent, "@id", "@now", "@message").Run(id, now, message);
    }
}
