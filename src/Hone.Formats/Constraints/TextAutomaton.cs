namespace Hone.Formats.Constraints;

/// <summary>An edge of an automaton: the symbols <paramref name="Low"/> to <paramref name="High"/> lead to the state <paramref name="Target"/>.</summary>
internal readonly record struct Edge(int Low, int High, int Target);

/// <summary>
/// A deterministic automaton over code points (or over bytes: literals). It has only states from which an end can be reached, so that what follows its edges can always be
/// completed. State 0 is the first.
/// </summary>
internal sealed class TextAutomaton
{
    private const int MostStates = 20_000;
    private const int MostEdges = 400_000;

    private static int s_count;

    private readonly Edge[][] _edges; // ascending, each
    private readonly bool[] _ends;
    private int[]? _toEnd;
    private int _farthest = -1;

    private TextAutomaton(Edge[][] edges, bool[] ends) => (_edges, _ends) = (edges, ends);

    /// <summary>Tells automata apart.</summary>
    public int Id { get; } = Interlocked.Increment(ref s_count);

    public int States => _edges.Length;

    public long Edges => _edges.Sum(e => (long)e.Length);

    /// <summary>No text at all is taken.</summary>
    public bool IsEmpty => _edges.Length == 0;

    /// <summary>Every text.</summary>
    public static TextAutomaton Any { get; } = new([[.. CharacterSet.All.Ranges.Select(r => new Edge(r.Low, r.High, 0))]], [true]);

    public ReadOnlySpan<Edge> EdgesOf(int state) => _edges[state];

    public bool IsEnd(int state) => _ends[state];

    /// <returns>−1 where there is none.</returns>
    public int Next(int state, int symbol)
    {
        int at = Find(state, symbol);
        return at < _edges[state].Length && _edges[state][at].Low <= symbol ? _edges[state][at].Target : -1;
    }

    /// <summary>Symbols of the shortest way from a state to an end.</summary>
    public int ToEnd(int state) => Distances[state];

    /// <summary>From the state farthest from an end.</summary>
    public int Farthest => _farthest >= 0 ? _farthest : _farthest = Distances.Max();

    private int[] Distances => _toEnd ??= FindDistances();

    /// <summary>Whether a state may follow where so many symbols may still come, the one to it included; −1: any number.</summary>
    public bool IsNear(int state, int most) => most < 0 || ToEnd(state) < most;

    /// <summary>Whether any of the symbols leads on, where so many may still come; −1: any number.</summary>
    public bool Leads(int state, int low, int high, int most)
    {
        Edge[] edges = _edges[state];
        for (int at = Find(state, low); at < edges.Length && edges[at].Low <= high; at++)
        {
            if (IsNear(edges[at].Target, most))
                return true;
        }
        return false;
    }

    /// <summary>Where all of the symbols lead to; −1 where they part, or some lead nowhere.</summary>
    public int Common(int state, int low, int high)
    {
        int at = Find(state, low);
        return at < _edges[state].Length && _edges[state][at].Low <= low && _edges[state][at].High >= high ? _edges[state][at].Target : -1;
    }

    public bool Takes(string text)
    {
        if (IsEmpty)
            return false;
        int state = 0;
        for (int i = 0; i < text.Length && state >= 0; i++)
        {
            int c = text[i];
            if (char.IsHighSurrogate(text[i]) && i + 1 < text.Length && char.IsLowSurrogate(text[i + 1]))
                c = char.ConvertToUtf32(text[i], text[++i]);
            state = Next(state, c);
        }
        return state >= 0 && _ends[state];
    }

    /// <summary>The first edge that does not lie before the symbol.</summary>
    private int Find(int state, int symbol)
    {
        Edge[] edges = _edges[state];
        (int low, int high) = (0, edges.Length);
        while (low < high)
        {
            int middle = (low + high) / 2;
            if (edges[middle].High < symbol)
                low = middle + 1;
            else
                high = middle;
        }
        return low;
    }

    /// <summary>Exactly these sequences of symbols.</summary>
    public static TextAutomaton Literals(IEnumerable<IReadOnlyList<int>> texts)
    {
        var edges = new List<SortedDictionary<int, int>> { new() };
        var ends = new List<bool> { false };
        bool any = false;
        foreach (IReadOnlyList<int> text in texts)
        {
            int state = 0;
            foreach (int symbol in text)
            {
                if (!edges[state].TryGetValue(symbol, out int next))
                {
                    edges[state].Add(symbol, next = edges.Count);
                    edges.Add(new());
                    ends.Add(false);
                }
                state = next;
            }
            ends[state] = any = true;
        }
        return any ? new TextAutomaton([.. edges.Select(e => e.Select(p => new Edge(p.Key, p.Key, p.Value)).ToArray())], [.. ends]) : new TextAutomaton([], []);
    }

