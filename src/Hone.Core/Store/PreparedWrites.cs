using Microsoft.Data.Sqlite;

namespace Hone.Core.Store;

/// <summary>Statements on the writer's connection, each compiled once: for writes that come by the thousand.</summary>
internal sealed class PreparedWrites(SqliteConnection connection) : IDisposable
{
    private readonly Dictionary<string, SqliteCommand> commands = new(StringComparer.Ordinal);

    /// <summary>A statement, compiled by the first who asks. Its parameters' values are whatever the last one set.</summary>
    /// <param name="parameters">Their names, in the order in which <see cref="Bind"/> takes values.</param>
    public SqliteCommand Get(string sql, params ReadOnlySpan<string> parameters)
    {
        if (commands.TryGetValue(sql, out SqliteCommand? known))
            return known;
        SqliteCommand command = connection.CreateCommand();
        command.CommandText = sql;
        foreach (string name in parameters)
            command.Parameters.Add(new SqliteParameter { ParameterName = name });
        commands.Add(sql, command);
        return command;
    }

    public void Run(string sql) => Get(sql).ExecuteNonQuery();

    public static SqliteCommand Bind(SqliteCommand command, params ReadOnlySpan<object?> values)
    {
        for (int i = 0; i < values.Length; i++)
            command.Parameters[i].Value = values[i] ?? DBNull.Value;
        return command;
    }

    public void Dispose()
    {
        foreach (SqliteCommand command in commands.Values)
            command.Dispose();
    }
}
