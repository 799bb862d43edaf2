namespace Hone.Formats.ChatTemplates.Jinja;

internal static partial class Filters
{
    private static void AddSequences(Adder add)
    {
        add("length count", "obj", (e, a) => Length(a[0], e.Budget));
        add("list", "value", (e, a) => new PyList(e.ToList(a[0])));
        add("first", "seq", (e, a) => e.Iterate(a[0]).DefaultIfEmpty(new Undefined("No first item, sequence was empty.")).First());
        add("last", "seq", (e, a) => a[0] is PyIterator
            ? throw Errors.Type($"'{PyType.Name(a[0])}' object is not reversible")
            : e.ToList(a[0]) is { Count: > 0 } items ? Like(a[0], items[^1]) : new Undefined("No last item, sequence was empty."));
        add("join", "value, d='', attribute=none", Join);
        add("items", "value", (_, a) => new PyIterator(Pairs(a[0])));
        add("dictsort", "value, case_sensitive=false, by='key', reverse=false", DictSort);
        add("sort", "value, reverse=false, case_sensitive=false, attribute=none", Sort);
        add("unique", "value, case_sensitive=false, attribute=none", (e, a) => new PyIterator(Unique(e, a)));
        add("min", "value, case_sensitive=false, attribute=none", (e, a) => Extreme(e, a, Comparison.Less));
        add("max", "value, case_sensitive=false, attribute=none", (e, a) => Extreme(e, a, Comparison.Greater));
        add("reverse", "value", Reverse);
        add("batch", "value, linecount, fill_with=none", (e, a) => new PyIterator(Batch(e, a)));
        add("slice", "value, slices, fill_with=none", (e, a) => new PyIterator(Slice(e, a)));
        add("groupby", "value, attribute, default=none, case_sensitive=false", GroupBy);
    }

    private static long Length(object? value, Budget budget)
    {
        budget.SpendText(PyType.TextOf(value)?.Length ?? 0);
        return Sequences.Length(value) ?? throw Errors.Type($"object of type '{PyType.Name(value)}' has no len()");
    }

    private static IEnumerable<object?> Pairs(object? value)
    {
        var items = value switch
        {
            Undefined => [],
            PyDict dict => new DictView(dict, DictPart.Items).Items,
            _ => throw Errors.Type("Can only get item pairs from a mapping."),
        };
        foreach (var item in items)
        {
            yield return item;
        }
    }

    private static object Join(Evaluator evaluator, object?[] a)
    {
        var items = evaluator.Iterate(a[0]);
        if (a[2] is not null)
        {
            items = items.Select(Getter(a[2], ignoresCase: false, null, evaluator));
        }

        return StringMethods.Join(evaluator.Str(a[1]), items.Select(evaluator.Str), evaluator.Budget);
    }

    private static PyList DictSort(Evaluator evaluator, object?[] a)
    {
        var index = PyType.TextOf(a[2]) switch
        {
            "key" => 0,
            "value" => 1,
            _ => throw Errors.FilterArgument("You can only sort by either \"key\" or \"value\""),
        };
        var dict = a[0] as PyDict ?? throw Errors.NoMethod(a[0], "items");
        var items = new DictView(dict, DictPart.Items).Items.ToList();
        return new PyList(Comparing.Sorted(
            items, item => Lowered(((PyTuple)item!).Items[index], !PyType.IsTrue(a[1]), evaluator.Budget), PyType.IsTrue(a[3]), evaluator.Budget));
    }

    private static PyList Sort(Evaluator evaluator, object?[] a)
    {
        // A list of attributes may be given, parted by commas.
        var attributes = PyType.TextOf(a[3]) is { } path ? path.Split(',').Cast<object?>() : [a[3]];
        var getters = attributes.Select(attribute => Getter(attribute, !PyType.IsTrue(a[2]), null, evaluator)).ToList();
        return new PyList(Comparing.Sorted(
            evaluator.ToList(a[0]), item => new PyList(getters.ConvertAll(getter => getter(item))), PyType.IsTrue(a[1]), evaluator.Budget));
    }

