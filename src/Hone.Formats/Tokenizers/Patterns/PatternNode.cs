namespace Hone.Formats.Tokenizers;

internal enum Greed { Greedy, Lazy, Possessive }

internal enum Place { LineStart, LineEnd, TextStart, TextEnd, TextEndOrLastLine, WordBoundary, NoWordBoundary }

/// <summary>A pattern as it is written. What it says of itself is worked out once, since patterns nest.</summary>
internal abstract record PatternNode
{
    /// <summary>Whether it can match nothing at all.</summary>
    public abstract bool CanBeEmpty { get; }

    /// <summary>How many code points it matches; null where that varies.</summary>
    public abstract int? FixedLength { get; }
}

/// <summary>One code point of a set.</summary>
internal sealed record SetNode(Func<int, bool> Contains, int? Only = null) : PatternNode
{
    public override bool CanBeEmpty => false;

    public override int? FixedLength => 1;
}

internal sealed record SequenceNode(IReadOnlyList<PatternNode> Items) : PatternNode
{
    public override bool CanBeEmpty { get; } = Items.All(item => item.CanBeEmpty);

    public override int? FixedLength { get; } = Items.Aggregate((int?)0, (sum, item) => sum + item.FixedLength);
}

internal sealed record ChoiceNode(IReadOnlyList<PatternNode> Items) : PatternNode
{
    public override bool CanBeEmpty { get; } = Items.Any(item => item.CanBeEmpty);

    public override int? FixedLength { get; } = Items.All(item => item.FixedLength == Items[0].FixedLength) ? Items[0].FixedLength : null;
}

/// <param name="Most">-1 for any number.</param>
internal sealed record RepeatNode(PatternNode Item, int Least, int Most, Greed Greed) : PatternNode
{
    public override bool CanBeEmpty { get; } = Least == 0 || Item.CanBeEmpty;

    public override int? FixedLength { get; } = Least == Most ? Item.FixedLength * Least : null;
}

/// <summary>Once it has matched, it is not tried another way.</summary>
internal sealed record AtomicNode(PatternNode Item) : PatternNode
{
    public override bool CanBeEmpty { get; } = Item.CanBeEmpty;

    public override int? FixedLength { get; } = Item.FixedLength;
}

internal sealed record LookNode(PatternNode Item, bool Behind, bool Negated) : PatternNode
{
    public override bool CanBeEmpty => true;

    public override int? FixedLength => 0;
}

internal sealed record PlaceNode(Place Place) : PatternNode
{
    public override bool CanBeEmpty => true;

    public override int? FixedLength => 0;
}
