using Hone.Formats.Inference;
using Hone.Training.Lora;
using Hone.Training.Model;

namespace Hone.Training.Generation;

/// <summary>Adapters in memory, by the key that names their content; the least recently used beyond the bound are dropped.</summary>
internal sealed class AdapterStore(Decoder decoder, int bound = 100)
{
    private readonly Lock _lock = new();
    private readonly Dictionary<string, LinkedListNode<(string Key, LoraAdapter Adapter)>> _byKey = [];
    private readonly LinkedList<(string Key, LoraAdapter Adapter)> _recent = [];

    public LoraAdapter? Get(GenerateRequest request)
    {
        if (request.AdapterPath is null)
            return null;
        string key = request.AdapterKey ?? request.AdapterPath;
        lock (_lock)
        {
            if (_byKey.TryGetValue(key, out var node))
            {
                _recent.Remove(node);
                _recent.AddFirst(node);
                return node.Value.Adapter;
            }
            LoraAdapter adapter = PeftAdapter.Load(request.AdapterPath, decoder);
            _byKey.Add(key, _recent.AddFirst((key, adapter)));
            if (_recent.Count > bound)
            {
                // A stream may still use it: the collector frees it when none does.
                _byKey.Remove(_recent.Last!.Value.Key);
                _recent.RemoveLast();
            }
            return adapter;
        }
    }
}