    /// <summary>Every text but these.</summary>
    public static TextAutomaton AllBut(IEnumerable<string> texts)
    {
        TextAutomaton taken = Literals(texts.Select(t => (IReadOnlyList<int>)[.. t.EnumerateRunes().Select(r => r.Value)]));
        if (taken.IsEmpty)
            return Any;
        int free = taken.States; // after a symbol that leaves them all
        var edges = new Edge[free + 1][];
        for (int state = 0; state < free; state++)
        {
            Edge[] own = taken._edges[state];
            CharacterSet others = CharacterSet.Of(own.Select(e => (e.Low, e.High))).Negated();
            edges[state] = [.. own.Concat(others.Ranges.Select(r => new Edge(r.Low, r.High, free))).OrderBy(e => e.Low)];
        }
        edges[free] = [.. CharacterSet.All.Ranges.Select(r => new Edge(r.Low, r.High, free))];
        return new TextAutomaton(edges, [.. taken._ends.Select(e => !e), true]);
    }

    /// <summary>Any bytes in which these do not occur.</summary>
    public static TextAutomaton Without(ReadOnlySpan<byte> mark) => Searching(mark, found: false);

    /// <summary>Any bytes that end with these, which do not occur before.</summary>
    public static TextAutomaton UpTo(ReadOnlySpan<byte> mark) => Searching(mark, found: true);

    /// <summary>Any bytes that do not begin with these.</summary>
    public static TextAutomaton NotBeginningWith(ReadOnlySpan<byte> mark)
    {
        int free = mark.Length;
        var edges = new Edge[free + 1][];
        for (int state = 0; state < free; state++)
        {
            var own = new List<Edge>();
            if (mark[state] > 0)
                own.Add(new Edge(0, mark[state] - 1, free));
            if (state < free - 1)
                own.Add(new Edge(mark[state], mark[state], state + 1));
            if (mark[state] < 255)
                own.Add(new Edge(mark[state] + 1, 255, free));
            edges[state] = [.. own];
        }
        edges[free] = [new Edge(0, 255, free)];
        return new TextAutomaton(edges, [.. Enumerable.Repeat(true, free + 1)]);
    }

    /// <summary>State s: the last s bytes are the mark's first, and no more are.</summary>
    private static TextAutomaton Searching(ReadOnlySpan<byte> mark, bool found)
    {
        int length = mark.Length;
        var edges = new Edge[length + 1][];
        for (int state = 0; state < length; state++)
        {
            var own = new List<Edge>();
            for (int symbol = 0; symbol < 256; symbol++)
            {
                byte[] behind = [.. mark[..state], (byte)symbol];
                int next = behind.Length;
                while (!behind.AsSpan(behind.Length - next).SequenceEqual(mark[..next]))
                    next--;
                own.Add(new Edge(symbol, symbol, next));
            }
            edges[state] = [.. own.Where(e => found || e.Target < length)];
        }
        edges[length] = [];
        return Trimmed(edges, [.. Enumerable.Range(0, length + 1).Select(s => found == (s == length))]);
    }

    /// <summary>What a pattern finds a match in.</summary>
    /// <exception cref="SchemaException"/>
    public static TextAutomaton Matching(string pattern, string path) =>
        PatternAutomaton.Compile(PatternReader.Read(pattern, path), path, MostStates, MostEdges);

    /// <summary>The texts of this automaton that have so many symbols or more.</summary>
    /// <exception cref="SchemaException"/>
    public TextAutomaton AtLeast(int least, string path)
    {
        if (IsEmpty || least <= ToEnd(0))
            return this;
        if (least >= MostStates)
            throw new SchemaException(path, $"a pattern or format beside a minLength of {MostStates:N0} or more takes too much; lower it");
        Edge[][] counting = [.. Enumerable.Range(0, least + 1).Select(s => CharacterSet.All.Ranges.Select(r => new Edge(r.Low, r.High, Math.Min(s + 1, least))).ToArray())];
        return And(new TextAutomaton(counting, [.. counting.Select((_, s) => s == least)]), path, "its pattern or format and minLength");
    }

