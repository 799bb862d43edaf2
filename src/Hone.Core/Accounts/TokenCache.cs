using System.Collections.Concurrent;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using Hone.Core.Store;
using Microsoft.Data.Sqlite;

namespace Hone.Core.Accounts;

/// <summary>
/// Tokens as they were last read. Once anything was committed since that may have changed them, by this process or another, all is read
/// anew: a token that was revoked on the command line is refused with the next request.
/// </summary>
public sealed class TokenCache(HoneStore store, StoreVersion version) : IDisposable
{
    private const int MostHeld = 10_000;

    private const string ByHash = """
        SELECT a.id, a.name, a.email, t.id, t.permission, t.expires_at FROM api_tokens t JOIN accounts a ON a.id = t.account_id
        WHERE t.hash = @hash AND t.revoked_at IS NULL
        """;

    private readonly Lock gate = new();
    private Held held = new(-1);
    private SqliteConnection? connection;
    private SqliteCommand? find;

    /// <summary>Who an active token speaks for; whether it has expired is for the caller to see. Null when it is unknown or revoked.</summary>
    /// <param name="token">Well formed.</param>
    internal Principal? Find(string token)
    {
        Span<byte> text = stackalloc byte[TokenFormat.Length], hash = stackalloc byte[SHA256.HashSizeInBytes];
        System.Text.Encoding.ASCII.GetBytes(token, text);
        SHA256.HashData(text, hash);
        Key key = MemoryMarshal.Read<Key>(hash);
        // Asked for before a token is read: what is read may be newer, never older.
        long now = version.OfAccounts();
        Held current = Volatile.Read(ref held);
        if (current.Version != now)
            Volatile.Write(ref held, current = new(now));
        if (current.Tokens.TryGetValue(key, out Principal? known))
            return known;
        Principal? found;
        lock (gate)
            found = Read(hash.ToArray());
        if (found is not null && current.Tokens.Count < MostHeld)
            current.Tokens.TryAdd(key, found);
        return found;
    }

    private Principal? Read(byte[] hash)
    {
        Open();
        find!.Parameters[0].Value = hash;
        using SqliteDataReader row = find.ExecuteReader();
        return !row.Read() ? null : new Principal(
            row.GetString(0), row.GetString(1), row.GetString(2), row.GetString(3), row.GetString(4) == "write" ? TokenPermission.Write : TokenPermission.Read,
            row.IsDBNull(5) ? null : DateTimeOffset.FromUnixTimeMilliseconds(row.GetInt64(5)));
    }

    private void Open()
    {
        if (connection is not null)
            return;
        connection = store.OpenConnection();
        find = connection.CreateCommand();
        find.CommandText = ByHash;
        find.Parameters.Add("@hash", SqliteType.Blob);
    }

    public void Dispose()
    {
        lock (gate)
        {
            find?.Dispose();
            connection?.Dispose();
            connection = null;
        }
    }

    /// <summary>Tokens as they were in one version of the database.</summary>
    private sealed record Held(long Version)
    {
        public ConcurrentDictionary<Key, Principal> Tokens { get; } = new();
    }

    /// <summary>A SHA-256. Two that are equal are the same token: what is compared is no secret, so how long it takes tells nothing.</summary>
    private readonly record struct Key(UInt128 High, UInt128 Low);
}
