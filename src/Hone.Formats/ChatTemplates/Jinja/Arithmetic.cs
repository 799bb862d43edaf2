using System.Numerics;

namespace Hone.Formats.ChatTemplates.Jinja;

/// <summary>Operators on numbers, texts and lists. Integers have any size up to a limit.</summary>
internal static class Arithmetic
{
    public static object? Sign(bool isMinus, object? operand) => operand switch
    {
        Undefined undefined => throw undefined.Fail(),
        double number => isMinus ? -number : number,
        _ when PyType.IntegerOf(operand) is { } number => Integers.Normalize(isMinus ? -number : number),
        _ => throw Errors.Type($"bad operand type for unary {(isMinus ? '-' : '+')}: '{PyType.Name(operand)}'"),
    };

    public static object? Apply(TokenKind op, object? left, object? right, Evaluator evaluator)
    {
        if ((left as Undefined ?? right as Undefined) is { } undefined && !(op == TokenKind.Mod && PyType.TextOf(left) is not null))
        {
            throw undefined.Fail();
        }

        if (left is long a && right is long b && ApplyLong(op, a, b) is { } result)
        {
            return result;
        }

        if (PyType.IsNumber(left) && PyType.IsNumber(right))
        {
            return left is double || right is double
                ? (object)ApplyFloat(op, left, right)
                : ApplyInteger(op, PyType.IntegerOf(left)!.Value, PyType.IntegerOf(right)!.Value, evaluator.Budget);
        }

        return op switch
        {
            TokenKind.Add => Add(left, right, evaluator),
            TokenKind.Mul => Multiply(left, right, evaluator.Budget),
            TokenKind.Mod when PyType.TextOf(left) is not null => PercentFormat.Apply(left, right, evaluator),
            _ => throw Unsupported(op, left, right),
        };
    }

    private static ChatTemplateException Unsupported(TokenKind op, object? left, object? right)
    {
        var symbol = op switch
        {
            TokenKind.Add => "+",
            TokenKind.Sub => "-",
            TokenKind.Mul => "*",
            TokenKind.Div => "/",
            TokenKind.FloorDiv => "//",
            TokenKind.Mod => "%",
            _ => "** or pow()",
        };
        return Errors.Type($"unsupported operand type(s) for {symbol}: '{PyType.Name(left)}' and '{PyType.Name(right)}'");
    }

    private static long? ApplyLong(TokenKind op, long left, long right)
    {
        long result;
        switch (op)
        {
            case TokenKind.Add:
                return ((left ^ (result = left + right)) & (right ^ result)) < 0 ? null : result;
            case TokenKind.Sub:
                return ((left ^ right) & (left ^ (result = left - right))) < 0 ? null : result;
            case TokenKind.Mul:
                return Math.BigMul(left, right, out result) is var high && high == result >> 63 ? result : null;
            case TokenKind.Mod when right > 0:
                result = left % right;
                return result < 0 ? result + right : result;
            default:
                return null;
        }
    }

    private static object ApplyInteger(TokenKind op, BigInteger left, BigInteger right, Budget budget)
    {
        var words = (left.GetBitLength() + right.GetBitLength()) / 32;
        budget.Spend(words * words / 1000);
        if (right.IsZero && (op is TokenKind.Div or TokenKind.FloorDiv or TokenKind.Mod))
        {
            throw Errors.ZeroDivision(op == TokenKind.Div ? "division by zero" : "integer division or modulo by zero");
        }

        switch (op)
        {
            case TokenKind.Add:
                return Integers.Normalize(Checked(left + right));
            case TokenKind.Sub:
                return Integers.Normalize(Checked(left - right));
            case TokenKind.Mul:
                return Integers.Normalize(Checked(left * right));
            case TokenKind.Div:
                return Divide(left, right);
            case TokenKind.FloorDiv:
                return Integers.Normalize(FloorDivide(left, right).Quotient);
            case TokenKind.Mod:
                return Integers.Normalize(FloorDivide(left, right).Modulus);
            default:
                return Power(left, right);
        }
    }

