using System.Diagnostics.CodeAnalysis;
using System.Numerics;

namespace Hone.Formats.ChatTemplates.Jinja;

/// <summary>A dict: keeps insertion order; 1, 1.0 and True are one key.</summary>
internal sealed class PyDict
{
    private const int MaxTupleDepth = 100;
    private const int MaxTupleItems = 10_000;

    private readonly Dictionary<object, int> _index = new(KeyComparer.Instance);
    private readonly List<KeyValuePair<object?, object?>> _entries = [];

    public int Count => _entries.Count;

    public IReadOnlyList<KeyValuePair<object?, object?>> Entries => _entries;

    public IEnumerable<object?> Keys => _entries.Select(entry => entry.Key);

    public IEnumerable<object?> Values => _entries.Select(entry => entry.Value);

    public bool TryGet(object? key, out object? value, Budget? budget = null)
    {
        var found = _index.TryGetValue(Key(key, budget), out var index);
        value = found ? _entries[index].Value : null;
        return found;
    }

    public void Set(object? key, object? value, Budget? budget = null)
    {
        var normal = Key(key, budget);
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

    public bool Contains(object? key, Budget? budget = null) => _index.ContainsKey(Key(key, budget));

    public PyDict Copy()
    {
        var copy = new PyDict();
        foreach (var (key, value) in _entries)
        {
            copy.Set(key, value);
        }

        return copy;
    }

    /// <summary>A form of the key that equals all equal keys. Lists and dicts cannot be keys. Where a template chooses the key, its budget pays.</summary>
    public static object Key(object? key, Budget? budget = null)
    {
        budget?.SpendText(PyType.TextOf(key)?.Length ?? 0);
        var items = 0;
        return Normal(key, 0, ref items);
    }

    private static object Normal(object? key, int depth, ref int items) => key switch
    {
        string => key,
        null => Missing.Value,
        bool flag => flag ? 1L : 0L,
        long => key,
        double number when Math.Floor(number) == number && Math.Abs(number) < 1e300 => Integers.Normalize(new BigInteger(number)),
        Markup markup => markup.Text,
        PyTuple tuple => NormalTuple(tuple, depth, ref items),
        PyList or PyDict or DictView { Part: not DictPart.Values } or SliceValue => throw Errors.Type($"unhashable type: '{PyType.Name(key)}'"),
        Undefined => typeof(Undefined),
        _ => key,
    };

    private static TupleKey NormalTuple(PyTuple tuple, int depth, ref int items)
    {
        items += tuple.Items.Length;
        if (depth > MaxTupleDepth || items > MaxTupleItems)
        {
            throw Errors.Recursion();
        }

        var normal = new object[tuple.Items.Length];
        for (var i = 0; i < normal.Length; i++)
        {
            normal[i] = Normal(tuple.Items[i], depth + 1, ref items);
        }

        return new TupleKey(normal);
    }

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
