namespace Hone.Formats.Tokenizers;

/// <summary>
/// A regular expression on code points, matched by backtracking: of several ways the first that the pattern names counts, as in Oniguruma.
/// A surrogate pair is one code point; classes are the runtime's, of Unicode 16.
/// </summary>
internal sealed class RegexPattern : TextPattern
{
    private const int DeepestStack = 1 << 20;
    private const int KeptStack = 1 << 14;

    [ThreadStatic]
    private static (int Step, int At, int Least)[]? t_stack;

    [ThreadStatic]
    private static int t_depth;

    private readonly PatternStep[] _steps;

    private RegexPattern(PatternStep[] steps) => _steps = steps;

    /// <exception cref="PatternException">The pattern is not valid or not supported.</exception>
    public static RegexPattern Parse(string pattern, string source = "the tokenizer") => new(PatternCompiler.Compile(PatternParser.Parse(pattern))) { Source = source };

    public override bool TryFind(ReadOnlySpan<char> text, int from, ref PatternBudget budget, out int start, out int end)
    {
        t_stack ??= new (int, int, int)[256];
        try
        {
            for (start = from; start <= text.Length; start++)
            {
                if (start > 0 && start < text.Length && char.IsLowSurrogate(text[start]))
                    continue;
                t_depth = 0;
                end = Run(0, start, text, ref budget);
                if (end >= 0)
                    return true;
            }
        }
        finally
        {
            if (t_stack.Length > KeptStack)
                t_stack = null;
        }
        end = -1;
        return false;
    }

    /// <summary>Where a match that begins at <paramref name="at"/> ends; -1 for none.</summary>
    private int Run(int step, int at, ReadOnlySpan<char> text, ref PatternBudget budget)
    {
        int bottom = t_depth;
        int spent = 1;
        while (true)
        {
            PatternStep now = _steps[step];
            int next = -1;
            spent++;
            switch (now.Operation)
            {
                case PatternOperation.Character:
                    if (at < text.Length && text[at] == now.Value)
                        (at, next) = (at + 1, step + 1);
                    break;
                case PatternOperation.Set:
                    if (now.Set!.Matches(text, at, out int length))
                        (at, next) = (at + length, step + 1);
                    break;
                case PatternOperation.Loop:
                    (int end, int least) = Loop(now, text, at);
                    spent += (end - at) >> 3;
                    if (end < 0)
                        break;
                    if (end > least && !now.Flag)
                        Push(step + 1, end, least);
                    (at, next) = (end, step + 1);
                    break;
                case PatternOperation.Split:
                    Push(now.Flag ? step + 1 : now.Target, at, -1);
                    next = now.Flag ? now.Target : step + 1;
                    break;
                case PatternOperation.Jump:
                    next = now.Target;
                    break;
                case PatternOperation.Accept:
                    budget.Spend(spent);
                    t_depth = bottom;
                    return at;
                case PatternOperation.Look:
                    int place = Back(text, at, now.Value);
                    if ((place >= 0 && Run(step + 1, place, text, ref budget) >= 0) != now.Flag)
                        next = now.Target;
                    break;
                case PatternOperation.Atomic:
                    int behind = Run(step + 1, at, text, ref budget);
                    if (behind >= 0)
                        (at, next) = (behind, now.Target);
                    break;
                case PatternOperation.Place:
                    if (IsAt((Place)now.Value, text, at))
                        next = step + 1;
                    break;
            }
            if (next < 0)
            {
                if (t_depth == bottom)
                {
                    budget.Spend(spent);
                    return -1;
                }
                if (spent > 4096)
                {
                    budget.Spend(spent);
                    spent = 0;
                }
                (next, at, int least) = t_stack![--t_depth];
                if (least >= 0)
                {
                    // A loop gives back one code point.
                    at = Back(text, at, 1);
                    if (at > least)
                        t_stack[t_depth++].At = at;
                }
            }
            step = next;
        }
    }

    /// <summary>As many as there are: where they end, and where the fewest end; -1 when there are fewer.</summary>
    private static (int End, int Least) Loop(PatternStep loop, ReadOnlySpan<char> text, int at)
    {
        int least = loop.Value == 0 ? at : -1;
        for (int count = 0; count != loop.Most && loop.Set!.Matches(text, at, out int length);)
        {
            at += length;
            if (++count == loop.Value)
                least = at;
        }
        return least < 0 ? (-1, -1) : (at, least);
    }

    /// <summary>So many code points before a place; -1 when there are fewer.</summary>
    private static int Back(ReadOnlySpan<char> text, int at, int count)
    {
        for (; count > 0; count--)
        {
            if (at == 0)
                return -1;
            at -= at > 1 && char.IsSurrogatePair(text[at - 2], text[at - 1]) ? 2 : 1;
        }
        return at;
    }

    private static bool IsAt(Place place, ReadOnlySpan<char> text, int at) => place switch
    {
        Place.TextStart => at == 0,
        Place.TextEnd => at == text.Length,
        Place.TextEndOrLastLine => at == text.Length || (at == text.Length - 1 && text[at] == '\n'),
        Place.LineStart => at == 0 || (text[at - 1] == '\n' && at < text.Length),
        Place.LineEnd => at == text.Length || text[at] == '\n',
        Place.WordBoundary => IsBoundary(text, at),
        _ => !IsBoundary(text, at),
    };

    private static bool IsBoundary(ReadOnlySpan<char> text, int at)
    {
        int before = Back(text, at, 1);
        bool left = before >= 0 && CodePoints.IsWord(CodePoints.RuneAt(text, before, out _).Value);
        return left != (at < text.Length && CodePoints.IsWord(CodePoints.RuneAt(text, at, out _).Value));
    }

    private static void Push(int step, int at, int least)
    {
        if (t_depth == t_stack!.Length)
        {
            if (t_depth >= DeepestStack)
                throw new InvalidFileException("A pattern of the tokenizer keeps too many ways open on a text: it repeats a group over millions of characters. Simplify the pattern in tokenizer.json.");
            Array.Resize(ref t_stack, t_depth * 2);
        }
        t_stack[t_depth++] = (step, at, least);
    }
}
