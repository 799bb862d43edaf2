namespace Hone.Formats.ChatTemplates.Jinja;

/// <summary>Variables of one scope; unknown names are looked up in the scope around it. Most scopes hold few: these lie in a row.</summary>
internal sealed class Scope(Scope? parent)
{
    private const int Few = 8;

    private readonly Scope? _parent = parent;
    private (string Name, object? Value)[] _row = [];
    private int _count;
    private Dictionary<string, object?>? _many;

    public object? Find(string name)
    {
        for (var scope = this; scope is not null; scope = scope._parent)
        {
            if (scope._many is not null)
            {
                if (scope._many.TryGetValue(name, out var value))
                {
                    return value;
                }
            }
            else if (scope.IndexOf(name) is var index && index >= 0)
            {
                return scope._row[index].Value;
            }
        }

        return Missing.Value;
    }

    public void Set(string name, object? value)
    {
        if (_many is not null)
        {
            _many[name] = value;
            return;
        }

        var index = IndexOf(name);
        if (index >= 0)
        {
            _row[index].Value = value;
        }
        else if (_count < Few)
        {
            if (_count == _row.Length)
            {
                Array.Resize(ref _row, _count == 0 ? 3 : Few);
            }

            _row[_count++] = (name, value);
        }
        else
        {
            _many = _row.ToDictionary(item => item.Name, item => item.Value, StringComparer.Ordinal);
            _many[name] = value;
        }
    }

    /// <summary>A scope within this one, with the names that start undefined in it.</summary>
    public Scope Inner(Body body)
    {
        var inner = new Scope(this);
        foreach (var name in body.StartsUndefined)
        {
            inner.Set(name, Missing.Value);
        }

        return inner;
    }

    private int IndexOf(string name)
    {
        for (var i = 0; i < _count; i++)
        {
            if (string.Equals(_row[i].Name, name, StringComparison.Ordinal))
            {
                return i;
            }
        }

        return -1;
    }
}
