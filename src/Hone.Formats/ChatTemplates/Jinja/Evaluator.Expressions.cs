namespace Hone.Formats.ChatTemplates.Jinja;

internal sealed partial class Evaluator
{
    private object? Evaluate(Node node)
    {
        Budget.Enter();
        Budget.Spend(1);
        _here = node;
        var value = node switch
        {
            Name name => _scope.Find(name.Id) is var found && found is Missing ? Undefined.Variable(name.Id) : found,
            Const constant => constant.Value,
            Attribute attribute => EvaluateAttribute(attribute),
            Item item => EvaluateItem(item),
            Binary binary => EvaluateBinary(binary),
            Compare compare => EvaluateCompare(compare),
            Logical logical => Evaluate(logical.Left) is var left && PyType.IsTrue(left) == logical.IsAnd ? Evaluate(logical.Right) : left,
            Not not => !PyType.IsTrue(Evaluate(not.Operand)),
            FilterNode filter => ApplyFilters(filter, null),
            TestNode test => EvaluateTest(test),
            CallNode call => Call(call, null),
            Concat concat => Join(concat.Parts),
            Conditional conditional => EvaluateConditional(conditional),
            Sign sign => Arithmetic.Sign(sign.IsMinus, Evaluate(sign.Operand)),
            TupleNode tuple => new PyTuple([.. tuple.Items.ConvertAll(Evaluate)]),
            ListNode list => new PyList(list.Items.ConvertAll(Evaluate)),
            DictNode dict => EvaluateDict(dict),
            Slice slice => EvaluateSlice(slice),
            _ => throw new InvalidOperationException($"No such expression: {node.GetType().Name}"),
        };
        _here = node;
        Budget.Leave();
        return value;
    }

    private object? EvaluateAttribute(Attribute attribute)
    {
        var owner = Evaluate(attribute.Owner);
        _here = attribute;
        return Members.Attribute(owner, attribute.Name, Budget);
    }

    private object? EvaluateItem(Item item)
    {
        var owner = Evaluate(item.Owner);
        var key = Evaluate(item.Key);
        _here = item;
        return item.Key is Slice ? Sequences.Slice(owner, (SliceValue)key!, Budget) : Members.Item(owner, key, Budget);
    }

    private SliceValue EvaluateSlice(Slice slice) => new(
        slice.Start is null ? null : Evaluate(slice.Start),
        slice.Stop is null ? null : Evaluate(slice.Stop),
        slice.Step is null ? null : Evaluate(slice.Step));

    private object? EvaluateBinary(Binary binary)
    {
        var left = Evaluate(binary.Left);
        var right = Evaluate(binary.Right);
        _here = binary;
        return Arithmetic.Apply(binary.Operator, left, right, this);
    }

    private bool EvaluateCompare(Compare compare)
    {
        var left = Evaluate(compare.First);
        foreach (var (comparison, operand) in compare.Rest)
        {
            var right = Evaluate(operand);
            _here = compare;
            if (!Holds(comparison, left, right))
            {
                return false;
            }

            left = right;
        }

        return true;
    }

    public bool Holds(Comparison comparison, object? left, object? right) => comparison switch
    {
        Comparison.Equal => Comparing.AreEqual(left, right, Budget),
        Comparison.NotEqual => !Comparing.AreEqual(left, right, Budget),
        Comparison.In => Comparing.Contains(right, left, this),
        Comparison.NotIn => !Comparing.Contains(right, left, this),
        _ => Comparing.IsOrdered(comparison, left, right, Budget),
    };

    private object? EvaluateConditional(Conditional conditional)
    {
        if (PyType.IsTrue(Evaluate(conditional.Test)))
        {
            return Evaluate(conditional.Then);
        }

        return conditional.Otherwise is not null
            ? Evaluate(conditional.Otherwise)
            : new Undefined($"the inline if-expression on line {conditional.Line} evaluated to false and no else section was defined.");
    }

    private PyDict EvaluateDict(DictNode node)
    {
        var dict = new PyDict();
        foreach (var (key, value) in node.Items)
        {
            var keyValue = Evaluate(key);
            dict.Set(keyValue, Evaluate(value), Budget);
        }

        return dict;
    }

    private string Join(List<Node> parts)
    {
        var texts = new string[parts.Count];
        var length = 0L;
        for (var i = 0; i < texts.Length; i++)
        {
            texts[i] = Text.Str(Evaluate(parts[i]), Budget);
            length += texts[i].Length;
        }

        Budget.SpendText(length);
        return string.Concat(texts);
    }

    private bool EvaluateTest(TestNode node)
    {
        if (!Tests.All.TryGetValue(node.Name, out var test))
        {
            throw Errors.Runtime($"No test named '{node.Name}' found.");
        }

        var value = Evaluate(node.Operand);
        var arguments = EvaluateArguments(node.Arguments, value, null);
        _here = node;
        return PyType.IsTrue(test(this, arguments));
    }

    /// <summary>Applies a filter and those its operand names; the innermost one without an operand gets <paramref name="text"/>.</summary>
    private object? ApplyFilters(FilterNode node, object? text)
    {
        if (!Filters.All.TryGetValue(node.Name, out var filter))
        {
            throw Errors.Runtime($"No filter named '{node.Name}' found.");
        }

        var value = node.Operand is null ? text : node.Operand is FilterNode inner ? ApplyInner(inner, text) : Evaluate(node.Operand);
        var arguments = EvaluateArguments(node.Arguments, value, null);
        _here = node;
        return filter(this, arguments);
    }

    private object? ApplyInner(FilterNode node, object? text)
    {
        Budget.Enter();
        var value = ApplyFilters(node, text);
        Budget.Leave();
        return value;
    }
}
