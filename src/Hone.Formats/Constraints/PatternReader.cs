using System.Collections.Concurrent;
using System.Globalization;
using Hone.Formats.Tokenizers;

namespace Hone.Formats.Constraints;

/// <summary>
/// Reads the regular expressions of ECMA-262 as JSON Schema uses them, on code points. What is not regular (references to groups, looking ahead or behind, word
/// boundaries) is refused.
/// </summary>
internal sealed class PatternReader
{
    private const int DeepestGroup = 200;
    private const int MostRepeats = 5_000;

    private const int MostKnownProperties = 200;

    // Going through all of Unicode takes milliseconds.
    private static readonly ConcurrentDictionary<string, CharacterSet> s_properties = new();

    private readonly string _pattern;
    private readonly string _path;
    private int _at;
    private int _depth;

    private PatternReader(string pattern, string path) => (_pattern, _path) = (pattern, path);

    private bool AtEnd => _at >= _pattern.Length;

    /// <exception cref="SchemaException"/>
    public static PatternTree Read(string pattern, string path)
    {
        var reader = new PatternReader(pattern, path);
        PatternTree tree = reader.Choice();
        return reader.AtEnd ? tree : throw reader.Invalid("a ')' has no '('");
    }

    private PatternTree Choice()
    {
        if (++_depth > DeepestGroup)
            throw Invalid($"its groups are nested deeper than {DeepestGroup}");
        var choices = new List<PatternTree> { Sequence() };
        while (Take('|'))
            choices.Add(Sequence());
        _depth--;
        return choices.Count == 1 ? choices[0] : new PatternTree.Choice(choices);
    }

    private PatternTree.Sequence Sequence()
    {
        var items = new List<PatternTree>();
        while (!AtEnd && _pattern[_at] is not ('|' or ')'))
        {
            PatternTree item = Atom();
            if (Quantifier() is { } times)
                item = new PatternTree.Repeat(item, times.Least, times.Most);
            items.Add(item);
        }
        return new PatternTree.Sequence(items);
    }

    private (int Least, int Most)? Quantifier()
    {
        (int, int)? times = AtEnd ? null : _pattern[_at] switch
        {
            '*' => (0, -1),
            '+' => (1, -1),
            '?' => (0, 1),
            _ => null,
        };
        if (times is not null)
            _at++;
        else
            times = Braces();
        if (times is not null)
            Take('?'); // lazy: the same texts
        return times;
    }

    /// <summary><c>{2}</c>, <c>{2,}</c>, <c>{2,5}</c>; anything else in braces is text.</summary>
    private (int, int)? Braces()
    {
        if (AtEnd || _pattern[_at] != '{')
            return null;
        int end = _pattern.IndexOf('}', _at);
        string[] parts = end < 0 ? [] : _pattern[(_at + 1)..end].Split(',');
        if (parts.Length is 0 or > 2 || Times(parts[0]) is not { } least)
            return null;
        int? most = parts.Length == 1 ? least : parts[1].Length == 0 ? -1 : Times(parts[1]);
        if (most is null)
            return null;
        if (least > MostRepeats || most > MostRepeats)
            throw Invalid($"it repeats a part more than {MostRepeats:N0} times");
        if (most >= 0 && most < least)
            throw Invalid("the numbers of a repeat are out of order");
        _at = end + 1;
        return (least, most.Value);

        static int? Times(string digits) => digits.Length is > 0 and < 9 && digits.All(char.IsAsciiDigit) ? int.Parse(digits, CultureInfo.InvariantCulture) : null;
    }

    private PatternTree Atom()
    {
        char c = _pattern[_at];
        switch (c)
        {
            case '^': return Single(CharacterSet.Of((CharacterSet.Beginning, CharacterSet.Beginning)));
            case '$': return Single(CharacterSet.Of((CharacterSet.End, CharacterSet.End)));
            case '.': return Single(CharacterSet.LineEnds.Negated());
            case '(': return Group();
            case '[': return new PatternTree.Characters(Class());
            case '*' or '+' or '?':
            case '{' when Braces() is not null: throw Invalid($"there is nothing before '{c}' to repeat");
            case '\\':
                _at++;
                return new PatternTree.Characters(EscapedClass() ?? Only(EscapedCharacter(inClass: false)));
            default: return new PatternTree.Characters(Only(Character()));
        }
    }

    private PatternTree.Characters Single(CharacterSet set)
    {
        _at++;
        return new PatternTree.Characters(set);
    }

    private PatternTree Group()
    {
        _at++;
        if (Take('?') && !Take(':'))
        {
            // (?<name>…) is a group; (?<=…) and (?<!…) look behind.
            int end = _pattern.IndexOf('>', _at);
            if (AtEnd || _pattern[_at] != '<' || end < 0 || _pattern[_at + 1] is '=' or '!')
                throw Invalid("looking ahead or behind and modes of groups are not regular");
            _at = end + 1;
        }
        PatternTree item = Choice();
        return Take(')') ? item : throw Invalid("a '(' has no ')'");
    }

