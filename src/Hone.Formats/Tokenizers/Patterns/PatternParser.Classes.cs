using System.Globalization;

namespace Hone.Formats.Tokenizers;

/// <content>Escapes and classes in brackets.</content>
internal sealed partial class PatternParser
{
    private static readonly SetNode s_line = new(c => c is (>= '\n' and <= '\r') or 0x85 or 0x2028 or 0x2029);

    private PatternNode Escape()
    {
        if (AtEnd)
            throw Invalid("a '\\' ends it");
        switch (Here)
        {
            case 'b': return At(Place.WordBoundary);
            case 'B': return At(Place.NoWordBoundary);
            case 'A': return At(Place.TextStart);
            case 'z': return At(Place.TextEnd);
            case 'Z': return At(Place.TextEndOrLastLine);
            case 'R':
                _at++;
                return new AtomicNode(new ChoiceNode([new SequenceNode([new SetNode(c => c == '\r', '\r'), new SetNode(c => c == '\n', '\n')]), s_line]));
            default:
                return EscapedClass() is { } contains ? Set(contains) : Character(EscapedCharacter());
        }
    }

    private PlaceNode At(Place place)
    {
        _at++;
        return new PlaceNode(place);
    }

    /// <summary><c>\d</c>, <c>\p{L}</c> and the like, after the backslash; null for anything else.</summary>
    private Func<int, bool>? EscapedClass()
    {
        char letter = Here;
        Func<int, bool>? contains = char.ToLowerInvariant(letter) switch
        {
            'd' => CharacterClasses.Digit,
            's' => CharacterClasses.Space,
            'w' => CharacterClasses.Word,
            'h' => CharacterClasses.HexDigit,
            'p' => _ => true,
            _ => null,
        };
        if (contains is null)
            return null;
        _at++;
        bool negated = char.IsAsciiLetterUpper(letter);
        if (letter is 'p' or 'P')
        {
            int end = Take('{') ? _pattern.IndexOf('}', _at) : -1;
            if (end < 0)
                throw Invalid("wanted is \\p{NAME}");
            negated ^= Take('^');
            string name = _pattern[_at..end];
            contains = CharacterClasses.Named(name) ?? throw Invalid($"the class \\p{{{name.Shown(40)}}} is not supported");
            _at = end + 1;
        }
        return negated ? c => !contains(c) : contains;
    }

    /// <summary>The character that an escape means, after the backslash.</summary>
    private int EscapedCharacter()
    {
        int c = CodePoint();
        switch (c)
        {
            case 't': return '\t';
            case 'n': return '\n';
            case 'r': return '\r';
            case 'f': return '\f';
            case 'v': return '\v';
            case 'a': return '\a';
            case 'e': return 0x1B;
            case 'x':
                if (!Take('{'))
                    return Hex(1, 2);
                int wide = Hex(1, 8);
                return Take('}') ? wide : throw Invalid("wanted is '}' after \\x{…");
            case 'u': return Hex(4, 4);
            case '0' when AtEnd || !char.IsAsciiDigit(Here): return 0;
            case < 128 when char.IsAsciiLetterOrDigit((char)c): throw Invalid($"'\\{(char)c}' is not supported");
            default: return c;
        }
    }

    private int Hex(int least, int most)
    {
        int length = 0;
        while (length < most && _at + length < _pattern.Length && char.IsAsciiHexDigit(_pattern[_at + length]))
            length++;
        if (length < least || !int.TryParse(_pattern.AsSpan(_at, length), NumberStyles.HexNumber, CultureInfo.InvariantCulture, out int value) || value is < 0 or > 0x10FFFF)
            throw Invalid("wanted are hexadecimal digits of a code point");
        _at += length;
        return value;
    }

    /// <summary><c>[a-z&amp;&amp;[^b]\p{L}[:digit:]]</c>.</summary>
    private Func<int, bool> Class()
    {
        if (++_depth > DeepestGroup)
            throw Invalid($"classes are nested more than {DeepestGroup} deep");
        _at++;
        bool negated = Take('^');
        List<Func<int, bool>> intersected = [];
        List<Func<int, bool>> items = [];
        for (bool first = true; ; first = false)
        {
            if (AtEnd)
                throw Invalid("a '[' without its ']'");
            if (Here == ']' && !first)
                break;
            if (Take("&&"))
            {
                intersected.Add(AnyOf(items));
                items = [];
            }
            else
                items.Add(ClassItem());
        }
        _at++;
        _depth--;
        intersected.Add(AnyOf(items));
        Func<int, bool> contains = intersected.Count == 1 ? intersected[0] : c => intersected.All(set => set(c));
        return negated ? c => !contains(c) : contains;
    }

    private Func<int, bool> ClassItem()
    {
        if (Here == '[')
            return _pattern.AsSpan(_at).StartsWith("[:", StringComparison.Ordinal) && _pattern.IndexOf(":]", _at, StringComparison.Ordinal) is > 0 and int end ? Posix(end) : Class();
        int first;
        if (Take('\\'))
        {
            if (AtEnd)
                throw Invalid("a '\\' ends it");
            if (EscapedClass() is { } contains)
                return contains;
            first = Take('b') ? '\b' : EscapedCharacter();
        }
        else
            first = CodePoint();
        if (_at + 1 >= _pattern.Length || Here != '-' || _pattern[_at + 1] is ']' or '[')
            return c => c == first;
        int hyphen = _at++;
        int last;
        if (Take('\\'))
        {
            if (AtEnd || EscapedClass() is not null)
            {
                _at = hyphen; // a plain hyphen before a class
                return c => c == first;
            }
            last = Take('b') ? '\b' : EscapedCharacter();
        }
        else
            last = CodePoint();
        if (last < first)
            throw Invalid("a range whose end is before its beginning");
        return c => c >= first && c <= last;
    }

    private Func<int, bool> Posix(int end)
    {
        _at += 2;
        bool negated = Take('^');
        string name = _pattern[_at..end];
        Func<int, bool> contains = CharacterClasses.Named(name) ?? throw Invalid($"the class [:{name.Shown(40)}:] is not supported");
        _at = end + 2;
        return negated ? c => !contains(c) : contains;
    }

    private static Func<int, bool> AnyOf(List<Func<int, bool>> items)
    {
        return items.Count == 1 ? items[0] : Any;

        bool Any(int c)
        {
            foreach (Func<int, bool> item in items)
            {
                if (item(c))
                    return true;
            }
            return false;
        }
    }
}
