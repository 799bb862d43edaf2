namespace Hone.Formats.Constraints;

/// <summary>A regular expression as it is written.</summary>
internal abstract record PatternTree
{
    public sealed record Characters(CharacterSet Set) : PatternTree;

    public sealed record Sequence(IReadOnlyList<PatternTree> Items) : PatternTree;

    public sealed record Choice(IReadOnlyList<PatternTree> Items) : PatternTree;

    /// <param name="Item">What is repeated.</param>
    /// <param name="Least">At least so often.</param>
    /// <param name="Most">−1: any number.</param>
    public sealed record Repeat(PatternTree Item, int Least, int Most) : PatternTree;

    public static PatternTree Nothing { get; } = new Sequence([]);
}