    /// <summary>The texts that both take.</summary>
    /// <exception cref="SchemaException"/>
    public TextAutomaton And(TextAutomaton other, string path, string what = "its patterns and formats")
    {
        if (IsEmpty || other.IsEmpty)
            return new TextAutomaton([], []);
        if (ReferenceEquals(this, Any))
            return other;
        if (ReferenceEquals(other, Any) || ReferenceEquals(this, other))
            return this;
        var ids = new Dictionary<(int, int), int> { [(0, 0)] = 0 };
        List<(int A, int B)> pairs = [(0, 0)];
        var edges = new List<Edge[]>();
        long count = 0;
        for (int i = 0; i < pairs.Count; i++)
        {
            if (pairs.Count > MostStates)
                throw new SchemaException(path, $"{what} together take more than {MostStates:N0} states; make them simpler");
            if ((count += edges.Count > 0 ? edges[^1].Length : 0) > MostEdges)
                throw new SchemaException(path, $"{what} together take more than {MostEdges:N0} edges; make them simpler");
            (Edge[] left, Edge[] right) = (_edges[pairs[i].A], other._edges[pairs[i].B]);
            var both = new List<Edge>();
            for (int a = 0, b = 0; a < left.Length && b < right.Length;)
            {
                (int low, int high) = (Math.Max(left[a].Low, right[b].Low), Math.Min(left[a].High, right[b].High));
                if (low <= high)
                {
                    (int, int) pair = (left[a].Target, right[b].Target);
                    if (!ids.TryGetValue(pair, out int target))
                    {
                        ids.Add(pair, target = pairs.Count);
                        pairs.Add(pair);
                    }
                    both.Add(new Edge(low, high, target));
                }
                if (left[a].High < right[b].High)
                    a++;
                else
                    b++;
            }
            edges.Add([.. both]);
        }
        return Trimmed([.. edges], [.. pairs.Select(p => _ends[p.A] && other._ends[p.B])]);
    }

    /// <summary>Without the states from which no end is reached; edges of one target that touch are joined.</summary>
    public static TextAutomaton Trimmed(Edge[][] edges, bool[] ends)
    {
        List<int>[] from = Before(edges);
        var live = new bool[edges.Length];
        var work = new Stack<int>(Enumerable.Range(0, edges.Length).Where(s => ends[s]));
        while (work.TryPop(out int state))
        {
            if (live[state])
                continue;
            live[state] = true;
            foreach (int before in from[state])
                work.Push(before);
        }
        if (edges.Length == 0 || !live[0])
            return new TextAutomaton([], []);
        var id = new int[edges.Length];
        int count = 0;
        for (int s = 0; s < edges.Length; s++)
            id[s] = live[s] ? count++ : -1;
        var kept = new List<Edge[]>(count);
        for (int s = 0; s < edges.Length; s++)
        {
            if (!live[s])
                continue;
            var joined = new List<Edge>();
            foreach (Edge edge in edges[s])
            {
                if (id[edge.Target] < 0)
                    continue;
                if (joined.Count > 0 && joined[^1].Target == id[edge.Target] && joined[^1].High + 1 == edge.Low)
                    joined[^1] = joined[^1] with { High = edge.High };
                else
                    joined.Add(new Edge(edge.Low, edge.High, id[edge.Target]));
            }
            kept.Add([.. joined]);
        }
        return new TextAutomaton([.. kept], [.. ends.Where((_, s) => live[s])]);
    }

    /// <summary>Of each state those with an edge to it.</summary>
    private static List<int>[] Before(Edge[][] edges)
    {
        List<int>[] from = [.. edges.Select(_ => new List<int>())];
        for (int s = 0; s < edges.Length; s++)
        {
            foreach (Edge edge in edges[s])
                from[edge.Target].Add(s);
        }
        return from;
    }

    private int[] FindDistances()
    {
        List<int>[] from = Before(_edges);
        int[] distances = [.. _ends.Select(end => end ? 0 : -1)];
        var queue = new Queue<int>(Enumerable.Range(0, States).Where(s => _ends[s]));
        while (queue.TryDequeue(out int state))
        {
            foreach (int before in from[state].Where(s => distances[s] < 0))
            {
                distances[before] = distances[state] + 1;
                queue.Enqueue(before);
            }
        }
        return distances;
    }

    /// <summary>Of the longest text; <see cref="int.MaxValue"/> where there is none.</summary>
    public int Longest()
    {
        var before = new int[States]; // edges into a state from states that are not done
        foreach (Edge edge in _edges.SelectMany(e => e))
            before[edge.Target]++;
        var longest = new int[States];
        var ready = new Stack<int>(before[0] == 0 ? [0] : []);
        int done = 0;
        while (ready.TryPop(out int state))
        {
            done++;
            foreach (Edge edge in _edges[state])
            {
                longest[edge.Target] = Math.Max(longest[edge.Target], longest[state] + 1);
                if (--before[edge.Target] == 0)
                    ready.Push(edge.Target);
            }
        }
        return done == States ? longest.Max() : int.MaxValue;
    }
}
