using System.Runtime.InteropServices;
using System.Security.Cryptography;
using Hone.Core.Store;
using Microsoft.Data.Sqlite;

namespace Hone.Core.Accounts;

/// <summary>
/// Tokens as they were last read. Once anything was committed since, by this process or another, all is read
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
    private readonly Dictionary<Key, Principal> held = [];
    private SqliteConnection? connection;
    private SqliteCommand? find;
    private long seen = -1;

    /// <summary>Who an active token speaks for; whether it has expired is for the caller to see. Null when it is unknown or revoked.</summary>
    /// <param name="token">Well formed.</param>
    internal Principal? Find(string token)
    {
        Span<byte> text = stackalloc byte[TokenFormat.Length], hash = stackalloc byte[SHA256.HashSizeInBytes];
        System.Text.Encoding.ASCII.GetBytes(token, text);
        SHA256.HashData(text, hash);
        Key key = MemoryMarshal.Read<Key>(hash);
        lock (gate)
        {
            long now = version.Now();
            if (now != seen)
            {
                held.Clear();
                seen = now;
            }
            if (held.TryGetValue(key, out Principal? known))
                return known;
            Principal? found = Read(hash.ToArray());
            if (found is not null && held.Count < MostHeld)
                held.Add(key, found);
            return found;
        }
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

    /// <summary>A SHA-256. Two that are equal are the same token: what is compared is no secret, so how long it takes tells nothing.</summary>
    private readonly record struct Key(UInt128 High, UInt128 Low);
}
