using Microsoft.Data.Sqlite;

namespace Hone.Core.Store;

/// <summary>A number that changes with every commit to the database, by whichever process. What was read after one number was asked for is current while it stays.</summary>
public sealed class StoreVersion(HoneStore store) : IDisposable
{
    private readonly Lock gate = new();
    private SqliteConnection? connection;
    private SqliteCommand? version;

    public long Now()
    {
        lock (gate)
        {
            if (version is null)
            {
                connection = store.OpenConnection();
                version = connection.CreateCommand();
                version.CommandText = "PRAGMA data_version";
            }
            return (long)version.ExecuteScalar()!;
        }
    }

    public void Dispose()
    {
        version?.Dispose();
        connection?.Dispose();
    }
}
