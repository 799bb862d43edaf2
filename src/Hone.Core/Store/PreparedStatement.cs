using Microsoft.Data.Sqlite;
using SQLitePCL;

namespace Hone.Core.Store;

/// <summary>A statement of SQLite's own: a command with its reader would cost as much as what it runs. Used by one thread at a time; throws <see cref="SqliteException"/>.</summary>
internal sealed class PreparedStatement : IDisposable
{
    private readonly sqlite3 database;
    private readonly sqlite3_stmt statement;
    private readonly int[] parameters;

    /// <param name="names">Of its parameters, in the order in which it takes values.</param>
    public PreparedStatement(sqlite3 database, string sql, ReadOnlySpan<string> names)
    {
        this.database = database;
        Check(raw.sqlite3_prepare_v3(database, sql, raw.SQLITE_PREPARE_PERSISTENT, out statement));
        parameters = new int[names.Length];
        for (int i = 0; i < names.Length; i++)
            parameters[i] = raw.sqlite3_bind_parameter_index(statement, names[i]);
    }

    /// <summary>Runs it to its end.</summary>
    public void Run(params ReadOnlySpan<object?> values)
    {
        Bind(values);
        while (Step())
        {
        }
        Reset();
    }

    /// <summary>Its first row; the next run may begin once that is disposed.</summary>
    public Row First(params ReadOnlySpan<object?> values)
    {
        Bind(values);
        if (Step())
            return new Row(this);
        Reset();
        throw new InvalidOperationException("The statement gives no row.");
    }

    private void Bind(ReadOnlySpan<object?> values)
    {
        for (int i = 0; i < values.Length; i++)
        {
            int at = parameters[i];
            Check(values[i] switch
            {
                null => raw.sqlite3_bind_null(statement, at),
                string text => raw.sqlite3_bind_text(statement, at, text),
                bool flag => raw.sqlite3_bind_int(statement, at, flag ? 1 : 0),
                int number => raw.sqlite3_bind_int(statement, at, number),
                long number => raw.sqlite3_bind_int64(statement, at, number),
                { } other => throw new ArgumentException($"No parameter is a {other.GetType().Name}.", nameof(values)),
            });
        }
    }

    /// <summary>To its next row. A statement that fails is ready for its next run.</summary>
    /// <returns>Whether there is a row.</returns>
    private bool Step()
    {
        int result = raw.sqlite3_step(statement);
        if (result is not (raw.SQLITE_ROW or raw.SQLITE_DONE))
        {
            Reset();
            Check(result);
        }
        return result == raw.SQLITE_ROW;
    }

    /// <summary>Makes it ready for its next run.</summary>
    private void Reset() => _ = raw.sqlite3_reset(statement);

    private void Check(int result) => SqliteException.ThrowExceptionForRC(result, database);

    public void Dispose() => statement.Dispose();

    /// <summary>A row of a statement under way.</summary>
    public readonly ref struct Row(PreparedStatement of) : IDisposable
    {
        public string? Text(int column) => IsNull(column) ? null : raw.sqlite3_column_text(of.statement, column).utf8_to_string();

        public long? Integer(int column) => IsNull(column) ? null : raw.sqlite3_column_int64(of.statement, column);

        private bool IsNull(int column) => raw.sqlite3_column_type(of.statement, column) == raw.SQLITE_NULL;

        public void Dispose() => of.Reset();
    }
}
