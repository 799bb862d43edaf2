namespace Hone.Formats.ChatTemplates.Jinja;

/// <summary>Variables of one scope; unknown names are looked up in the scope around it.</summary>
internal sealed class Scope(Scope? parent)
{
    private Dictionary<string, object?>? _variables;

    public object? Find(string name)
    {
        for (var scope = this; scope is not null; scope = scope.Outer)
        {
            if (scope._variables is not null && scope._variables.TryGetValue(name, out var value))
            {
                return value;
            }
        }

        return Missing.Value;
    }

    public void Set(string name, object? value) => (_variables ??= new(StringComparer.Ordinal))[name] = value;

    /// <summary>A scope within this one, with the names that start undefined in it.</summary>
    public Scope Inner(Body body)
    {
        var inner = new Scope(this);
        inner.Begin(body);
        return inner;
    }

    public void Begin(Body body)
    {
        foreach (var name in body.StartsUndefined)
        {
            Set(name, Missing.Value);
        }
    }

    private Scope? Outer { get; } = parent;
}
