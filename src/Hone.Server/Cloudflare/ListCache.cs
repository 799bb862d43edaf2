using System.Collections.Concurrent;
using Hone.Core.Store;

namespace Hone.Server.Cloudflare;

/// <summary>
/// Accounts' lists as they were last written out, for clients that ask again and again: good until anything is committed to the database, and then made anew.
/// </summary>
internal sealed class ListCache(StoreVersion version)
{
    private const int MostBytes = 256 << 10, MostLists = 64;

    private readonly ConcurrentDictionary<string, (long Version, byte[] Json)> held = new();

    public async ValueTask<ReadOnlyMemory<byte>> GetAsync<T>(string accountId, Func<Task<Answer<T>>> make)
    {
        // Asked for before the list is read: what is read may be newer, never older.
        long now = version.Now();
        if (held.TryGetValue(accountId, out var known) && known.Version == now)
            return known.Json;
        using var buffer = new PooledBuffer();
        var answer = await make();
        using (var writer = Envelope.Writer(buffer))
            answer.Write(writer);
        byte[] json = buffer.WrittenMemory.ToArray();
        if (json.Length <= MostBytes)
        {
            if (held.Count >= MostLists)
                held.Clear();
            held[accountId] = (now, json);
        }
        return json;
    }
}
