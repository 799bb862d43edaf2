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
    public AdapterUse? Take(GenerateRequest request)
    {
        if (request.AdapterPath is null)
            return null;
        string key = request.AdapterKey ?? request.AdapterPath;
        // Loading under the lock: two requests for one new adapter load it once.
        lock (_lock)
        {
            if (_byKey.TryGetValue(key, out LinkedListNode<Entry>? node))
            {
                _recent.Remove(node);
                _recent.AddFirst(node);
            }
            else
            {
                node = _recent.AddFirst(new Entry(key, PeftAdapter.Load(request.AdapterPath, decoder)));
                _byKey.Add(key, node);
                _bytes += node.Value.Bytes;
            }
            node.Value.Users++;
            while (_recent.Count > 1 && (_recent.Count > bound || _bytes > maxBytes))
                Drop(_recent.Last!.Value);
            return new AdapterUse(node.Value.Adapter, () => GiveBack(node.Value));
        }
    }

    public void Dispose()
    {
        lock (_lock)
        {
            while (_recent.Last is { } last)
                Drop(last.Value);
        }
    }

    /// <summary>Memory of an adapter that answers: its parameters, and each B turned.</summary>
    public static long BytesOf(LoraAdapter adapter) => (adapter.Parameters.numel() + adapter.Modules.Values.Sum(m => (long)m.Rank * m.Out)) * sizeof(float);

    private void Drop(Entry entry)
    {
        _byKey.Remove(entry.Key);
        _recent.RemoveLast();
        _bytes -= entry.Bytes;
        entry.IsDropped = true;
        if (entry.Users == 0)
            entry.Adapter.Dispose();
    }

    private void GiveBack(Entry entry)
    {
        lock (_lock)
        {
            if (--entry.Users == 0 && entry.IsDropped)
                entry.Adapter.Dispose();
        }
    }

    private sealed class Entry(string key, LoraAdapter adapter)
    {
        public string Key => key;
        public LoraAdapter Adapter => adapter;
        public long Bytes { get; } = BytesOf(adapter);
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
