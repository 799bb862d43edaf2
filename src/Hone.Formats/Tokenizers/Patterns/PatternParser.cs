using System.Globalization;

namespace Hone.Formats.Tokenizers;

/// <summary>A pattern is not understood; says where in it and why.</summary>
internal sealed class PatternException(string message) : Exception(message);

/// <summary>
/// Reads regular expressions as Oniguruma does by default, which is what the <c>tokenizers</c> library uses: on code points, with Ruby's syntax.
/// References and named calls are not supported.
/// </summary>
internal sealed partial class PatternParser
{
    private const int LongestPattern = 1 << 16;
    private const int DeepestGroup = 60;
    private const int MostRepeats = 1_000;

    private readonly string _pattern;
    private int _at;
    private int _depth;
    private bool _ignoreCase;
    private bool _dotTakesLines;

    private PatternParser(string pattern) => _pattern = pattern;

    /// <exception cref="PatternException">The pattern is not valid or not supported.</exception>
    public static PatternNode Parse(string pattern)
    {
        if (pattern.Length > LongestPattern)
            throw new PatternException($"it has {pattern.Length} characters; at most {LongestPattern} are supported");
        var parser = new PatternParser(CodePoints.Valid(pattern));
        PatternNode node = parser.Choice();
        return parser._at == pattern.Length ? node : throw parser.Invalid("a ')' without its '('");
    }

    private bool AtEnd => _at == _pattern.Length;

    private char Here => _pattern[_at];

    private PatternNode Choice()
    {
        if (++_depth > DeepestGroup)
            throw Invalid($"groups are nested more than {DeepestGroup} deep");
        (bool ignoreCase, bool dotTakesLines) = (_ignoreCase, _dotTakesLines);
        List<PatternNode> choices = [Sequence()];
        while (Take('|'))
            choices.Add(Sequence());
        (_ignoreCase, _dotTakesLines) = (ignoreCase, dotTakesLines);
        _depth--;
        return choices.Count == 1 ? choices[0] : new ChoiceNode(choices);
    }

    private SequenceNode Sequence()
    {
        List<PatternNode> items = [];
        while (!AtEnd && Here is not ('|' or ')'))
        {
            PatternNode? item = Item();
            while (item is not null && Repeat(ref item))
            {
            }
            if (item is not null)
                items.Add(item);
        }
        return new SequenceNode(items);
    }

    /// <summary>Null for what matches nothing and counts as nothing: a comment, or flags.</summary>
    private PatternNode? Item()
    {
        switch (Here)
        {
            case '(': return Group();
            case '[': return Set(Class());
            case '.':
                _at++;
                return _dotTakesLines ? new SetNode(_ => true) : new SetNode(c => c != '\n');
            case '^':
                _at++;
                return new PlaceNode(Place.LineStart);
            case '$':
                _at++;
                return new PlaceNode(Place.LineEnd);
            case '*' or '+' or '?':
                throw Invalid($"'{Here}' has nothing before it to repeat");
            case '\\':
                _at++;
                return Escape();
            default:
                return Character(CodePoint());
        }
    }

    private PatternNode? Group()
    {
        _at++;
        PatternNode? node;
        if (!Take('?'))
            node = Choice();
        else if (Take('#'))
        {
            while (!AtEnd && Here != ')')
                _at++;
            node = null;
        }
        else if (Take(':'))
            node = Choice();
        else if (Take('>'))
            node = new AtomicNode(Choice());
        else if (Take('='))
            node = new LookNode(Choice(), Behind: false, Negated: false);
        else if (Take('!'))
            node = new LookNode(Choice(), Behind: false, Negated: true);
        else if (Take("<="))
            node = Behind(negated: false);
        else if (Take("<!"))
            node = Behind(negated: true);
        else if (Take('<'))
        {
            while (!AtEnd && Here != '>')
                _at++;
            if (!Take('>'))
                throw Invalid("the group's name does not end");
            node = Choice();
        }
        else
        {
            node = Flags(out bool closed);
            if (closed)
                return node;
        }
        if (!Take(')'))
            throw Invalid("a '(' without its ')'");
        return node;
    }

    private LookNode Behind(bool negated)
    {
        PatternNode node = Choice();
        bool known = node is ChoiceNode choice ? choice.Items.All(item => item.FixedLength is not null) : node.FixedLength is not null;
        return known ? new LookNode(node, Behind: true, negated) : throw Invalid("what is looked for behind has no fixed length");
    }

