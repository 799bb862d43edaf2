namespace Hone.Formats.ChatTemplates.Jinja;

internal sealed partial class Evaluator
{
    private object? Call(CallNode node, Macro? caller)
    {
        var callee = Evaluate(node.Callee);
        var arguments = EvaluateArguments(node.Arguments, Missing.Value, caller);
        _here = node;
        return Call(callee, arguments);
    }

    public object? Call(object? callee, Arguments arguments) => callee switch
    {
        Callable callable => callable.Call(this, arguments),
        LoopContext loop => CallLoop(loop, arguments),
        Undefined undefined => throw undefined.Fail(),
        _ => throw Errors.Type($"'{PyType.Name(callee)}' object is not callable"),
    };

    private static object? CallLoop(LoopContext loop, Arguments arguments)
    {
        var bound = new Signature("loop", "iterable").Bind(arguments);
        return loop.Call(bound[0]);
    }

    private Arguments EvaluateArguments(ArgumentNodes nodes, object? first, Macro? caller)
    {
        var positional = new List<object?>(nodes.Positional.Count + 1);
        if (first is not Missing)
        {
            positional.Add(first);
        }

        if (nodes.IsEmpty && caller is null)
        {
            return new Arguments(positional, []);
        }

        foreach (var node in nodes.Positional)
        {
            positional.Add(Evaluate(node));
        }

        var keywords = new List<(string Name, object? Value)>(nodes.Keywords.Count);
        foreach (var (name, node) in nodes.Keywords)
        {
            keywords.Add((name, Evaluate(node)));
        }

        if (caller is not null)
        {
            keywords.Add(("caller", caller));
        }

        if (nodes.MorePositional is not null)
        {
            positional.AddRange(Iterate(Evaluate(nodes.MorePositional)));
        }

        if (nodes.MoreKeywords is not null)
        {
            AddKeywords(Evaluate(nodes.MoreKeywords), keywords);
        }

        return new Arguments(positional, keywords);
    }

    private void AddKeywords(object? value, List<(string Name, object? Value)> keywords)
    {
        if (value is not PyDict dict)
        {
            throw Errors.Type($"argument after ** must be a mapping, not {PyType.Name(value)}");
        }

        foreach (var (key, item) in dict.Entries)
        {
            var name = key as string ?? throw Errors.Type("keywords must be strings");
            if (keywords.Exists(keyword => keyword.Name == name))
            {
                throw Errors.Type($"got multiple values for keyword argument '{name}'");
            }

            Budget.Spend(1 + keywords.Count);
            keywords.Add((name, item));
        }
    }

    /// <summary>Runs a macro in a scope within the one it was defined in.</summary>
    public object? CallMacro(Macro macro, Arguments arguments)
    {
        var node = macro.Node;
        var scope = macro.Scope.Inner(node.Body);
        BindMacro(macro, arguments, scope);
        var outer = _scope;
        _scope = scope;
        try
        {
            FillDefaults(node, scope);
            return Capture(() => Run(node.Body.Statements));
        }
        finally
        {
            _scope = outer;
        }
    }

    private static void BindMacro(Macro macro, Arguments arguments, Scope scope)
    {
        var node = macro.Node;
        var keywords = arguments.Keywords;
        var taken = new HashSet<string>(StringComparer.Ordinal);
        var hasCaller = node.Parameters.Exists(parameter => parameter.Id == "caller");
        for (var i = 0; i < node.Parameters.Count; i++)
        {
            var name = node.Parameters[i].Id;
            var keyword = i < arguments.Positional.Count ? -1 : keywords.FindIndex(item => item.Name == name);
            scope.Set(name, i < arguments.Positional.Count ? arguments.Positional[i] : keyword >= 0 ? keywords[keyword].Value : Missing.Value);
            if (keyword >= 0)
            {
                taken.Add(name);
            }
        }

        if (node.TakesCaller && !hasCaller)
        {
            var caller = keywords.FindIndex(item => item.Name == "caller");
            scope.Set("caller", caller >= 0 && keywords[caller].Value is not null ? keywords[caller].Value : new Undefined("No caller defined"));
            taken.Add("caller");
        }

        var rest = keywords.FindAll(item => !taken.Contains(item.Name));
        if (node.TakesKeywords)
        {
            var dict = new PyDict();
            rest.ForEach(item => dict.Set(item.Name, item.Value));
            scope.Set("kwargs", dict);
        }
        else if (rest.Count > 0)
        {
            throw Errors.Type(rest.Exists(item => item.Name == "caller")
                ? $"macro '{macro.Name}' was invoked with two values for the special caller argument. This is most likely a bug."
                : $"macro '{macro.Name}' takes no keyword argument '{rest[0].Name}'");
        }

        if (node.TakesPositional)
        {
            scope.Set("varargs", new PyTuple([.. arguments.Positional.Skip(node.Parameters.Count)]));
        }
        else if (arguments.Positional.Count > node.Parameters.Count)
        {
            throw Errors.Type($"macro '{macro.Name}' takes not more than {node.Parameters.Count} argument(s)");
        }
    }

    private void FillDefaults(MacroNode node, Scope scope)
    {
        var required = node.Parameters.Count - node.Defaults.Count;
        for (var i = 0; i < node.Parameters.Count; i++)
        {
            var name = node.Parameters[i].Id;
            if (scope.Find(name) is Missing)
            {
                scope.Set(name, i < required ? new Undefined($"parameter '{name}' was not provided") : Evaluate(node.Defaults[i - required]));
            }
        }
    }
}
