using System.Numerics;

namespace Hone.Formats.ChatTemplates.Jinja;

internal static partial class Filters
{
    private static void AddNumbers(Adder add)
    {
        add("abs", "x", (_, a) => a[0] switch
        {
            double number => Math.Abs(number),
            _ when PyType.IntegerOf(a[0]) is { } number => Integers.Normalize(BigInteger.Abs(number)),
            Undefined => throw Errors.Type("bad operand type for abs(): 'Undefined'"),
            _ => throw Errors.Type($"bad operand type for abs(): '{PyType.Name(a[0])}'"),
        });
        add("int", "value, default=0, base=10", (e, a) => ToInteger(Paid(a[0], e.Budget), Integer(a[2], "int")) is { } number ? Integers.Normalize(number) : a[1]);
        add("float", "value, default=none", (e, a) => ToFloat(Paid(a[0], e.Budget)) ?? a[1] ?? 0.0);
        add("round", "value, precision=0, method='common'", Round);
        add("sum", "iterable, attribute=none, start=0", (e, a) =>
        {
            var items = e.Iterate(a[0]);
            if (a[1] is not null)
            {
                items = items.Select(Getter(a[1], ignoresCase: false, null, e));
            }

            return PyType.TextOf(a[2]) is not null
                ? throw Errors.Type("sum() can't sum strings [use ''.join(seq) instead]")
                : items.Aggregate(a[2], (sum, item) => Arithmetic.Apply(TokenKind.Add, sum, item, e));
        });
    }

    private static object? Paid(object? value, Budget budget)
    {
        budget.SpendText(PyType.TextOf(value)?.Length ?? 0);
        return value;
    }

    private static BigInteger? ToInteger(object? value, int radix)
    {
        if (value is Undefined undefined)
        {
            throw undefined.Fail();
        }

        if (PyType.TextOf(value) is { } text)
        {
            if (radix is < 0 or 1 or > 36)
            {
                return Truncated(Floats.Parse(text));
            }

            return Integers.ParseText(text, radix) ?? Truncated(Floats.Parse(text));
        }

        return value is double number ? Truncated(number) : PyType.IntegerOf(value);
    }

    private static BigInteger? Truncated(double? number) => number is { } value && double.IsFinite(value) ? new BigInteger(Math.Truncate(value)) : null;

    private static double? ToFloat(object? value) => value switch
    {
        Undefined undefined => throw undefined.Fail(),
        double number => number,
        _ when PyType.TextOf(value) is { } text => Floats.Parse(text),
        _ when PyType.IntegerOf(value) is not null => Arithmetic.ToDouble(value),
        _ => null,
    };

    private static object Round(Evaluator evaluator, object?[] a)
    {
        var precision = Integer(a[1], "round");
        var method = PyType.TextOf(a[2]);
        if (method is not ("common" or "ceil" or "floor"))
        {
            throw Errors.FilterArgument("method must be common, ceil or floor");
        }

        if (a[0] is Undefined undefined && method != "common")
        {
            throw undefined.Fail();
        }

        if (!PyType.IsNumber(a[0]))
        {
            throw Errors.Type($"type {PyType.Name(a[0])} doesn't define __round__ method");
        }

        if (method == "common")
        {
            return a[0] is double number ? Floats.Round(number, precision) : RoundInteger(PyType.IntegerOf(a[0])!.Value, precision);
        }

        var power = Arithmetic.Apply(TokenKind.Pow, 10L, (long)precision, evaluator);
        var scaled = Arithmetic.Apply(TokenKind.Mul, a[0], power, evaluator);
        object whole = scaled switch
        {
            double value when !double.IsFinite(value) => throw Errors.Overflow("cannot convert float infinity or NaN to integer"),
            double value => Integers.Normalize(new BigInteger(method == "ceil" ? Math.Ceiling(value) : Math.Floor(value))),
            _ => scaled!,
        };
        return Arithmetic.Apply(TokenKind.Div, whole, power, evaluator)!;
    }

    /// <summary>Integers round to tens, hundreds … with a negative precision, ties to even.</summary>
    private static object RoundInteger(BigInteger value, int precision)
    {
        if (precision >= 0 || value.IsZero)
        {
            return Integers.Normalize(value);
        }

        if (precision < -Integers.MaxDigits)
        {
            return 0L;
        }

        var unit = BigInteger.Pow(10, -precision);
        var quotient = BigInteger.DivRem(BigInteger.Abs(value), unit, out var rest);
        var order = (rest * 2).CompareTo(unit);
        quotient += order > 0 || (order == 0 && !quotient.IsEven) ? 1 : 0;
        return Integers.Normalize(quotient * unit * value.Sign);
    }
}
