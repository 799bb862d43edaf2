using System.Numerics;

namespace Hone.Formats.ChatTemplates.Jinja;

/// <summary>Equality, order, membership and sorting.</summary>
internal static class Comparing
{
    public static bool AreEqual(object? left, object? right, Budget budget)
    {
        budget.Spend(1);
        if (ReferenceEquals(left, right))
        {
            return left is not double number || !double.IsNaN(number);
        }

        switch (left, right)
        {
            case (null, _) or (_, null):
                return false;
            case (string a, string b):
                budget.SpendText(a.Length == b.Length ? a.Length : 0);
                return a == b;
            case (long a, long b):
                return a == b;
            case (Undefined, _) or (_, Undefined):
                return left is Undefined && right is Undefined;
            case (PyList a, PyList b):
                return AllEqual(a.Items, b.Items, budget);
            case (PyTuple a, PyTuple b):
                return AllEqual(a.Items, b.Items, budget);
            case (PyDict a, PyDict b):
                return AreEqual(a, b, budget);
            case (PyRange a, PyRange b):
                return a.Length == b.Length && (a.Length == 0 || (a.Start == b.Start && (a.Length == 1 || a.Step == b.Step)));
            case (DictView { Part: not DictPart.Values } a, DictView { Part: not DictPart.Values } b):
                return a.Dict.Count == b.Dict.Count && a.Items.All(item => b.Items.Any(other => AreEqual(item, other, budget)));
            default:
                return PyType.TextOf(left) is { } text ? text == PyType.TextOf(right)
                    : PyType.IsNumber(left) && PyType.IsNumber(right) && CompareNumbers(left, right) == 0;
        }
    }

    private static bool AllEqual(IReadOnlyList<object?> left, IReadOnlyList<object?> right, Budget budget)
    {
        if (left.Count != right.Count)
        {
            return false;
        }

        budget.Enter();
        var areEqual = true;
        for (var i = 0; i < left.Count && areEqual; i++)
        {
            areEqual = AreEqual(left[i], right[i], budget);
        }

        budget.Leave();
        return areEqual;
    }

    private static bool AreEqual(PyDict left, PyDict right, Budget budget)
    {
        if (left.Count != right.Count)
        {
            return false;
        }

        budget.Enter();
        var areEqual = left.Entries.All(entry => right.TryGet(entry.Key, out var other) && AreEqual(entry.Value, other, budget));
        budget.Leave();
        return areEqual;
    }

    /// <summary>Less than 0, 0, more than 0; null where one is not a number (NaN).</summary>
    private static int? CompareNumbers(object? left, object? right)
    {
        if (left is not double && right is not double)
        {
            return PyType.IntegerOf(left)!.Value.CompareTo(PyType.IntegerOf(right)!.Value);
        }

        if (left is double a && right is double b)
        {
            return double.IsNaN(a) || double.IsNaN(b) ? null : a.CompareTo(b);
        }

        if (left is not double number)
        {
            return -CompareNumbers(right, left);
        }

        if (double.IsNaN(number))
        {
            return null;
        }

        if (double.IsInfinity(number))
        {
            return number > 0 ? 1 : -1;
        }

        var whole = new BigInteger(Math.Floor(number));
        var order = whole.CompareTo(PyType.IntegerOf(right)!.Value);
        return order == 0 && number > Math.Floor(number) ? 1 : order;
    }

    /// <summary><c>left OP right</c> for the four orders.</summary>
    public static bool IsOrdered(Comparison comparison, object? left, object? right, Budget budget)
    {
        budget.Spend(2);
        if (left is Undefined absent)
        {
            throw absent.Fail();
        }

        if (right is Undefined undefined)
        {
            throw undefined.Fail();
        }

        if (PyType.IsNumber(left) && PyType.IsNumber(right))
        {
            return CompareNumbers(left, right) is { } order && Holds(comparison, order);
        }

        if (PyType.TextOf(left) is { } a && PyType.TextOf(right) is { } b)
        {
            budget.SpendText(Math.Min(a.Length, b.Length));
            return Holds(comparison, Text.Compare(a, b));
        }

        if ((left, right) is (PyList or PyTuple, PyList or PyTuple) && left.GetType() == right.GetType())
        {
            return AreOrdered(comparison, ItemsOf(left), ItemsOf(right), budget);
        }

        throw Errors.Type($"'{Symbol(comparison)}' not supported between instances of '{PyType.Name(left)}' and '{PyType.Name(right)}'");
    }

