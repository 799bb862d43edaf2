using System.Diagnostics.CodeAnalysis;
using System.Numerics;

namespace Hone.Formats.ChatTemplates.Jinja;

/// <summary>A dict: keeps insertion order; 1, 1.0 and True are one key.</summary>
internal sealed class PyDict
{
    private readonly Dictionary<object, int> _index = new(KeyComparer.Instance);
    private readonly List<KeyValuePair<object?, object?>> _entries = [];

    public int Count => _entries.Count;

    public IReadOnlyList<KeyValuePair<object?, object?>> Entries => _entries;

    public IEnumerable<object?> Keys => _entries.Select(entry => entry.Key);

    public IEnumerable<object?> Values => _entries.Select(entry => entry.Value);

    public bool TryGet(object? key, out object? value)
    {
        var found = _index.TryGetValue(Key(key), out var index);
        value = found ? _entries[index].Value : null;
        return found;
    }

    public void Set(object? key, object? value)
    {
        var normal = Key(key);
        if (_index.TryGetValue(normal, out var index))
        {
            _entries[index] = new(_entries[index].Key, value);
        }
        else
        {
            _index[normal] = _entries.Count;
            _entries.Add(new(key, value));
        }
    }

    public bool Contains(object? key) => _index.ContainsKey(Key(key));

    public PyDict Copy()
    {
        var copy = new PyDict();
        foreach (var (key, value) in _entries)
        {
            copy.Set(key, value);
        }

        return copy;
    }

    /// <summary>A form of the key that equals all equal keys. Lists and dicts cannot be keys.</summary>
    public static object Key(object? key) => key switch
    {
        string => key,
        null => Missing.Value,
        bool flag => flag ? 1L : 0L,
        long => key,
        double number when Math.Floor(number) == number && Math.Abs(number) < 1e300 => Integers.Normalize(new BigInteger(number)),
        Markup markup => markup.Text,
        PyTuple tuple => new TupleKey(Array.ConvertAll(tuple.Items, Key)),
        PyList or PyDict or Namespace or DictView { Part: not DictPart.Values } or SliceValue => throw Errors.Type($"unhashable type: '{PyType.Name(key)}'"),
        Undefined => typeof(Undefined),
        _ => key,
    };

    private sealed class TupleKey(object[] items)
    {
        public object[] Items { get; } = items;
    }

    private sealed class KeyComparer : IEqualityComparer<object>
    {
        public static readonly KeyComparer Instance = new();

        bool IEqualityComparer<object>.Equals(object? x, object? y) =>
            x is TupleKey left && y is TupleKey right
                ? left.Items.AsSpan().SequenceEqual(right.Items, this)
                : object.Equals(x, y);

        public int GetHashCode([DisallowNull] object obj)
        {
            if (obj is not TupleKey tuple)
            {
                return obj.GetHashCode();
            }

            var hash = default(HashCode);
            foreach (var item in tuple.Items)
            {
                hash.Add(GetHashCode(item));
            }

            return hash.ToHashCode();
        }
    }
}
