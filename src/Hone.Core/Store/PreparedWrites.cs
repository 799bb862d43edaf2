using Microsoft.Data.Sqlite;

namespace Hone.Core.Store;

/// <summary>Statements on the writer's connection, each compiled once: for writes that come by the thousand.</summary>
internal sealed class PreparedWrites(SqliteConnection connection) : IDisposable
{
    private readonly Dictionary<string, PreparedStatement> statements = new(StringComparer.Ordinal);

    /// <summary>A statement, compiled by the first who asks.</summary>
    /// <param name="parameters">Their names, in the order in which it takes values.</param>
    public PreparedStatement Get(string sql, params ReadOnlySpan<string> parameters)
    {
        if (!statements.TryGetValue(sql, out PreparedStatement? known))
            statements.Add(sql, known = new PreparedStatement(connection.Handle!, sql, parameters));
        return known;
    }

    public void Run(string sql) => Get(sql).Run();

    public void Dispose()
    {
        foreach (PreparedStatement statement in statements.Values)
            statement.Dispose();
    }
}
