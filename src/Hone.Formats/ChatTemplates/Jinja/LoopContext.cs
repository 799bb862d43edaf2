namespace Hone.Formats.ChatTemplates.Jinja;

/// <summary>The variable <c>loop</c>. Looks one item ahead when asked for the last or the next one; counts the rest when asked for a length.</summary>
internal sealed class LoopContext(object? iterable, IEnumerable<object?> items, Func<object?, long, object?>? recurse, long depth0)
{
    private IEnumerator<object?> _items = items.GetEnumerator();
    private long? _length;
    private object? _after = Missing.Value;
    private object? _current = Missing.Value;
    private object? _before = Missing.Value;
    private object? _lastChanged = Missing.Value;
    private long _index0 = -1;

    public long Index => _index0 + 1;

    public long Length
    {
        get
        {
            if (_length is null && Sequences.Length(iterable) is { } known)
            {
                _length = known;
            }
            else if (_length is null)
            {
                var rest = new List<object?>();
                while (_items.MoveNext())
                {
                    rest.Add(_items.Current);
                }

                _items = rest.GetEnumerator();
                _length = rest.Count + Index + (_after is Missing ? 0 : 1);
            }

            return _length.Value;
        }
    }

    public bool MoveNext(out object? item)
    {
        item = Peek();
        if (item is Missing)
        {
            return false;
        }

        _after = Missing.Value;
        _index0++;
        _before = _current;
        _current = item;
        return true;
    }

    private object? Peek()
    {
        if (_after is Missing && _items.MoveNext())
        {
            _after = _items.Current;
        }

        return _after;
    }

    public object? Call(object? nested) => recurse is null
        ? throw Errors.Type("The loop must have the 'recursive' marker to be called recursively.")
        : recurse(nested, depth0 + 1);

    public object? Attribute(string name) => name switch
    {
        "index" => Index,
        "index0" => _index0,
        "revindex" => Length - _index0,
        "revindex0" => Length - Index,
        "first" => _index0 == 0,
        "last" => Peek() is Missing,
        "length" => Length,
        "depth" => depth0 + 1,
        "depth0" => depth0,
        "previtem" => _index0 == 0 ? new Undefined("there is no previous item") : _before,
        "nextitem" => Peek() is var next && next is Missing ? new Undefined("there is no next item") : next,
        "cycle" => new Function("cycle", (_, arguments) =>
        {
            arguments.RejectKeywords("cycle");
            var options = arguments.Positional;
            return options.Count == 0 ? throw Errors.Type("no items for cycling given") : options[(int)(_index0 % options.Count)];
        }, "method"),
        "changed" => new Function("changed", (evaluator, arguments) =>
        {
            var value = new PyTuple([.. arguments.Positional]);
            var isChanged = !Comparing.AreEqual(_lastChanged, value, evaluator.Budget);
            _lastChanged = value;
            return isChanged;
        }, "method"),
        _ => Missing.Value,
    };
}
