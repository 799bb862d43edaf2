using System.Numerics;

namespace Hone.Formats.ChatTemplates.Jinja;

/// <summary>
/// Attributes and items as the sandbox gives them: Python's methods that change nothing, then items. What begins with an underscore
/// or changes a value is unsafe: an undefined that raises SecurityError when used.
/// </summary>
internal static class Members
{
    private static readonly HashSet<string> ObjectMembers =
    [
        "__class__", "__delattr__", "__dir__", "__doc__", "__eq__", "__format__", "__ge__", "__getattribute__", "__getstate__", "__gt__", "__hash__",
        "__init__", "__init_subclass__", "__le__", "__lt__", "__module__", "__ne__", "__new__", "__reduce__", "__reduce_ex__", "__repr__", "__setattr__",
        "__sizeof__", "__slots__", "__str__", "__subclasshook__",
    ];

    private static readonly Signature GetSignature = new("get", "key, default=none");

    private static readonly HashSet<string> ListMutators = ["append", "clear", "pop", "reverse", "insert", "sort", "extend", "remove"];
    private static readonly HashSet<string> DictMutators = ["clear", "pop", "popitem", "setdefault", "update"];

    public static object? Attribute(object? owner, string name, Budget budget)
    {
        var member = Own(owner, name);
        if (member is not Missing)
        {
            return member;
        }

        var item = owner is LoopContext ? Missing.Value : Sequences.Item(owner, name, budget);
        return item is Missing ? Undefined.Member(owner, name) : item;
    }

    public static object? Item(object? owner, object? key, Budget budget)
    {
        var item = owner is LoopContext ? Missing.Value : Sequences.Item(owner, key, budget);
        if (item is Missing && PyType.TextOf(key) is { } name)
        {
            item = Own(owner, name);
        }

        return item is Missing ? Undefined.Member(owner, key) : item;
    }

    /// <summary>A member of the value's Python type, or <see cref="Missing"/>.</summary>
    public static object? Own(object? owner, string name)
    {
        if (name.StartsWith("__", StringComparison.Ordinal) && name.EndsWith("__", StringComparison.Ordinal) && name.Length > 4)
        {
            return owner is Undefined absent && !ObjectMembers.Contains(name) ? throw absent.Fail()
                : owner is Namespace ns && ns.Attributes.TryGet(name, out _) ? Undefined.Unsafe(owner, name)
                : owner is PyDict dict && dict.Contains(name) ? Missing.Value
                : Undefined.Unsafe(owner, name);
        }

        return owner switch
        {
            Undefined undefined => throw undefined.Fail(),
            string or Markup when StringMethods.Find(owner, name) is { } method => method,
            PyDict dict => DictMember(dict, name),
            PyList list => ListMutators.Contains(name) ? Undefined.Unsafe(owner, name)
                : name == "copy" ? Method(name, _ => new PyList([.. list.Items])) : SequenceMember(list.Items, name),
            PyTuple tuple when Array.IndexOf(tuple.Fields, name) is var field && field >= 0 => tuple.Items[field],
            PyTuple tuple => SequenceMember(tuple.Items, name),
            Namespace ns => name.StartsWith('_') ? Undefined.Unsafe(owner, name) : ns.Attributes.TryGet(name, out var value) ? value : Missing.Value,
            LoopContext loop => name.StartsWith('_') ? Undefined.Unsafe(owner, name) : loop.Attribute(name),
            PyRange range => name switch
            {
                "start" => range.Start,
                "stop" => range.Stop,
                "step" => range.Step,
                _ => SequenceMember(() => [.. Sequences.Items(range)!], name),
            },
            Cycler cycler => cycler.Member(name),
            Callable callable => CallableMember(callable, name),
            _ when PyType.IsNumber(owner) => NumberMember(owner!, name),
            _ => Missing.Value,
        };
    }

    private static Function Method(string name, Func<Arguments, object?> body) => new(name, (_, arguments) => body(arguments), "builtin_function_or_method");

