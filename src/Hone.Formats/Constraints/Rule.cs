namespace Hone.Formats.Constraints;

/// <summary>The values that satisfy some schemas together: those of any of its shapes, or of any of its alternatives.</summary>
internal sealed class Rule(string path)
{
    /// <summary>Where the first of the schemas stands.</summary>
    public string Path => path;
    public List<ValueShape> Shapes { get; } = [];
    public List<Rule> Alternatives { get; } = [];

    /// <summary>A part for want of which there are no lists or objects.</summary>
    public Rule? Lacking { get; set; }

    /// <summary>Some value satisfies it. Known when all rules are.</summary>
    public bool IsSatisfiable { get; set; }
}

/// <summary>How values of one kind are written.</summary>
internal abstract record ValueShape
{
    /// <summary>Some written values, as bytes.</summary>
    public sealed record Literals(TextAutomaton Automaton) : ValueShape;

    public sealed record Number(TextAutomaton Automaton) : ValueShape;

    public sealed record Text(TextAutomaton Automaton, int Least, int? Most) : ValueShape;

    /// <param name="First">Of the first items, one by one.</param>
    /// <param name="Others">Of those behind them.</param>
    /// <param name="Least">Number of items, at least.</param>
    /// <param name="Most">At most.</param>
    public sealed record List(IReadOnlyList<Rule> First, Rule Others, int Least, int? Most) : ValueShape;

    /// <param name="Members">In the order in which they are written.</param>
    /// <param name="Others">Of other members; null where there are none.</param>
    /// <param name="OtherNames">The names that those may have.</param>
    public sealed record Map(IReadOnlyList<Member> Members, Rule? Others, TextAutomaton OtherNames) : ValueShape;
}

internal sealed record Member(string Name, Rule Value, bool IsRequired);
