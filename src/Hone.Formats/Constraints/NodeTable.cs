using System.Text;

namespace Hone.Formats.Constraints;

/// <summary>Makes nodes, equal ones once. One thread at a time.</summary>
internal sealed class NodeTable
{
    private const int Indent = 20;

    private readonly Dictionary<(int Kind, object? Of, int A, int B, int C), Node> _nodes = [];
    private readonly Dictionary<TextPlace, Node> _texts = [];
    private readonly Dictionary<int[], Node> _choices = new(SameIds.Instance);
    private readonly Dictionary<string, Node> _literals = [];
    private readonly Dictionary<Rule, Node> _bodies = [];
    private readonly Node _afterComma;
    private int _count = 2;

    public NodeTable()
    {
        // Room that a model likes, and no more, so that it cannot go on with nothing but space.
        Space = Choice([End, Literal(" "), Sequence(Literal("\n"), Repeat(Literal(" "), 0, Indent))]);
        Blank = Choice([End, Literal(" ")]);
        _afterComma = Sequence(Literal(","), Space);
    }

    public Node Nothing { get; } = new NothingNode();

    public Node End { get; } = new EndNode();

    /// <summary>Between brackets, braces and values.</summary>
    public Node Space { get; }

    /// <summary>Behind a colon.</summary>
    public Node Blank { get; }

    public int Count => _count;

    /// <summary>What stands before an item or member.</summary>
    public Node Separator(bool isFirst) => isFirst ? Space : _afterComma;

    public Node Automaton(TextAutomaton automaton, int state = 0)
    {
        if (automaton.IsEmpty)
            return Nothing;
        return automaton.EdgesOf(state).IsEmpty ? End : Make((0, automaton, state, 0, 0), id => new AutomatonNode(id, automaton, state));
    }

    public Node Literal(string text)
    {
        if (!_literals.TryGetValue(text, out Node? node))
            _literals.Add(text, node = Automaton(TextAutomaton.Literals([[.. Encoding.UTF8.GetBytes(text).Select(b => (int)b)]])));
        return node;
    }

    public Node Text(TextPlace place)
    {
        if (!_texts.TryGetValue(place, out Node? node))
            _texts.Add(place, node = new TextNode(_count++, place));
        return node;
    }

    public Node Sequence(params ReadOnlySpan<Node> items)
    {
        Node result = items[^1];
        for (int i = items.Length - 2; i >= 0; i--)
            result = Sequence(items[i], result);
        return result;
    }

    private Node Sequence(Node head, Node tail)
    {
        if (head == Nothing || tail == Nothing)
            return Nothing;
        if (head == End)
            return tail;
        if (tail == End)
            return head;
        return head is SequenceNode inner ? Sequence(inner.Head, Sequence(inner.Tail, tail)) : Make((1, null, head.Id, tail.Id, 0), id => new SequenceNode(id, head, tail));
    }

    public Node Choice(IReadOnlyCollection<Node> items)
    {
        var flat = new SortedList<int, Node>(items.Count);
        foreach (Node item in items)
        {
            if (item is ChoiceNode choice)
            {
                foreach (Node inner in choice.Items)
                    flat[inner.Id] = inner;
            }
            else if (item != Nothing)
            {
                flat[item.Id] = item;
            }
        }
        if (flat.Count == 0)
            return Nothing;
        if (flat.Count == 1)
            return flat.Values[0];
        int[] key = [.. flat.Keys];
        if (!_choices.TryGetValue(key, out Node? node))
            _choices.Add(key, node = new ChoiceNode(_count++, [.. flat.Values]));
        return node;
    }

    public Node Repeat(Node item, int least, int most)
    {
        if (most == 0)
            return End;
        return item == Nothing ? (least == 0 ? End : Nothing) : Make((2, null, item.Id, least, most), id => new RepeatNode(id, item, least, most));
    }

    public Node Of(Rule rule) => rule.IsSatisfiable ? Make((3, rule, 0, 0, 0), id => new RuleNode(id, rule)) : Nothing;

    public Node List(ValueShape.List list, int items)
    {
        // Beyond the first items and the least number, only an upper limit tells one place from the next.
        int same = Math.Max(1, Math.Max(list.First.Count, list.Least));
        int place = list.Most is null ? Math.Min(items, same) : items;
        return Make((4, list, place, 0, 0), id => new ListNode(id, list, place));
    }

    public Node Map(ValueShape.Map map, int member, bool isFirst) => Make((5, map, member, isFirst ? 1 : 0, 0), id => new MapNode(id, map, member, isFirst));

    /// <summary>A member that may come where none before <paramref name="first"/> may, and what follows.</summary>
    public Node Members(ValueShape.Map map, int first) => Members(map, first, 0, map.Names.Count, 0);

    /// <summary>Of them those with some names, which begin with the same bytes, behind these.</summary>
    public Node Members(ValueShape.Map map, int first, int low, int high, int depth)
    {
        MemberNames names = map.Names;
        int last = names.LastFrom(first), begin = high, end = low, next = last;
        for (int name = low; name < high; name++)
        {
            int member = names.MemberOf(name);
            if (member < first || member > last || !map.Members[member].Value.IsSatisfiable)
                continue;
            (begin, end, next) = (Math.Min(begin, name), name + 1, Math.Min(next, member));
        }
        if (begin >= end)
            return Nothing;
        // No name with its colon begins another: this one is complete.
        if (names.TextOf(begin).Length == depth)
            return Sequence(Blank, Of(map.Members[next].Value), Map(map, next + 1, isFirst: false));
        return Make((6, map, next, begin, depth), id => new MembersNode(id, map, next, begin, end, depth));
    }

    public Node BodyOf(Rule rule)
    {
        if (_bodies.TryGetValue(rule, out Node? body))
            return body;
        // Alternatives of alternatives; one that leads back to itself adds nothing.
        var seen = new HashSet<Rule>();
        var choices = new List<Node>();
        var work = new Stack<Rule>([rule]);
        while (work.TryPop(out Rule? next))
        {
            if (!next.IsSatisfiable || !seen.Add(next))
                continue;
            foreach (Rule alternative in next.Alternatives)
                work.Push(alternative);
            choices.AddRange(next.Shapes.Select(Of));
        }
        _bodies.Add(rule, body = Choice(choices));
        return body;
    }

    private Node Of(ValueShape shape) => shape switch
    {
        ValueShape.Literals literals => Automaton(literals.Automaton),
        ValueShape.Number number => Automaton(number.Automaton),
        ValueShape.Text text => Sequence(Literal("\""), Text(new TextPlace(text.Automaton, 0, text.Least, text.Most ?? -1))),
        ValueShape.List list => Sequence(Literal("["), List(list, 0)),
        ValueShape.Map map => Sequence(Literal("{"), Map(map, 0, isFirst: true)),
        _ => throw new InvalidOperationException($"Unknown shape {shape}."),
    };

    private Node Make((int, object?, int, int, int) key, Func<int, Node> make)
    {
        if (!_nodes.TryGetValue(key, out Node? node))
            _nodes.Add(key, node = make(_count++));
        return node;
    }

    private sealed class SameIds : IEqualityComparer<int[]>
    {
        public static SameIds Instance { get; } = new();

        public bool Equals(int[]? x, int[]? y) => x.AsSpan().SequenceEqual(y);

        public int GetHashCode(int[] ids)
        {
            var hash = new HashCode();
            foreach (int id in ids)
                hash.Add(id);
            return hash.ToHashCode();
        }
    }
}
