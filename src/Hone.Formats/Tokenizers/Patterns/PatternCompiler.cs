namespace Hone.Formats.Tokenizers;

internal enum PatternOperation : byte { Character, Set, Loop, Split, Jump, Look, Atomic, Place, Accept }

/// <summary>One step of a compiled pattern; see <see cref="RegexPattern"/> for what each does.</summary>
/// <param name="Operation">What to do.</param>
/// <param name="Target">Where to go on: after a split's first way has failed, or behind a looked-for part.</param>
/// <param name="Value">The character, the fewest of a loop, the place, or the code points to go back.</param>
/// <param name="Most">The most of a loop; -1 for any number.</param>
/// <param name="Flag">Possessive, for a loop; negated, for a look.</param>
/// <param name="Set">The set of a set or a loop.</param>
internal sealed record PatternStep(PatternOperation Operation, int Target = 0, int Value = 0, int Most = 0, bool Flag = false, CodePointSet? Set = null);

/// <summary>Turns a pattern into steps for a backtracking machine.</summary>
internal sealed class PatternCompiler
{
    private const int MostSteps = 20_000;
    private const int MostVisits = 100_000; // a repeat of nothing adds no steps

    private readonly List<PatternStep> _steps = [];
    private int _visits;

    /// <exception cref="PatternException">The pattern is too large.</exception>
    public static PatternStep[] Compile(PatternNode node)
    {
        var compiler = new PatternCompiler();
        compiler.Add(node);
        compiler.Add(new PatternStep(PatternOperation.Accept));
        return [.. compiler._steps];
    }

    private int Add(PatternStep step)
    {
        if (_steps.Count >= MostSteps)
            throw new PatternException($"it takes more than {MostSteps} steps; use fewer repeats");
        _steps.Add(step);
        return _steps.Count - 1;
    }

    private void Add(PatternNode node)
    {
        if (++_visits > MostVisits)
            throw new PatternException("its repeats are nested too often");
        switch (node)
        {
            case SetNode { Only: < 128 and { } character }:
                Add(new PatternStep(PatternOperation.Character, Value: character));
                break;
            case SetNode set:
                Add(new PatternStep(PatternOperation.Set, Set: new CodePointSet(set.Contains)));
                break;
            case SequenceNode sequence:
                foreach (PatternNode item in sequence.Items)
                    Add(item);
                break;
            case ChoiceNode choice:
                AddChoice(choice);
                break;
            case RepeatNode repeat:
                AddRepeat(repeat);
                break;
            case AtomicNode atomic:
                AddEnclosed(atomic.Item, new PatternStep(PatternOperation.Atomic));
                break;
            case LookNode { Behind: true, Item: ChoiceNode { FixedLength: null } choice } look:
                AddLookBehind(choice, look.Negated);
                break;
            case LookNode look:
                AddEnclosed(look.Item, new PatternStep(PatternOperation.Look, Value: look.Behind ? look.Item.FixedLength!.Value : 0, Flag: look.Negated));
                break;
            case PlaceNode place:
                Add(new PatternStep(PatternOperation.Place, Value: (int)place.Place));
                break;
        }
    }

    /// <summary>A part that is matched on its own: its steps follow, up to an accept.</summary>
    private void AddEnclosed(PatternNode item, PatternStep head)
    {
        int at = Add(head);
        Add(item);
        Add(new PatternStep(PatternOperation.Accept));
        _steps[at] = head with { Target = _steps.Count };
    }

    /// <summary>Alternatives of different lengths: any of them, or none of them, lies behind.</summary>
    private void AddLookBehind(ChoiceNode choice, bool negated)
    {
        PatternNode[] looks = [.. choice.Items.Select(item => new LookNode(item, Behind: true, negated))];
        Add(negated ? new SequenceNode(looks) : new ChoiceNode(looks));
    }

    private void AddChoice(ChoiceNode choice)
    {
        List<int> jumps = [];
        for (int i = 0; i < choice.Items.Count; i++)
        {
            bool last = i == choice.Items.Count - 1;
            int split = last ? -1 : Add(new PatternStep(PatternOperation.Split));
            Add(choice.Items[i]);
            if (last)
                break;
            jumps.Add(Add(new PatternStep(PatternOperation.Jump)));
            _steps[split] = new PatternStep(PatternOperation.Split, _steps.Count);
        }
        foreach (int jump in jumps)
            _steps[jump] = new PatternStep(PatternOperation.Jump, _steps.Count);
    }

    private void AddRepeat(RepeatNode repeat)
    {
        if (repeat is { Item: SetNode set, Greed: not Greed.Lazy })
        {
            Add(new PatternStep(PatternOperation.Loop, Value: repeat.Least, Most: repeat.Most, Flag: repeat.Greed == Greed.Possessive, Set: new CodePointSet(set.Contains)));
            return;
        }
        if (repeat.Greed == Greed.Possessive)
        {
            Add(new AtomicNode(repeat with { Greed = Greed.Greedy }));
            return;
        }
        for (int i = 0; i < repeat.Least; i++)
            Add(repeat.Item);
        bool lazy = repeat.Greed == Greed.Lazy;
        if (repeat.Most < 0)
        {
            // again: split → out; item; jump again; out:
            int again = Add(new PatternStep(PatternOperation.Split, Flag: lazy));
            Add(repeat.Item);
            Add(new PatternStep(PatternOperation.Jump, again));
            _steps[again] = _steps[again] with { Target = _steps.Count };
            return;
        }
        List<int> splits = [];
        for (int i = repeat.Least; i < repeat.Most; i++)
        {
            splits.Add(Add(new PatternStep(PatternOperation.Split, Flag: lazy)));
            Add(repeat.Item);
        }
        foreach (int split in splits)
            _steps[split] = _steps[split] with { Target = _steps.Count };
    }
}
