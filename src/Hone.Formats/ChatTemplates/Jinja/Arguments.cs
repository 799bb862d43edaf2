namespace Hone.Formats.ChatTemplates.Jinja;

/// <summary>The arguments of one call.</summary>
internal sealed class Arguments(List<object?> positional, List<(string Name, object? Value)> keywords)
{
    public static Arguments None { get; } = new([], []);

    public List<object?> Positional { get; } = positional;

    public List<(string Name, object? Value)> Keywords { get; } = keywords;

    public Arguments Skip(int count) => new([.. Positional.Skip(count)], Keywords);

    public void RejectAny(string function)
    {
        if (Positional.Count + Keywords.Count > 0)
        {
            throw Errors.Type($"{function}() takes no arguments");
        }
    }

    public void RejectKeywords(string function)
    {
        if (Keywords.Count > 0)
        {
            throw Errors.Type($"{function}() takes no keyword arguments");
        }
    }
}

/// <summary>A function's parameters, written as in Python: <c>value, width=4, first=false</c>. Defaults are none, true, false, integers and texts.</summary>
internal sealed class Signature
{
    private readonly string _function;
    private readonly string[] _names;
    private readonly object?[] _defaults;

    public Signature(string function, string parameters)
    {
        _function = function;
        var parts = parameters.Split(", ", StringSplitOptions.RemoveEmptyEntries);
        _names = Array.ConvertAll(parts, part => part.Split('=')[0]);
        _defaults = Array.ConvertAll(parts, part => part.Contains('=', StringComparison.Ordinal) ? Default(part[(part.IndexOf('=', StringComparison.Ordinal) + 1)..]) : Missing.Value);
    }

    private static object? Default(string text) => text switch
    {
        "none" => null,
        "true" => true,
        "false" => false,
        ['\'', .. var quoted, '\''] => quoted,
        _ => long.Parse(text, System.Globalization.CultureInfo.InvariantCulture),
    };

    /// <summary>The value of every parameter, in order.</summary>
    public object?[] Bind(Arguments arguments)
    {
        if (arguments.Positional.Count > _names.Length)
        {
            throw Errors.Type($"{_function}() takes at most {_names.Length} arguments ({arguments.Positional.Count} given)");
        }

        var values = (object?[])_defaults.Clone();
        arguments.Positional.CopyTo(values);
        foreach (var (name, value) in arguments.Keywords)
        {
            var index = Array.IndexOf(_names, name);
            if (index < 0)
            {
                throw Errors.Type($"{_function}() got an unexpected keyword argument '{name}'");
            }

            if (index < arguments.Positional.Count)
            {
                throw Errors.Type($"{_function}() got multiple values for argument '{name}'");
            }

            values[index] = value;
        }

        var absent = Array.IndexOf(values, Missing.Value);
        return absent < 0 ? values : throw Errors.Type($"{_function}() missing required argument: '{_names[absent]}'");
    }
}