    private CharacterSet Class()
    {
        _at++;
        bool negated = Take('^');
        CharacterSet set = CharacterSet.Of();
        while (!Take(']'))
        {
            (CharacterSet item, int? low) = ClassItem();
            if (low is { } from && _at + 1 < _pattern.Length && _pattern[_at] == '-' && _pattern[_at + 1] != ']')
            {
                _at++;
                int to = ClassItem().Only ?? throw Invalid("a range in brackets ends with a class");
                if (to < from)
                    throw Invalid("a range in brackets is out of order");
                item = CharacterSet.Of((from, to));
            }
            set = set.Or(item);
        }
        return negated ? set.Negated() : set;
    }

    private (CharacterSet Set, int? Only) ClassItem()
    {
        if (AtEnd)
            throw Invalid("a '[' has no ']'");
        if (!Take('\\'))
        {
            int c = Character();
            return (Only(c), c);
        }
        if (EscapedClass() is { } set)
            return (set, null);
        int escaped = EscapedCharacter(inClass: true);
        return (Only(escaped), escaped);
    }

    /// <summary><c>\d</c>, <c>\p{L}</c> and the like, after the backslash; null for anything else.</summary>
    private CharacterSet? EscapedClass()
    {
        if (AtEnd)
            throw Invalid("a '\\' ends it");
        char letter = _pattern[_at];
        CharacterSet? set = char.ToLowerInvariant(letter) switch
        {
            'd' => CharacterSet.Digits,
            'w' => CharacterSet.Words,
            's' => CharacterSet.Spaces,
            'p' => Property(),
            _ => null,
        };
        if (set is null)
            return null;
        _at++;
        return char.IsAsciiLetterUpper(letter) ? set.Negated() : set;
    }

    private CharacterSet Property()
    {
        int end = _at + 1 < _pattern.Length && _pattern[_at + 1] == '{' ? _pattern.IndexOf('}', _at) : -1;
        if (end < 0)
            throw Invalid("wanted is \\p{NAME}");
        string name = _pattern[(_at + 2)..end];
        string value = name[(name.IndexOf('=', StringComparison.Ordinal) + 1)..]; // Script=Han, gc=L
        _at = end;
        if (s_properties.TryGetValue(value, out CharacterSet? known))
            return known;
        CharacterSet set = CharacterClasses.Named(value) is { } contains ? CharacterSet.Where(contains) : throw Invalid($"there is no class \\p{{{name.Shown(40)}}}");
        if (s_properties.Count < MostKnownProperties)
            s_properties[value] = set;
        return set;
    }

    private int EscapedCharacter(bool inClass)
    {
        char c = _pattern[_at++];
        switch (c)
        {
            case 't': return '\t';
            case 'n': return '\n';
            case 'v': return '\v';
            case 'f': return '\f';
            case 'r': return '\r';
            case 'b' when inClass: return '\b';
            case '0' when AtEnd || !char.IsAsciiDigit(_pattern[_at]): return 0;
            case 'c' when !AtEnd && char.IsAsciiLetter(_pattern[_at]): return _pattern[_at++] & 31;
            case 'x': return Hex(2);
            case 'u' when Take('{'):
                int end = _pattern.IndexOf('}', _at);
                int value = end < 0 || end - _at > 6 ? throw Invalid("wanted is \\u{HEX}") : Hex(end - _at);
                _at++;
                return value <= CharacterSet.Last ? value : throw Invalid("\\u{…} is beyond Unicode");
            case 'u':
                int unit = Hex(4);
                if (unit is < 0xD800 or > 0xDBFF || !_pattern.AsSpan(_at).StartsWith("\\u"))
                    return unit;
                _at += 2;
                int low = Hex(4);
                return low is >= 0xDC00 and <= 0xDFFF ? char.ConvertToUtf32((char)unit, (char)low) : throw Invalid("half of a surrogate pair");
            default:
                return char.IsAsciiLetterOrDigit(c) ? throw Invalid($"'\\{c}' is not regular, or not known") : c;
        }
    }

    private int Hex(int digits)
    {
        if (_at + digits > _pattern.Length || !int.TryParse(_pattern.AsSpan(_at, digits), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out int value))
            throw Invalid($"{digits} hexadecimal digits are missing");
        _at += digits;
        return value;
    }

    private int Character()
    {
        int c = char.IsHighSurrogate(_pattern[_at]) && _at + 1 < _pattern.Length && char.IsLowSurrogate(_pattern[_at + 1]) ? char.ConvertToUtf32(_pattern, _at) : _pattern[_at];
        _at += c > 0xFFFF ? 2 : 1;
        return c;
    }

    private static CharacterSet Only(int c) => CharacterSet.Of((c, c));

    private bool Take(char c)
    {
        if (AtEnd || _pattern[_at] != c)
            return false;
        _at++;
        return true;
    }

    private SchemaException Invalid(string why) => new(_path, $"the pattern cannot be enforced, at character {_at + 1}: {why}");
}