    private static IEnumerable<object?> Unique(Evaluator evaluator, object?[] a)
    {
        var getter = Getter(a[2], !PyType.IsTrue(a[1]), null, evaluator);
        var seen = new PyDict();
        foreach (var item in evaluator.Iterate(a[0]))
        {
            var key = getter(item);
            if (!seen.Contains(key, evaluator.Budget))
            {
                seen.Set(key, null);
                yield return item;
            }
        }
    }

    private static object? Extreme(Evaluator evaluator, object?[] a, Comparison comparison)
    {
        var getter = Getter(a[2], !PyType.IsTrue(a[1]), null, evaluator);
        object? best = Missing.Value;
        object? bestKey = null;
        foreach (var item in evaluator.Iterate(a[0]))
        {
            var key = getter(item);
            if (best is Missing || Comparing.IsOrdered(comparison, key, bestKey, evaluator.Budget))
            {
                (best, bestKey) = (item, key);
            }
        }

        return best is Missing ? new Undefined("No aggregated item, sequence was empty.") : best;
    }

    private static object Reverse(Evaluator evaluator, object?[] a)
    {
        if (PyType.TextOf(a[0]) is not null)
        {
            return Sequences.Slice(a[0], new SliceValue(null, null, -1L), evaluator.Budget)!;
        }

        if (Sequences.Items(a[0]) is null)
        {
            throw Errors.FilterArgument("argument must be iterable");
        }

        var items = evaluator.ToList(a[0]);
        items.Reverse();
        return a[0] is PyIterator ? new PyList(items) : new PyIterator(items, "reversed");
    }

    private static IEnumerable<object?> Batch(Evaluator evaluator, object?[] a)
    {
        var size = Integer(a[1], "batch");
        var batch = new List<object?>();
        foreach (var item in evaluator.Iterate(a[0]))
        {
            if (batch.Count == size)
            {
                yield return new PyList(batch);
                batch = [];
            }

            batch.Add(item);
        }

        if (batch.Count > 0)
        {
            while (a[2] is not null && batch.Count < size)
            {
                evaluator.Budget.Spend(1);
                batch.Add(a[2]);
            }

            yield return new PyList(batch);
        }
    }

    private static IEnumerable<object?> Slice(Evaluator evaluator, object?[] a)
    {
        var items = evaluator.ToList(a[0]);
        var count = Integer(a[1], "slice");
        if (count == 0)
        {
            throw Errors.ZeroDivision("integer division or modulo by zero");
        }

        var (size, longer) = (items.Count / count, items.Count % count);
        var start = 0;
        for (var i = 0; i < count; i++)
        {
            evaluator.Budget.Spend(8);
            var length = i < longer ? size + 1 : size;
            var part = items.GetRange(start, length);
            start += length;
            if (a[2] is not null && i >= longer)
            {
                part.Add(a[2]);
            }

            yield return new PyList(part);
        }
    }

    private static PyList GroupBy(Evaluator evaluator, object?[] a)
    {
        var ignoresCase = !PyType.IsTrue(a[3]);
        var key = Getter(a[1], ignoresCase, a[2], evaluator);
        var plainKey = Getter(a[1], ignoresCase: false, a[2], evaluator);
        var groups = new List<object?>();
        List<object?>? current = null;
        object? currentKey = null;
        foreach (var item in Comparing.Sorted(evaluator.ToList(a[0]), key, isReversed: false, evaluator.Budget))
        {
            var itemKey = key(item);
            if (current is null || !Comparing.AreEqual(itemKey, currentKey, evaluator.Budget))
            {
                current = [];
                currentKey = itemKey;
                groups.Add(new PyTuple(plainKey(item), new PyList(current)) { Fields = ["grouper", "list"] });
            }

            current.Add(item);
        }

        return new PyList(groups);
    }
}