    private static BigInteger Checked(BigInteger value) => value.GetBitLength() > Integers.MaxBits
        ? throw Errors.Overflow($"The template computes an integer of more than {Integers.MaxBits} bits.")
        : value;

    /// <summary>The float nearest to the exact quotient.</summary>
    private static double Divide(BigInteger left, BigInteger right)
    {
        const int Exact = 53;
        if (left.GetBitLength() <= Exact && right.GetBitLength() <= Exact)
        {
            return (double)left / (double)right;
        }

        // Enough bits that the cut-off rest, marked in the last one, cannot decide the rounding wrongly.
        var shift = (int)(right.GetBitLength() - left.GetBitLength()) + 70;
        var (top, bottom) = (BigInteger.Abs(left) << Math.Max(shift, 0), BigInteger.Abs(right) << Math.Max(-shift, 0));
        var quotient = BigInteger.DivRem(top, bottom, out var rest);
        quotient = rest.IsZero ? quotient : quotient | BigInteger.One;
        var value = Math.ScaleB(ToDouble(quotient), -shift);
        return double.IsInfinity(value) ? throw Errors.Overflow("integer division result too large for a float") : left.Sign * right.Sign < 0 ? -value : value;
    }

    private static (BigInteger Quotient, BigInteger Modulus) FloorDivide(BigInteger left, BigInteger right)
    {
        var quotient = BigInteger.DivRem(left, right, out var rest);
        return !rest.IsZero && rest.Sign != right.Sign ? (quotient - 1, rest + right) : (quotient, rest);
    }

    private static object Power(BigInteger left, BigInteger right)
    {
        if (right.Sign < 0)
        {
            return left.IsZero
                ? throw Errors.ZeroDivision("0.0 cannot be raised to a negative power")
                : Math.Pow(ToDouble(left), ToDouble(right));
        }

        if (left.IsZero || left.IsOne || left == BigInteger.MinusOne)
        {
            return (long)(right.IsZero ? 1 : left == BigInteger.MinusOne && right.IsEven ? 1 : (int)left);
        }

        return right > Integers.MaxBits || (left.GetBitLength() - 1) * (long)right > Integers.MaxBits
            ? throw Errors.Overflow($"The template computes an integer of more than {Integers.MaxBits} bits.")
            : Integers.Normalize(BigInteger.Pow(left, (int)right));
    }

    /// <summary>The nearest float, ties to even; the framework's conversion cuts off instead.</summary>
    private static double ToDouble(BigInteger value)
    {
        var shift = (int)Math.Min(int.MaxValue, BigInteger.Abs(value).GetBitLength()) - 64;
        var number = shift <= 0 ? (double)value : Math.ScaleB(value.Sign * Rounded(BigInteger.Abs(value), shift), shift);
        return double.IsInfinity(number) ? throw Errors.Overflow("int too large to convert to float") : number;
    }

    /// <summary>The upper 64 bits; what lies below only decides ties.</summary>
    private static double Rounded(BigInteger value, int shift)
    {
        var upper = (ulong)(value >> shift);
        return upper | (value.IsZero || (value & ((BigInteger.One << shift) - 1)).IsZero ? 0UL : 1UL);
    }

    public static double ToDouble(object? value) => value is double number ? number : ToDouble(PyType.IntegerOf(value)!.Value);

    private static double ApplyFloat(TokenKind op, object? leftValue, object? rightValue)
    {
        var (left, right) = (ToDouble(leftValue), ToDouble(rightValue));
        switch (op)
        {
            case TokenKind.Add:
                return left + right;
            case TokenKind.Sub:
                return left - right;
            case TokenKind.Mul:
                return left * right;
            case TokenKind.Div when right == 0:
                throw Errors.ZeroDivision("float division by zero");
            case TokenKind.Div:
                return left / right;
            case TokenKind.FloorDiv or TokenKind.Mod when right == 0:
                throw Errors.ZeroDivision(op == TokenKind.Mod ? "float modulo" : "float floor division by zero");
            case TokenKind.Mod:
                return FloorModulo(left, right);
            case TokenKind.FloorDiv:
                return FloorDivide(left, right);
            default:
                return Power(left, right);
        }
    }

