using System.Text.Json;

namespace Hone.Formats.Constraints;

/// <summary>
/// What answers must look like, for one vocabulary. States and masks are worked out when an answer first comes by and kept for all answers, from whichever thread;
/// when there are too many they are forgotten and worked out again.
/// </summary>
public sealed class Constraint
{
    private const int MostNodes = 60_000;
    private const long MostMaskBytes = 64 << 20;

    private readonly TokenVocabulary _vocabulary;
    private readonly Func<NodeTable, Node> _root;
    private readonly Lock _lock = new();
    private readonly Dictionary<Node, TokenMask> _masks = [];
    private NodeTable _table = new();
    private Node _first;

    /// <param name="vocabulary">The model's tokens.</param>
    /// <param name="rules">Of all JSON values in it.</param>
    /// <param name="root">Makes its first state.</param>
    internal Constraint(TokenVocabulary vocabulary, IEnumerable<Rule> rules, Func<NodeTable, Node> root)
    {
        (_vocabulary, _root) = (vocabulary, root);
        HasOpenObjects = Rule.All(rules).Any(r => r.Shapes.Exists(s => s is ValueShape.Map { Others: not null }));
        _first = root(_table);
        MaskOf(_first); // paid for where the constraint is made, not where tokens are
    }

    /// <summary>Some object may have members whose names are not given.</summary>
    internal bool HasOpenObjects { get; }

    /// <summary>A JSON value that satisfies the schema, and nothing around it.</summary>
    /// <exception cref="SchemaException">The schema cannot be enforced, or nothing satisfies it.</exception>
    public static Constraint Json(JsonElement schema, TokenVocabulary vocabulary)
    {
        Rule rule = SchemaRules.Compile(schema);
        return new Constraint(vocabulary, [rule], table => table.Of(rule));
    }

    public ConstraintState Start()
    {
        lock (_lock)
            return new ConstraintState(this, _vocabulary, _table, _first);
    }

    internal Node Advance(ConstraintState state, ReadOnlySpan<byte> bytes, NameWatch? names)
    {
        lock (_lock)
        {
            Node node = state.Node;
            foreach (byte symbol in bytes)
            {
                node = node.Next(symbol, state.Table);
                names?.Write(symbol, node.IsInObject);
            }
            return node;
        }
    }

    internal TokenMask MaskOf(ConstraintState state)
    {
        lock (_lock)
        {
            if (_table.Count > MostNodes || _masks.Count * (long)_vocabulary.Size / 8 > MostMaskBytes)
            {
                _table = new NodeTable();
                _first = _root(_table);
                _masks.Clear();
            }
            if (state.Table != _table)
                state.Renew(_table, _first);
            return MaskOf(state.Node);
        }
    }

    private TokenMask MaskOf(Node node)
    {
        Node same = ForOneToken(node);
        if (!_masks.TryGetValue(same, out TokenMask? mask))
            _masks.Add(same, mask = _vocabulary.MaskOf(same, _table));
        return mask;
    }

    /// <summary>A state that differs from another in lengths that no single token reaches has the same mask.</summary>
    private Node ForOneToken(Node node)
    {
        if (node is not SequenceNode { Head: TextNode text } sequence)
            return node;
        TextPlace place = text.Place;
        int most = place.Most > _vocabulary.Longest + place.Automaton.Farthest ? -1 : place.Most, least = Math.Min(place.Least, _vocabulary.Longest + 1);
        return most == place.Most && least == place.Least ? node : _table.Sequence(_table.Text(place with { Least = least, Most = most }), sequence.Tail);
    }
}
