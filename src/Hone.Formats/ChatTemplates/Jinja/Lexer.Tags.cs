using System.Globalization;
using System.Numerics;
using System.Text;

namespace Hone.Formats.ChatTemplates.Jinja;

internal sealed partial class Lexer
{
    private static readonly (string Text, TokenKind Kind)[] Operators =
    [
        ("//", TokenKind.FloorDiv), ("**", TokenKind.Pow), ("==", TokenKind.Eq), ("!=", TokenKind.Ne), (">=", TokenKind.GtEq), ("<=", TokenKind.LtEq),
        ("+", TokenKind.Add), ("-", TokenKind.Sub), ("/", TokenKind.Div), ("*", TokenKind.Mul), ("%", TokenKind.Mod), ("~", TokenKind.Tilde),
        ("[", TokenKind.LeftBracket), ("]", TokenKind.RightBracket), ("(", TokenKind.LeftParen), (")", TokenKind.RightParen),
        ("{", TokenKind.LeftBrace), ("}", TokenKind.RightBrace), (">", TokenKind.Gt), ("<", TokenKind.Lt), ("=", TokenKind.Assign),
        (".", TokenKind.Dot), (":", TokenKind.Colon), ("|", TokenKind.Pipe), (",", TokenKind.Comma), (";", TokenKind.Semicolon),
    ];

    /// <summary>Reads the tag whose begin mark is at <paramref name="start"/>, up to and with its end mark. Marks inside brackets are operators.</summary>
    private void ReadTag(int start, bool isBlock)
    {
        Add(isBlock ? TokenKind.BlockBegin : TokenKind.VariableBegin, "", start);
        var brackets = new Stack<char>();
        while (_position < _source.Length)
        {
            if (brackets.Count == 0 && TagEnd(isBlock) is { } end)
            {
                Add(isBlock ? TokenKind.BlockEnd : TokenKind.VariableEnd, "", _position);
                _position = end;
                return;
            }

            var c = _source[_position];
            if (Characters.IsSpace(c))
            {
                _position = SkipSpace(_position);
            }
            else if (char.IsAsciiDigit(c))
            {
                ReadNumber();
            }
            else if (c is '\'' or '"')
            {
                ReadString(c);
            }
            else if (!TryReadName() && !TryReadOperator(brackets))
            {
                throw Errors.Syntax($"unexpected char {Text.Repr(Rune.TryGetRuneAt(_source, _position, out var rune) ? rune.ToString() : c.ToString())} at {_position}", LineAt(_position));
            }
        }
    }

    private int? TagEnd(bool isBlock) =>
        isBlock ? BlockEnd(_position)
        : At(_position, "-}}") ? SkipSpace(_position + 3)
        : At(_position, "}}") ? _position + 2
        : null;

    private bool TryReadName()
    {
        var end = _position;
        while (end < _source.Length && Rune.TryGetRuneAt(_source, end, out var rune) && Characters.IsWord(rune))
        {
            end += rune.Utf16SequenceLength;
        }

        if (end == _position)
        {
            return false;
        }

        Add(TokenKind.Name, NameOf(_position, end), _position);
        _position = end;
        return true;
    }

    private bool TryReadOperator(Stack<char> brackets)
    {
        foreach (var (text, kind) in Operators)
        {
            if (!At(_position, text))
            {
                continue;
            }

            Balance(text[0], brackets);
            Add(kind, text, _position);
            _position += text.Length;
            return true;
        }

        return false;
    }

    private void Balance(char c, Stack<char> brackets)
    {
        if (c is '{' or '(' or '[')
        {
            brackets.Push(c == '{' ? '}' : c == '(' ? ')' : ']');
        }
        else if (c is '}' or ')' or ']')
        {
            if (brackets.Count == 0)
            {
                throw Errors.Syntax($"unexpected '{c}'", LineAt(_position));
            }

            var expected = brackets.Pop();
            if (expected != c)
            {
                throw Errors.Syntax($"unexpected '{c}', expected '{expected}'", LineAt(_position));
            }
        }
    }

    private void ReadNumber()
    {
        var start = _position;
        if (FloatEnd(start) is { } floatEnd && (start == 0 || _source[start - 1] != '.'))
        {
            var text = _source[start..floatEnd].Replace("_", "", StringComparison.Ordinal);
            Add(TokenKind.Float, text, start, double.Parse(text, NumberStyles.Float, CultureInfo.InvariantCulture));
            _position = floatEnd;
            return;
        }

        var radix = Radix(start);
        _position = radix == 10 ? DecimalEnd(start) : DigitsEnd(start + 2, radix, leadingUnderscore: true);
        var digits = _source[(radix == 10 ? start : start + 2).._position].Replace("_", "", StringComparison.Ordinal);
        if (digits.Length > Integers.MaxDigits)
        {
            throw Errors.Syntax($"Exceeds the limit ({Integers.MaxDigits} digits) for integer string conversion", LineAt(start));
        }

        Add(TokenKind.Integer, digits, start, Integers.Normalize(Integers.Parse(digits, radix) ?? BigInteger.Zero));
    }

    private int Radix(int start)
    {
        if (_source[start] != '0' || start + 2 >= _source.Length)
        {
            return 10;
        }

        var radix = char.ToLowerInvariant(_source[start + 1]) switch { 'b' => 2, 'o' => 8, 'x' => 16, _ => 10 };
        return radix != 10 && DigitsEnd(start + 2, radix, leadingUnderscore: true) > start + 2 ? radix : 10;
    }

    private int DecimalEnd(int start)
    {
        var end = DigitsEnd(start, _source[start] == '0' ? 1 : 10, leadingUnderscore: false);
        return end;
    }

    /// <summary>The end of digits of a radix with single underscores between; radix 1 stands for zeros only.</summary>
    private int DigitsEnd(int position, int radix, bool leadingUnderscore)
    {
        var end = position;
        while (true)
        {
            var next = end < _source.Length && _source[end] == '_' && (end > position || leadingUnderscore) ? end + 1 : end;
            if (next >= _source.Length || !char.IsAsciiHexDigit(_source[next]) || Convert.ToInt32(_source[next].ToString(), 16) >= radix)
            {
                return end;
            }

            end = next + 1;
        }
    }

    private int? FloatEnd(int start)
    {
        var end = DigitsEnd(start, 10, leadingUnderscore: false);
        var isFloat = false;
        if (end + 1 < _source.Length && _source[end] == '.' && char.IsAsciiDigit(_source[end + 1]))
        {
            end = DigitsEnd(end + 1, 10, leadingUnderscore: false);
            isFloat = true;
        }

        if (end < _source.Length && _source[end] is 'e' or 'E')
        {
            var exponent = end + 1 < _source.Length && _source[end + 1] is '+' or '-' ? end + 2 : end + 1;
            if (exponent < _source.Length && char.IsAsciiDigit(_source[exponent]))
            {
                return DigitsEnd(exponent, 10, leadingUnderscore: false);
            }
        }

        return isFloat ? end : null;
    }

    private void ReadString(char quote)
    {
        var end = _position + 1;
        while (end < _source.Length && _source[end] != quote)
        {
            end += _source[end] == '\\' ? 2 : 1;
        }

        if (end >= _source.Length)
        {
            throw Errors.Syntax($"unexpected char {Text.Repr(quote.ToString())} at {_position}: the string is not closed", LineAt(_position));
        }

        Add(TokenKind.String, StringEscapes.Decode(_source.AsSpan(_position + 1, end - _position - 1), LineAt(_position)), _position);
        _position = end + 1;
    }
}
