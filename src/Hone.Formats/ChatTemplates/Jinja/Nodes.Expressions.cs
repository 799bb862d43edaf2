namespace Hone.Formats.ChatTemplates.Jinja;

internal sealed class Const(object? value, int line) : Node(line)
{
    public object? Value { get; } = value;
}

internal sealed class Name(string id, bool isTarget, int line) : Node(line)
{
    public string Id { get; } = id;

    public bool IsTarget { get; } = isTarget;
}

/// <summary>The target <c>namespace.attribute</c> of a <c>set</c>.</summary>
internal sealed class NamespaceTarget(string id, string attribute, int line) : Node(line)
{
    public string Id { get; } = id;

    public string Attribute { get; } = attribute;
}

internal sealed class TupleNode(List<Node> items, int line) : Node(line)
{
    public List<Node> Items { get; } = items;

    public override IEnumerable<Node> Children => Items;
}

internal sealed class ListNode(List<Node> items, int line) : Node(line)
{
    public List<Node> Items { get; } = items;

    public override IEnumerable<Node> Children => Items;
}

internal sealed class DictNode(List<(Node Key, Node Value)> items, int line) : Node(line)
{
    public List<(Node Key, Node Value)> Items { get; } = items;

    public override IEnumerable<Node> Children => Items.SelectMany(item => new[] { item.Key, item.Value });
}

internal sealed class Conditional(Node test, Node then, Node? otherwise, int line) : Node(line)
{
    public Node Test { get; } = test;

    public Node Then { get; } = then;

    public Node? Otherwise { get; } = otherwise;

    public override IEnumerable<Node> Children => Otherwise is null ? [Test, Then] : [Test, Then, Otherwise];
}

internal sealed class Binary(TokenKind op, Node left, Node right, int line) : Node(line)
{
    public TokenKind Operator { get; } = op;

    public Node Left { get; } = left;

    public Node Right { get; } = right;

    public override IEnumerable<Node> Children => [Left, Right];
}

internal sealed class Logical(bool isAnd, Node left, Node right, int line) : Node(line)
{
    public bool IsAnd { get; } = isAnd;

    public Node Left { get; } = left;

    public Node Right { get; } = right;

    public override IEnumerable<Node> Children => [Left, Right];
}

internal sealed class Not(Node operand, int line) : Node(line)
{
    public Node Operand { get; } = operand;

    public override IEnumerable<Node> Children => [Operand];
}

internal sealed class Sign(bool isMinus, Node operand, int line) : Node(line)
{
    public bool IsMinus { get; } = isMinus;

    public Node Operand { get; } = operand;

    public override IEnumerable<Node> Children => [Operand];
}

internal sealed class Concat(List<Node> parts, int line) : Node(line)
{
    public List<Node> Parts { get; } = parts;

    public override IEnumerable<Node> Children => Parts;
}

internal enum Comparison
{
    Equal, NotEqual, Greater, GreaterOrEqual, Less, LessOrEqual, In, NotIn,
}

internal sealed class Compare(Node first, List<(Comparison Operator, Node Operand)> rest, int line) : Node(line)
{
    public Node First { get; } = first;

    public List<(Comparison Operator, Node Operand)> Rest { get; } = rest;

    public override IEnumerable<Node> Children => Rest.Select(item => item.Operand).Prepend(First);
}

/// <summary>What stands between a call's parentheses.</summary>
internal sealed class ArgumentNodes
{
    public static ArgumentNodes None { get; } = new();

    public List<Node> Positional { get; } = [];

    public List<(string Name, Node Value)> Keywords { get; } = [];

    public Node? MorePositional { get; set; }

    public Node? MoreKeywords { get; set; }

    public bool IsEmpty => Positional.Count == 0 && Keywords.Count == 0 && MorePositional is null && MoreKeywords is null;

    public IEnumerable<Node> Children =>
        Positional.Concat(Keywords.Select(item => item.Value)).Concat(new[] { MorePositional, MoreKeywords }.OfType<Node>());
}

internal sealed class CallNode(Node callee, ArgumentNodes arguments, int line) : Node(line)
{
    public Node Callee { get; } = callee;

    public ArgumentNodes Arguments { get; } = arguments;

    public override IEnumerable<Node> Children => Arguments.Children.Prepend(Callee);
}

/// <summary>A filter; <see cref="Operand"/> is null where a filter or set block gives the text.</summary>
internal sealed class FilterNode(Node? operand, string name, ArgumentNodes arguments, int line) : Node(line)
{
    public Node? Operand { get; } = operand;

    public string Name { get; } = name;

    public ArgumentNodes Arguments { get; } = arguments;

    public override IEnumerable<Node> Children => Operand is null ? Arguments.Children : Arguments.Children.Prepend(Operand);
}

internal sealed class TestNode(Node operand, string name, ArgumentNodes arguments, int line) : Node(line)
{
    public Node Operand { get; } = operand;

    public string Name { get; } = name;

    public ArgumentNodes Arguments { get; } = arguments;

    public override IEnumerable<Node> Children => Arguments.Children.Prepend(Operand);
}

internal sealed class Attribute(Node owner, string name, int line) : Node(line)
{
    public Node Owner { get; } = owner;

    public string Name { get; } = name;

    public override IEnumerable<Node> Children => [Owner];
}

internal sealed class Item(Node owner, Node key, int line) : Node(line)
{
    public Node Owner { get; } = owner;

    public Node Key { get; } = key;

    public override IEnumerable<Node> Children => [Owner, Key];
}

internal sealed class Slice(Node? start, Node? stop, Node? step, int line) : Node(line)
{
    public Node? Start { get; } = start;

    public Node? Stop { get; } = stop;

    public Node? Step { get; } = step;

    public override IEnumerable<Node> Children => new[] { Start, Stop, Step }.OfType<Node>();
}