    private static double FloorModulo(double left, double right)
    {
        var rest = left % right;
        return rest == 0 ? Math.CopySign(0, right) : (rest < 0) != (right < 0) ? rest + right : rest;
    }

    private static double FloorDivide(double left, double right)
    {
        var rest = left % right;
        var quotient = (left - rest) / right;
        if (rest != 0 && (rest < 0) != (right < 0))
        {
            quotient -= 1;
        }

        if (quotient == 0)
        {
            return Math.CopySign(0, left / right);
        }

        var floor = Math.Floor(quotient);
        return quotient - floor > 0.5 ? floor + 1 : floor;
    }

    private static double Power(double left, double right)
    {
        if (left == 0 && right < 0)
        {
            throw Errors.ZeroDivision("0.0 cannot be raised to a negative power");
        }

        var power = Math.Pow(left, right);
        if (double.IsNaN(power) && !double.IsNaN(left) && !double.IsNaN(right))
        {
            throw Errors.Value("A negative number raised to a fraction is complex: chat templates have no complex numbers.");
        }

        return double.IsInfinity(power) && double.IsFinite(left) && double.IsFinite(right)
            ? throw Errors.Overflow("(34, 'Numerical result out of range')")
            : power;
    }

    private static object? Add(object? left, object? right, Evaluator evaluator)
    {
        switch (left, right)
        {
            case (string a, string b):
                evaluator.Budget.SpendText((long)a.Length + b.Length);
                return a + b;
            case (Markup or string, Markup or string):
                return new Markup(Html.Escape(left, evaluator).Text + Html.Escape(right, evaluator).Text);
            case (PyList a, PyList b):
                evaluator.Budget.Spend(a.Items.Count + b.Items.Count);
                return new PyList([.. a.Items, .. b.Items]);
            case (PyTuple a, PyTuple b):
                evaluator.Budget.Spend(a.Items.Length + b.Items.Length);
                return new PyTuple([.. a.Items, .. b.Items]);
            case (string or Markup, _):
                throw Errors.Type($"can only concatenate str (not \"{PyType.Name(right)}\") to str");
            case (PyList or PyTuple, _):
                var type = PyType.Name(left);
                throw Errors.Type($"can only concatenate {type} (not \"{PyType.Name(right)}\") to {type}");
            default:
                throw Unsupported(TokenKind.Add, left, right);
        }
    }

    private static object? Multiply(object? left, object? right, Budget budget)
    {
        var (sequence, times) = PyType.IntegerOf(right) is { } count ? (left, count) : (right, PyType.IntegerOf(left) ?? BigInteger.MinusOne);
        if (!PyType.IsNumber(left) && !PyType.IsNumber(right) || left is double || right is double)
        {
            throw left is string or PyList or PyTuple or Markup
                ? Errors.Type($"can't multiply sequence by non-int of type '{PyType.Name(right)}'")
                : Unsupported(TokenKind.Mul, left, right);
        }

        var number = (long)BigInteger.Max(0, BigInteger.Min(times, int.MaxValue));
        return sequence switch
        {
            string text => Text.Repeat(text, number, budget),
            Markup markup => new Markup(Text.Repeat(markup.Text, number, budget)),
            PyList list => new PyList([.. Repeat(list.Items, number, budget)]),
            PyTuple tuple => new PyTuple([.. Repeat(tuple.Items, number, budget)]),
            _ => throw Unsupported(TokenKind.Mul, left, right),
        };
    }

    private static IEnumerable<object?> Repeat(IReadOnlyList<object?> items, long count, Budget budget)
    {
        budget.Spend(items.Count * count);
        for (var i = 0L; i < count && items.Count > 0; i++)
        {
            foreach (var item in items)
            {
                yield return item;
            }
        }
    }
}
