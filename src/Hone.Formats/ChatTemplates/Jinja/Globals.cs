using System.Numerics;

namespace Hone.Formats.ChatTemplates.Jinja;

/// <summary>What every template can call.</summary>
internal static class Globals
{
    public static readonly IReadOnlyDictionary<string, object?> All = new Dictionary<string, object?>(StringComparer.Ordinal)
    {
        ["range"] = new Function("range", (_, arguments) => Range(arguments)),
        ["dict"] = new Function("dict", Dict, "type"),
        ["namespace"] = new Function("namespace", (evaluator, arguments) => new Namespace(Dict(evaluator, arguments)), "type"),
        ["cycler"] = new Function("cycler", (_, arguments) => new Cycler(arguments), "type"),
        ["joiner"] = new Function("joiner", (_, arguments) => Joiner(arguments), "type"),
        ["raise_exception"] = new Function("raise_exception", RaiseException),
        ["strftime_now"] = new Function("strftime_now", (evaluator, arguments) =>
        {
            var format = PyType.TextOf(new Signature("strftime_now", "format").Bind(arguments)[0]) ?? throw Errors.Type("strftime_now: the format must be a str");
            return DateFormat.Apply(evaluator.Clock.GetLocalNow().DateTime, format, evaluator.Budget);
        }),
        ["lipsum"] = new Function("lipsum", (_, _) => throw Errors.Runtime("The function 'lipsum' is not supported in chat templates.")),
    };

    private static object? RaiseException(Evaluator evaluator, Arguments arguments) =>
        throw new ChatTemplateException("TemplateError", evaluator.Str(new Signature("raise_exception", "message").Bind(arguments)[0]));

    private static PyRange Range(Arguments arguments)
    {
        arguments.RejectKeywords("range");
        var bounds = arguments.Positional.ConvertAll(value => PyType.IntegerOf(value)
            ?? throw (value is Undefined undefined ? undefined.Fail() : Errors.Type($"'{PyType.Name(value)}' object cannot be interpreted as an integer")));
        if (bounds.Count is 0 or > 3)
        {
            throw Errors.Type($"range expected 1 to 3 arguments, got {bounds.Count}");
        }

        var (start, stop) = bounds.Count == 1 ? (BigInteger.Zero, bounds[0]) : (bounds[0], bounds[1]);
        var step = bounds.Count == 3 ? bounds[2] : BigInteger.One;
        if (step.IsZero)
        {
            throw Errors.Value("range() arg 3 must not be zero");
        }

        if (PyRange.LengthOf(start, stop, step) > PyRange.MaxLength)
        {
            throw Errors.Overflow($"Range too big. The sandbox blocks ranges larger than MAX_RANGE ({PyRange.MaxLength}).");
        }

        // Room for sums of bounds and steps.
        var limit = BigInteger.One << 61;
        return BigInteger.Abs(start) < limit && BigInteger.Abs(stop) < limit && BigInteger.Abs(step) < limit
            ? new PyRange((long)start, (long)stop, (long)step)
            : throw Errors.Overflow("range() bounds are too large");
    }

    private static PyDict Dict(Evaluator evaluator, Arguments arguments)
    {
        if (arguments.Positional.Count > 1)
        {
            throw Errors.Type($"dict expected at most 1 argument, got {arguments.Positional.Count}");
        }

        var dict = new PyDict();
        if (arguments.Positional is [PyDict source])
        {
            evaluator.Budget.Spend(source.Count);
            dict = source.Copy();
        }
        else if (arguments.Positional.Count == 1)
        {
            foreach (var item in evaluator.Iterate(arguments.Positional[0]))
            {
                var pair = evaluator.ToList(item);
                if (pair.Count != 2)
                {
                    throw Errors.Value($"dictionary update sequence element #{dict.Count} has length {pair.Count}; 2 is required");
                }

                dict.Set(pair[0], pair[1], evaluator.Budget);
            }
        }

        foreach (var (name, value) in arguments.Keywords)
        {
            dict.Set(name, value);
        }

        return dict;
    }

    private static Function Joiner(Arguments arguments)
    {
        var separator = new Signature("joiner", "sep=none").Bind(arguments)[0] ?? ", ";
        var isUsed = false;
        return new Function("joiner", (_, call) =>
        {
            call.RejectAny("joiner");
            var text = isUsed ? separator : "";
            isUsed = true;
            return text;
        }, "Joiner");
    }
}

/// <summary>Goes through its values round and round.</summary>
internal sealed class Cycler
{
    private readonly List<object?> _values;
    private int _position;

    public Cycler(Arguments arguments)
    {
        arguments.RejectKeywords("cycler");
        _values = arguments.Positional.Count > 0 ? arguments.Positional : throw Errors.Runtime("at least one item has to be provided");
    }

    public object? Member(string name) => name switch
    {
        "current" => _values[_position],
        "items" => new PyTuple([.. _values]),
        "pos" => (long)_position,
        "next" => new Function(name, (_, _) =>
        {
            var value = _values[_position];
            _position = (_position + 1) % _values.Count;
            return value;
        }, "method"),
        "reset" => new Function(name, (_, _) =>
        {
            _position = 0;
            return null;
        }, "method"),
        _ => Missing.Value,
    };
}
