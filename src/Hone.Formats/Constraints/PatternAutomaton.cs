namespace Hone.Formats.Constraints;

/// <summary>A pattern → automaton: Thompson's construction, then the sets of states that one text can lead to.</summary>
internal sealed class PatternAutomaton
{
    private const int MostSteps = 100_000;

    /// <summary>Steps gone through to find the sets, all together: less than a second.</summary>
    private const long MostWork = 5_000_000;

    private readonly string _path;
    private long _work;
    private int[] _seen = []; // by which closure last
    private int _closure;
    private readonly List<List<int>> _free = []; // steps that take no symbol
    private readonly List<(CharacterSet Set, int Target)?> _takes = [];

    private PatternAutomaton(string path) => _path = path;

    /// <summary>Every text in which the pattern finds a match.</summary>
    /// <exception cref="SchemaException"/>
    public static TextAutomaton Compile(PatternTree pattern, string path, int mostStates, int mostEdges)
    {
        var machine = new PatternAutomaton(path);
        PatternTree around = new PatternTree.Repeat(new PatternTree.Characters(CharacterSet.All), 0, -1);
        int first = machine.Add(), last = machine.Add();
        machine.Build(new PatternTree.Sequence([around, pattern, around]), first, last);
        return machine.Determine(first, last, mostStates, mostEdges);
    }

    private int Add()
    {
        if (_free.Count >= MostSteps)
            throw new SchemaException(_path, $"the pattern takes more than {MostSteps:N0} steps; use fewer repeats");
        _free.Add([]);
        _takes.Add(null);
        return _free.Count - 1;
    }

    private void Build(PatternTree tree, int from, int to)
    {
        switch (tree)
        {
            case PatternTree.Characters characters:
                int taking = Add();
                _free[from].Add(taking);
                _takes[taking] = (characters.Set, to);
                break;
            case PatternTree.Sequence sequence:
                foreach (PatternTree item in sequence.Items)
                    Build(item, from, from = Add());
                _free[from].Add(to);
                break;
            case PatternTree.Choice choice:
                foreach (PatternTree item in choice.Items)
                    Build(item, from, to);
                break;
            case PatternTree.Repeat repeat:
                for (int i = 0; i < repeat.Least; i++)
                    Build(repeat.Item, from, from = Add());
                if (repeat.Most < 0)
                {
                    int loop = Add();
                    _free[from].Add(loop);
                    Build(repeat.Item, loop, loop);
                    _free[loop].Add(to);
                    break;
                }
                for (int i = repeat.Least; i < repeat.Most; i++)
                {
                    _free[from].Add(to);
                    Build(repeat.Item, from, from = Add());
                }
                _free[from].Add(to);
                break;
        }
    }

    private TextAutomaton Determine(int first, int last, int mostStates, int mostEdges)
    {
        var ids = new Dictionary<string, int>();
        var sets = new List<int[]>();
        var edges = new List<Edge[]>();
        int IdOf(int[] set)
        {
            string key = string.Create(set.Length * 2, set, static (span, s) =>
            {
                for (int i = 0; i < s.Length; i++)
                    (span[2 * i], span[2 * i + 1]) = ((char)(s[i] >> 16), (char)s[i]);
            });
            if (!ids.TryGetValue(key, out int id))
            {
                if (sets.Count >= mostStates)
                    throw new SchemaException(_path, $"the pattern takes more than {mostStates:N0} states; make it simpler");
                ids.Add(key, id = sets.Count);
                sets.Add(set);
            }
            return id;
        }

        _seen = new int[_free.Count];
        IdOf(Closure([first], CharacterSet.Beginning));
        long count = 0;
        for (int s = 0; s < sets.Count; s++)
        {
            edges.Add(EdgesOf(sets[s], IdOf));
            if ((count += edges[^1].Length) > mostEdges)
                throw new SchemaException(_path, $"the pattern takes more than {mostEdges:N0} edges; use simpler classes, or fewer repeats of them");
        }
        return TextAutomaton.Trimmed([.. edges], [.. sets.Select(set => Closure(set, CharacterSet.End).Contains(last))]);
    }

    private Edge[] EdgesOf(int[] set, Func<int[], int> idOf)
    {
        // Where ranges begin and end, the targets change.
        var changes = new SortedDictionary<int, List<(int Target, int Change)>>();
        void Change(int at, int target, int by)
        {
            if (!changes.TryGetValue(at, out List<(int, int)>? list))
                changes.Add(at, list = []);
            list.Add((target, by));
        }
        foreach (int step in set)
        {
            if (_takes[step] is not { } taking)
                continue;
            foreach ((int low, int high) in taking.Set.Ranges)
            {
                if (low > CharacterSet.Last)
                    continue;
                Change(low, taking.Target, 1);
                Change(high + 1, taking.Target, -1);
            }
        }
        var edges = new List<Edge>();
        var open = new SortedDictionary<int, int>(); // target → ranges that lead to it
        var known = new Dictionary<string, int>(); // many ranges, few sets of targets
        int from = 0;
        foreach ((int at, List<(int, int)> list) in changes)
        {
            if (open.Count > 0 && at > from)
            {
                string key = string.Join(',', open.Keys);
                if (!known.TryGetValue(key, out int target))
                    known.Add(key, target = idOf(Closure([.. open.Keys])));
                edges.Add(new Edge(from, at - 1, target));
            }
            foreach ((int target, int by) in list)
            {
                int count = open.GetValueOrDefault(target) + by;
                if (count == 0)
                    open.Remove(target);
                else
                    open[target] = count;
            }
            from = at;
        }
        return [.. edges];
    }

    /// <summary>The states reached without a symbol, ascending; of those that only pass on, the last is kept for the end alone.</summary>
    /// <param name="states">From these on.</param>
    /// <param name="anchor">The anchor that holds there, however many stand in a row.</param>
    private int[] Closure(IReadOnlyCollection<int> states, int? anchor = null)
    {
        var reached = new List<int>();
        var work = new Stack<int>(states);
        _closure++;
        while (work.TryPop(out int state))
        {
            if (_seen[state] == _closure)
                continue;
            _seen[state] = _closure;
            if (++_work > MostWork)
                throw new SchemaException(_path, "the pattern takes too much work; use fewer repeats of what may be empty");
            if (_takes[state] is not null || _free[state].Count == 0)
                reached.Add(state);
            foreach (int next in _free[state])
                work.Push(next);
            if (_takes[state] is { } taking && taking.Set.Ranges is [var (only, _)] && only == anchor)
                work.Push(taking.Target);
        }
        reached.Sort();
        return [.. reached];
    }
}
