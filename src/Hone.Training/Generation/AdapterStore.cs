using Hone.Formats.Inference;
using Hone.Training.Lora;
using Hone.Training.Model;

namespace Hone.Training.Generation;

/// <summary>
/// Adapters in memory, by the key that names their content. Beyond the bounds the longest unused are dropped; one that a stream still uses is freed when the
/// last such stream ends.
/// </summary>
internal sealed class AdapterStore(Decoder decoder, int bound = 100, long maxBytes = 2L << 30) : IDisposable
{
    private readonly Lock _lock = new();
    private readonly Dictionary<string, LinkedListNode<Entry>> _byKey = [];
    private readonly LinkedList<Entry> _recent = []; // the last used first
    private long _bytes;

    /// <summary>Adapters that are found without loading.</summary>
    public int Count
    {
        get
        {
            lock (_lock)
                return _recent.Count;
        }
    }

    /// <returns>The request's adapter, in memory until the use is disposed; null where it names none.</returns>
    /// <exception cref="Hone.Formats.InvalidFileException">The files do not fit each other or the base.</exception>
    public async Task<AdapterUse?> TakeAsync(GenerateRequest request)
    {
        if (request.AdapterPath is not { } path)
            return null;
        string key = request.AdapterKey ?? path;
        LinkedListNode<Entry>? node;
        lock (_lock)
        {
            // Two requests for one new adapter load it once. Loading is not under the lock, which the streams under way need to give theirs back.
            if (_byKey.TryGetValue(key, out node))
            {
                _recent.Remove(node);
                _recent.AddFirst(node);
            }
            else
            {
                node = _recent.AddFirst(new Entry(key, Task.Run(() => PeftAdapter.Load(path, decoder))));
                _byKey.Add(key, node);
            }
            node.Value.Users++;
        }
        try
        {
            LoraAdapter adapter = await node.Value.Loading.ConfigureAwait(false);
            lock (_lock)
            {
                node.Value.Adapter = adapter;
                if (node.Value is { Bytes: 0, IsDropped: false } loaded)
                    _bytes += loaded.Bytes = BytesOf(adapter);
                while (_recent.Count > 1 && (_recent.Count > bound || _bytes > maxBytes))
                    Drop(_recent.Last!);
            }
            return new AdapterUse(adapter, () => GiveBack(node.Value));
        }
        catch
        {
            lock (_lock)
            {
                node.Value.Users--;
                if (!node.Value.IsDropped)
                    Drop(node);
            }
            throw;
        }
    }

    public void Dispose()
    {
        lock (_lock)
        {
            while (_recent.Last is { } last)
                Drop(last);
        }
    }

    /// <summary>Memory of an adapter that answers: its parameters, and each B turned.</summary>
    public static long BytesOf(LoraAdapter adapter) => (adapter.Parameters.numel() + adapter.Modules.Values.Sum(m => (long)m.Rank * m.Out)) * sizeof(float);

    private void Drop(LinkedListNode<Entry> node)
    {
        Entry entry = node.Value;
        _byKey.Remove(entry.Key);
        _recent.Remove(node);
        _bytes -= entry.Bytes;
        entry.IsDropped = true;
        Free(entry);
    }

    private void GiveBack(Entry entry)
    {
        lock (_lock)
        {
            entry.Users--;
            Free(entry);
        }
    }

    private static void Free(Entry entry)
    {
        if (entry is { Users: 0, IsDropped: true })
            entry.Adapter?.Dispose();
    }

    private sealed class Entry(string key, Task<LoraAdapter> loading)
    {
        public string Key => key;
        public Task<LoraAdapter> Loading => loading;
        public LoraAdapter? Adapter { get; set; } // null: loading still
        public long Bytes { get; set; }
        public int Users { get; set; }
        public bool IsDropped { get; set; }
    }
}

/// <summary>Holds an adapter in memory until it is disposed, once.</summary>
internal sealed class AdapterUse(LoraAdapter adapter, Action giveBack) : IDisposable
{
    private Action? _giveBack = giveBack;

    public LoraAdapter Adapter => adapter;

    public void Dispose() => Interlocked.Exchange(ref _giveBack, null)?.Invoke();
}