    private static object? DictMember(PyDict dict, string name)
    {
        switch (name)
        {
            case "get":
                return new Function(name, (evaluator, arguments) =>
                {
                    var bound = GetSignature.Bind(arguments);
                    return dict.TryGet(bound[0], out var value, evaluator.Budget) ? value : bound[1];
                }, "builtin_function_or_method");
            case "items" or "keys" or "values":
                var part = name == "items" ? DictPart.Items : name == "keys" ? DictPart.Keys : DictPart.Values;
                return Method(name, arguments =>
                {
                    arguments.RejectAny(name);
                    return new DictView(dict, part);
                });
            case "copy":
                return Method(name, _ => dict.Copy());
            case "fromkeys":
                return new Function(name, (evaluator, arguments) =>
                {
                    var bound = new Signature("fromkeys", "iterable, value=none").Bind(arguments);
                    var made = new PyDict();
                    foreach (var key in evaluator.Iterate(bound[0]))
                    {
                        made.Set(key, bound[1], evaluator.Budget);
                    }

                    return made;
                }, "builtin_function_or_method");
            default:
                return DictMutators.Contains(name) ? Undefined.Unsafe(dict, name) : Missing.Value;
        }
    }

    private static object? SequenceMember(IReadOnlyList<object?> items, string name) => SequenceMember(() => items, name);

    private static object? SequenceMember(Func<IReadOnlyList<object?>> items, string name) => name switch
    {
        "count" => new Function(name, (evaluator, arguments) =>
        {
            var wanted = new Signature(name, "value").Bind(arguments)[0];
            return (long)items().Count(item => Comparing.AreEqual(item, wanted, evaluator.Budget));
        }, "builtin_function_or_method"),
        "index" => new Function(name, (evaluator, arguments) =>
        {
            var bound = new Signature(name, "value, start=0, stop=none").Bind(arguments);
            var all = items();
            var start = Clamp(bound[1], all.Count);
            var stop = bound[2] is null ? all.Count : Clamp(bound[2], all.Count);
            for (var i = start; i < stop; i++)
            {
                if (Comparing.AreEqual(all[i], bound[0], evaluator.Budget))
                {
                    return (long)i;
                }
            }

            throw Errors.Value($"{Text.Repr(bound[0], evaluator.Budget)} is not in list");
        }, "builtin_function_or_method"),
        _ => Missing.Value,
    };

    private static int Clamp(object? position, int length)
    {
        var index = PyType.IntegerOf(position) ?? throw Errors.Type("slice indices must be integers or have an __index__ method");
        return (int)BigInteger.Min(length, BigInteger.Max(0, index.Sign < 0 ? index + length : index));
    }

    private static object? CallableMember(Callable callable, string name)
    {
        if (callable is not Macro macro)
        {
            return Missing.Value;
        }

        return name switch
        {
            "name" => macro.Node.Name,
            "arguments" => new PyTuple([.. macro.Node.Parameters.Select(parameter => parameter.Id)]),
            "catch_kwargs" => macro.Node.TakesKeywords,
            "catch_varargs" => macro.Node.TakesPositional,
            "caller" => macro.Node.TakesCaller,
            _ => Missing.Value,
        };
    }

    private static object? NumberMember(object number, string name) => name switch
    {
        "real" => number is double ? number : Integers.Normalize(PyType.IntegerOf(number)!.Value),
        "imag" => number is double ? 0.0 : (object)0L,
        "numerator" when number is not double => Integers.Normalize(PyType.IntegerOf(number)!.Value),
        "denominator" when number is not double => 1L,
        "bit_length" when number is not double => Method(name, _ => (long)BigInteger.Abs(PyType.IntegerOf(number)!.Value).GetBitLength()),
        "is_integer" => Method(name, _ => number is not double value || (double.IsFinite(value) && Math.Floor(value) == value)),
        "conjugate" => Method(name, _ => number),
        _ => Missing.Value,
    };
}
