namespace Hone.Formats.Constraints;

/// <summary>
/// A state of the constraint: the texts that may still follow, as an expression. What may follow after one more byte is its derivative, another node. Equal nodes are one object,
/// so that derivatives, and the masks that hang on nodes, are worked out once. All but <see cref="NothingNode"/> can be completed.
/// </summary>
internal abstract class Node(int id)
{
    private Node?[]?[]? _next; // by the byte's upper and lower half

    public int Id => id;

    /// <summary>Whether nothing need follow.</summary>
    public abstract bool CanEnd { get; }

    /// <summary>Behind an object's brace, with members or their end to come.</summary>
    public virtual bool IsInObject => false;

    public Node Next(byte symbol, NodeTable table)
    {
        Node?[] row = (_next ??= new Node?[]?[16])[symbol >> 4] ??= new Node?[16];
        return row[symbol & 15] ??= Derive(symbol, table);
    }

    protected abstract Node Derive(byte symbol, NodeTable table);
}

/// <summary>No text at all: a dead end.</summary>
internal sealed class NothingNode() : Node(0)
{
    public override bool CanEnd => false;

    protected override Node Derive(byte symbol, NodeTable table) => this;
}

/// <summary>The empty text.</summary>
internal sealed class EndNode() : Node(1)
{
    public override bool CanEnd => true;

    protected override Node Derive(byte symbol, NodeTable table) => table.Nothing;
}

/// <summary>What an automaton over bytes (or ASCII) takes from a state on.</summary>
internal sealed class AutomatonNode(int id, TextAutomaton automaton, int state) : Node(id)
{
    public override bool CanEnd => automaton.IsEnd(state);

    protected override Node Derive(byte symbol, NodeTable table) => automaton.Next(state, symbol) is >= 0 and var next ? table.Automaton(automaton, next) : table.Nothing;
}

internal sealed class SequenceNode(int id, Node head, Node tail) : Node(id)
{
    public Node Head => head;
    public Node Tail => tail;
    public override bool CanEnd => head.CanEnd && tail.CanEnd;
    public override bool IsInObject { get; } = head.IsInObject || tail.IsInObject;

    protected override Node Derive(byte symbol, NodeTable table)
    {
        Node next = table.Sequence(head.Next(symbol, table), tail);
        return head.CanEnd ? table.Choice([next, tail.Next(symbol, table)]) : next;
    }
}

internal sealed class ChoiceNode(int id, Node[] items) : Node(id)
{
    public Node[] Items => items;
    public override bool CanEnd { get; } = Array.Exists(items, i => i.CanEnd);
    public override bool IsInObject { get; } = Array.Exists(items, i => i.IsInObject);

    protected override Node Derive(byte symbol, NodeTable table) => table.Choice([.. items.Select(i => i.Next(symbol, table))]);
}

/// <summary>An item so many times; −1 as the most: any number.</summary>
internal sealed class RepeatNode(int id, Node item, int least, int most) : Node(id)
{
    public override bool CanEnd => least == 0;

    protected override Node Derive(byte symbol, NodeTable table) => table.Sequence(item.Next(symbol, table), table.Repeat(item, Math.Max(0, least - 1), most < 0 ? -1 : most - 1));
}

/// <summary>A value of a rule, which may be recursive: written out when it is reached.</summary>
internal sealed class RuleNode(int id, Rule rule) : Node(id)
{
    public override bool CanEnd => false;

    protected override Node Derive(byte symbol, NodeTable table) => table.BodyOf(rule).Next(symbol, table);
}

/// <summary>A list's text behind its bracket or behind its first items, the closing bracket included.</summary>
internal sealed class ListNode(int id, ValueShape.List list, int items) : Node(id)
{
    private Node? _body;

    public override bool CanEnd => false;

    protected override Node Derive(byte symbol, NodeTable table) => (_body ??= Body(table)).Next(symbol, table);

    private Node Body(NodeTable table)
    {
        var choices = new List<Node>();
        if (items >= list.Least)
            choices.Add(table.Sequence(table.Space, table.Literal("]")));
        Rule next = items < list.First.Count ? list.First[items] : list.Others;
        if ((list.Most is null || items < list.Most) && next.IsSatisfiable)
            choices.Add(table.Sequence(table.Separator(items == 0), table.Of(next), table.List(list, items + 1)));
        return table.Choice(choices);
    }
}

/// <summary>An object's text from a member on, the closing brace included.</summary>
/// <param name="id">See <see cref="Node"/>.</param>
/// <param name="map">The object.</param>
/// <param name="member">The next member that may come.</param>
/// <param name="isFirst">No member has come.</param>
internal sealed class MapNode(int id, ValueShape.Map map, int member, bool isFirst) : Node(id)
{
    private Node? _body;

    public override bool CanEnd => false;
    public override bool IsInObject => true;

    protected override Node Derive(byte symbol, NodeTable table) => (_body ??= Body(table)).Next(symbol, table);

    private Node Body(NodeTable table)
    {
        var choices = new List<Node>();
        Node separator = table.Separator(isFirst);
        if (member < map.Members.Count)
        {
            choices.Add(table.Sequence(separator, table.Members(map, member)));
            if (map.Members[map.Names.LastFrom(member)].IsRequired)
                return table.Choice(choices);
        }
        if (map.Others is { IsSatisfiable: true } others)
        {
            Node name = table.Text(new TextPlace(map.OtherNames, 0, 0, -1, IsPlain: true));
            choices.Add(table.Sequence(separator, table.Literal("\""), name, table.Literal(":"), table.Blank, table.Of(others), table.Map(map, map.Members.Count, isFirst: false)));
        }
        choices.Add(table.Sequence(table.Space, table.Literal("}")));
        return table.Choice(choices);
    }
}

/// <summary>An object's text from a member's name on, or from a place in it, where several members may come that begin alike. One node in place of a choice of all of them.</summary>
/// <param name="id">See <see cref="Node"/>.</param>
/// <param name="map">The object.</param>
/// <param name="first">The first of the members.</param>
/// <param name="low">The first of their names, which are neighbours, among the object's.</param>
/// <param name="high">Behind the last one.</param>
/// <param name="depth">Bytes that they have in common, and that are written.</param>
internal sealed class MembersNode(int id, ValueShape.Map map, int first, int low, int high, int depth) : Node(id)
{
    public override bool CanEnd => false;
    public override bool IsInObject => true;

    protected override Node Derive(byte symbol, NodeTable table)
    {
        int begin = low, end = high;
        while (begin < end && map.Names.TextOf(begin)[depth] != symbol)
            begin++;
        while (begin < end && map.Names.TextOf(end - 1)[depth] != symbol)
            end--;
        return table.Members(map, first, begin, end, depth + 1);
    }
}
