namespace Hone.Formats.Constraints;

/// <summary>How far one answer is in its constraint. One thread at a time.</summary>
public sealed class ConstraintState
{
    private readonly Constraint _constraint;
    private readonly TokenVocabulary _vocabulary;
    private readonly List<byte> _written = [];
    private readonly NameWatch? _names;

    internal ConstraintState(Constraint constraint, TokenVocabulary vocabulary, NodeTable table, Node node) =>
        (_constraint, _vocabulary, _names, Table, Node) = (constraint, vocabulary, constraint.HasOpenObjects ? new NameWatch() : null, table, node);

    internal NodeTable Table { get; private set; }

    internal Node Node { get; private set; }

    /// <summary>The answer may end here.</summary>
    public bool CanEnd => Node.CanEnd;

    /// <summary>Nothing can follow.</summary>
    public bool MustEnd => Node == Table.End;

    /// <summary>The tokens that may come next; the model's stop tokens where the answer may end.</summary>
    public TokenMask Mask()
    {
        TokenMask mask = _constraint.MaskOf(this);
        List<int>? repeating = null;
        if (_names is { HasNames: true })
        {
            foreach (int token in _vocabulary.Quoting)
            {
                if (mask[token] && _names.Repeats(_vocabulary.BytesOf(token)))
                    (repeating ??= []).Add(token);
            }
        }
        return repeating is null ? mask : mask.Without(repeating);
    }

    /// <summary>Goes on behind a token that the mask allows and that does not end the answer.</summary>
    public void Accept(int token)
    {
        ReadOnlySpan<byte> bytes = _vocabulary.BytesOf(token);
        Node = _constraint.Advance(this, bytes, _names);
        if (Node == Table.Nothing)
            throw new InvalidOperationException($"The token {token} is not allowed here.");
        _written.AddRange(bytes);
    }

    /// <summary>The same state by the nodes of another table.</summary>
    internal void Renew(NodeTable table, Node first)
    {
        (Table, Node) = (table, first);
        foreach (byte symbol in _written)
            Node = Node.Next(symbol, table);
    }
}
