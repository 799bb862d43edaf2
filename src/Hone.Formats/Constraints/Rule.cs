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

    /// <summary>These and all that they are made of.</summary>
    public static IReadOnlyCollection<Rule> All(IEnumerable<Rule> rules)
    {
        var all = new HashSet<Rule>();
        var work = new Stack<Rule>(rules);
        while (work.TryPop(out Rule? rule))
        {
            if (!all.Add(rule))
                continue;
            foreach (Rule part in rule.Alternatives.Concat(rule.Shapes.SelectMany(s => s.Parts)))
                work.Push(part);
        }
        return all;
    }
}

/// <summary>How values of one kind are written.</summary>
internal abstract record ValueShape
{
    public virtual IEnumerable<Rule> Parts => [];

    /// <summary>Some written values, as bytes.</summary>
    public sealed record Literals(TextAutomaton Automaton) : ValueShape;

    public sealed record Number(TextAutomaton Automaton) : ValueShape;

    public sealed record Text(TextAutomaton Automaton, int Least, int? Most) : ValueShape;

    /// <param name="First">Of the first items, one by one.</param>
    /// <param name="Others">Of those behind them.</param>
    /// <param name="Least">Number of items, at least.</param>
    /// <param name="Most">At most.</param>
    public sealed record List(IReadOnlyList<Rule> First, Rule Others, int Least, int? Most) : ValueShape
    {
        public override IEnumerable<Rule> Parts => First.Append(Others);
    }

    /// <param name="Members">In the order in which they are written.</param>
    /// <param name="Others">Of other members; null where there are none.</param>
    /// <param name="OtherNames">The names that those may have.</param>
    public sealed record Map(IReadOnlyList<Member> Members, Rule? Others, TextAutomaton OtherNames) : ValueShape
    {
        public override IEnumerable<Rule> Parts => Others is null ? Members.Select(m => m.Value) : Members.Select(m => m.Value).Append(Others);

        public MemberNames Names { get; } = new(Members);
    }
}

internal sealed record Member(string Name, Rule Value, bool IsRequired);