    private static IReadOnlyList<object?> ItemsOf(object sequence) => sequence is PyList list ? list.Items : ((PyTuple)sequence).Items;

    private static bool AreOrdered(Comparison comparison, IReadOnlyList<object?> left, IReadOnlyList<object?> right, Budget budget)
    {
        budget.Enter();
        var shared = Math.Min(left.Count, right.Count);
        for (var i = 0; i < shared; i++)
        {
            if (!AreEqual(left[i], right[i], budget))
            {
                var isOrdered = IsOrdered(comparison, left[i], right[i], budget);
                budget.Leave();
                return isOrdered;
            }
        }

        budget.Leave();
        return Holds(comparison, left.Count.CompareTo(right.Count));
    }

    private static bool Holds(Comparison comparison, int order) => comparison switch
    {
        Comparison.Less => order < 0,
        Comparison.LessOrEqual => order <= 0,
        Comparison.Greater => order > 0,
        _ => order >= 0,
    };

    private static string Symbol(Comparison comparison) => comparison switch
    {
        Comparison.Less => "<",
        Comparison.LessOrEqual => "<=",
        Comparison.Greater => ">",
        _ => ">=",
    };

    public static bool Contains(object? container, object? item, Evaluator evaluator)
    {
        var budget = evaluator.Budget;
        if (PyType.TextOf(container) is { } text)
        {
            var part = PyType.TextOf(item) ?? throw Errors.Type($"'in <string>' requires string as left operand, not {PyType.Name(item)}");
            budget.SpendText(text.Length);
            return text.Contains(part, StringComparison.Ordinal);
        }

        switch (container)
        {
            case PyDict dict:
                return dict.Contains(item, budget);
            case DictView { Part: DictPart.Keys } view:
                return view.Dict.Contains(item, budget);
            case PyRange range when PyType.IntegerOf(item) is { } number:
                return range.Length > 0 && (number - range.Start) % range.Step == 0
                    && (number - range.Start) / range.Step is var index && index >= 0 && index < range.Length;
            default:
                var items = Sequences.Items(container) ?? throw Errors.Type($"argument of type '{PyType.Name(container)}' is not iterable");
                return items.Any(other => AreEqual(other, item, budget));
        }
    }

    /// <summary>Python's stable <c>sorted</c>: asks only for "less than".</summary>
    public static List<object?> Sorted(IReadOnlyList<object?> items, Func<object?, object?> key, bool isReversed, Budget budget)
    {
        var source = items.Select(item => (Key: key(item), Item: item)).ToArray();
        var target = new (object? Key, object? Item)[source.Length];
        bool IsLess(object? left, object? right) => IsOrdered(Comparison.Less, left, right, budget);
        for (var width = 1; width < source.Length; width *= 2)
        {
            for (var start = 0; start < source.Length; start += 2 * width)
            {
                var (middle, end) = (Math.Min(start + width, source.Length), Math.Min(start + (2 * width), source.Length));
                var (left, right) = (start, middle);
                for (var i = start; i < end; i++)
                {
                    var takesRight = right < end && (left >= middle
                        || (isReversed ? IsLess(source[left].Key, source[right].Key) : IsLess(source[right].Key, source[left].Key)));
                    target[i] = takesRight ? source[right++] : source[left++];
                }
            }

            (source, target) = (target, source);
        }

        return [.. source.Select(pair => pair.Item)];
    }
}