    /// <summary><c>(?i:…)</c>; without the colon the flags hold for all that follows in the group, which becomes one part with its alternatives.</summary>
    private PatternNode Flags(out bool closed)
    {
        bool on = true;
        (bool outerCase, bool outerDot) = (_ignoreCase, _dotTakesLines);
        for (; !AtEnd && Here is not (')' or ':'); _at++)
        {
            switch (Here)
            {
                case '-': on = false; break;
                case 'i': _ignoreCase = on; break;
                case 'm': _dotTakesLines = on; break;
                case 'x' when !on: break;
                default: throw Invalid($"'(?{Here}' is not supported");
            }
        }
        closed = Take(')');
        if (!closed && !Take(':'))
            throw Invalid("a '(' without its ')'");
        PatternNode node = Choice();
        (_ignoreCase, _dotTakesLines) = (outerCase, outerDot);
        return node;
    }

    private bool Repeat(ref PatternNode item)
    {
        int start = _at;
        (int least, int most) = (0, -1);
        if (AtEnd)
            return false;
        bool interval = false;
        switch (Here)
        {
            case '*': break;
            case '+': least = 1; break;
            case '?': most = 1; break;
            case '{' when Interval(out least, out most): interval = true; break;
            default: return false;
        }
        if (!interval)
            _at++;
        if (least > MostRepeats || most > MostRepeats)
            throw Invalid($"more than {MostRepeats} repeats");
        if (most >= 0 && most < least)
            throw Invalid("a repeat of fewer than its least times");
        Greed greed = Greed.Greedy;
        if (interval && Take('?'))
        {
            // {n}? is not lazy but optional, as Oniguruma has it.
            if (least == most)
            {
                item = new RepeatNode(new RepeatNode(item, least, most, Greed.Greedy), 0, 1, Greed.Greedy);
                return true;
            }
            greed = Greed.Lazy;
        }
        else if (!interval && Take('?'))
            greed = Greed.Lazy;
        else if (!interval && Take('+'))
            greed = Greed.Possessive;
        if (most < 0 && item.CanBeEmpty)
            throw Invalid($"the repeat at character {start + 1} is of what can be empty, which is not supported");
        item = new RepeatNode(item, least, most, greed);
        return true;
    }

    /// <summary><c>{n}</c>, <c>{n,}</c>, <c>{,m}</c>, <c>{n,m}</c>; anything else is a plain brace.</summary>
    private bool Interval(out int least, out int most)
    {
        (least, most) = (0, -1);
        int end = _pattern.IndexOf('}', _at);
        if (end < 0)
            return false;
        string[] bounds = _pattern[(_at + 1)..end].Split(',');
        if (bounds.Length > 2 || bounds.All(b => b.Length == 0) || !bounds.All(b => b.Length < 6 && b.All(char.IsAsciiDigit)))
            return false;
        least = bounds[0].Length == 0 ? 0 : int.Parse(bounds[0], CultureInfo.InvariantCulture);
        most = bounds.Length == 1 ? least : bounds[1].Length == 0 ? -1 : int.Parse(bounds[1], CultureInfo.InvariantCulture);
        _at = end + 1;
        return true;
    }

    private SetNode Character(int codePoint)
    {
        int[] variants = _ignoreCase ? CharacterClasses.CaseVariants(codePoint) : [codePoint];
        return variants.Length == 1 ? new SetNode(c => c == codePoint, codePoint) : new SetNode(c => variants.Contains(c));
    }

    private SetNode Set(Func<int, bool> contains) => new(_ignoreCase ? c => CharacterClasses.CaseVariants(c).Any(contains) : contains);

    private int CodePoint()
    {
        int codePoint = CodePoints.RuneAt(_pattern, _at, out int length).Value;
        _at += length;
        return codePoint;
    }

    private bool Take(char c)
    {
        if (AtEnd || Here != c)
            return false;
        _at++;
        return true;
    }

    private bool Take(string text)
    {
        if (!_pattern.AsSpan(_at).StartsWith(text, StringComparison.Ordinal))
            return false;
        _at += text.Length;
        return true;
    }

    private PatternException Invalid(string what) => new($"at its character {_at + 1}: {what}");
}
