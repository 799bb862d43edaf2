using System.Numerics;
using System.Runtime.CompilerServices;
using System.Text;

namespace Hone.Formats.ChatTemplates.Jinja;

/// <summary>Length, iteration, indexing and slicing. Texts count in code points.</summary>
internal static class Sequences
{
    /// <summary><c>len(value)</c>, or null where the value has none.</summary>
    public static long? Length(object? value) => value switch
    {
        string text => Text.Length(text),
        Markup markup => Text.Length(markup.Text),
        PyList list => list.Items.Count,
        PyTuple tuple => tuple.Items.Length,
        PyDict dict => dict.Count,
        DictView view => view.Dict.Count,
        PyRange range => range.Length,
        Undefined => 0,
        LoopContext loop => loop.Length,
        _ => null,
    };

    /// <summary>The items of an iterable, or null where the value is none.</summary>
    public static IEnumerable<object?>? Items(object? value) => value switch
    {
        PyList list => list.Items,
        PyTuple tuple => tuple.Items,
        string text => CodePoints(text),
        Markup markup => CodePoints(markup.Text),
        PyDict dict => dict.Keys,
        DictView view => view.Items,
        PyRange range => Numbers(range),
        PyIterator iterator => Rest(iterator.Items),
        Undefined => [],
        _ => null,
    };

    private static IEnumerable<object?> CodePoints(string text)
    {
        for (var i = 0; i < text.Length;)
        {
            var length = Text.UnitsAt(text, i);
            yield return text.Substring(i, length);
            i += length;
        }
    }

    private static IEnumerable<object?> Numbers(PyRange range)
    {
        for (var i = 0L; i < range.Length; i++)
        {
            yield return range[i];
        }
    }

    private static IEnumerable<object?> Rest(IEnumerator<object?> items)
    {
        // Lazy filters upon lazy filters nest as deeply as a template stacks them.
        while (RuntimeHelpers.TryEnsureSufficientExecutionStack() ? items.MoveNext() : throw Errors.Recursion())
        {
            yield return items.Current;
        }
    }

    /// <summary><c>owner[key]</c>, or <see cref="Missing"/> where Python raises TypeError or LookupError.</summary>
    public static object? Item(object? owner, object? key, Budget budget)
    {
        if (owner is PyDict dict)
        {
            return key is PyList or PyDict ? Missing.Value : dict.TryGet(key, out var value, budget) ? value : Missing.Value;
        }

        if (owner is Undefined undefined)
        {
            throw undefined.Fail();
        }

        if (key is SliceValue slice)
        {
            return IsSliceable(owner) ? Slice(owner, slice, budget) : Missing.Value;
        }

        if (PyType.IntegerOf(key) is not { } position || position < long.MinValue || position > long.MaxValue)
        {
            return Missing.Value;
        }

        var index = (long)position;
        return owner switch
        {
            PyList list => At(list.Items, index),
            PyTuple tuple => At(tuple.Items, index),
            string text => CodePointAt(text, index, budget) ?? (object)Missing.Value,
            Markup markup => CodePointAt(markup.Text, index, budget) is { } text ? new Markup(text) : Missing.Value,
            PyRange range => index + (index < 0 ? range.Length : 0) is var i && i >= 0 && i < range.Length ? range[i] : Missing.Value,
            _ => Missing.Value,
        };
    }

    private static object? At(IReadOnlyList<object?> items, long index)
    {
        index += index < 0 ? items.Count : 0;
        return index >= 0 && index < items.Count ? items[(int)index] : Missing.Value;
    }

    private static string? CodePointAt(string text, long index, Budget budget)
    {
        budget.SpendText(text.Length);
        var length = Text.Length(text);
        index += index < 0 ? length : 0;
        if (index < 0 || index >= length)
        {
            return null;
        }

        var unit = length == text.Length ? (int)index : Text.UnitIndex(text, (int)index);
        return text.Substring(unit, Text.UnitsAt(text, unit));
    }

    private static bool IsSliceable(object? owner) => owner is string or Markup or PyList or PyTuple or PyRange;

    public static object? Slice(object? owner, SliceValue slice, Budget budget)
    {
        if (owner is Undefined undefined)
        {
            throw undefined.Fail();
        }

        if (!IsSliceable(owner))
        {
            throw Errors.Type(owner is PyDict ? "unhashable type: 'slice'" : $"'{PyType.Name(owner)}' object is not subscriptable");
        }

        var length = Length(owner)!.Value;
        var step = Bound(slice.Step) ?? 1;
        if (step == 0)
        {
            throw Errors.Value("slice step cannot be zero");
        }

        var (low, high) = step > 0 ? (0L, length) : (-1L, length - 1);
        long Clamp(long? bound, long otherwise) =>
            bound is not { } value ? otherwise : Math.Clamp(value < 0 ? value + length : value, low, high);

        var start = Clamp(Bound(slice.Start), step > 0 ? low : high);
        var stop = Clamp(Bound(slice.Stop), step > 0 ? high : low);
        var count = step > 0 ? Math.Max(0, (stop - start + step - 1) / step) : Math.Max(0, (start - stop - step - 1) / -step);
        budget.SpendText(PyType.TextOf(owner)?.Length ?? 0);
        budget.Spend(count);
        return owner switch
        {
            PyList list => new PyList([.. Picked(list.Items, start, step, count)]),
            PyTuple tuple => new PyTuple([.. Picked(tuple.Items, start, step, count)]),
            PyRange range => new PyRange(range.Start + (start * range.Step), range.Start + (stop * range.Step), range.Step * step),
            Markup markup => new Markup(SliceText(markup.Text, start, step, count)),
            _ => SliceText((string)owner!, start, step, count),
        };
    }

    /// <summary>A bound as an integer; those beyond any length are cut, so that sums cannot overflow.</summary>
    private static long? Bound(object? value) => value is null ? null
        : PyType.IntegerOf(value) is { } bound ? (long)BigInteger.Max(BigInteger.Min(bound, int.MaxValue), int.MinValue)
        : value is Undefined undefined ? throw undefined.Fail()
        : throw Errors.Type("slice indices must be integers or None or have an __index__ method");

    private static IEnumerable<object?> Picked(IReadOnlyList<object?> items, long start, long step, long count)
    {
        for (var i = 0L; i < count; i++)
        {
            yield return items[(int)(start + (i * step))];
        }
    }

    private static string SliceText(string text, long start, long step, long count)
    {
        if (count == 0)
        {
            return "";
        }

        if (step == 1)
        {
            var from = Text.UnitIndex(text, (int)start);
            return text[from..Text.UnitIndex(text, (int)count, from)];
        }

        var runes = CodePoints(text).ToList();
        var result = new StringBuilder();
        foreach (var item in Picked(runes, start, step, count))
        {
            result.Append((string)item!);
        }

        return result.ToString();
    }
}
