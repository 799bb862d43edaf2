using System.Text;

namespace Hone.Formats.ChatTemplates.Jinja;

/// <summary>
/// Cuts a template into tokens, with <c>trim_blocks</c> and <c>lstrip_blocks</c>: the newline after a block or comment is dropped,
/// and so is the white space between a line's start and a block or comment. Tags in <see cref="ReadTag"/>.
/// </summary>
internal sealed partial class Lexer
{
    private readonly string _source;
    private readonly List<Token> _tokens = [];
    private readonly Dictionary<string, string> _names = new(StringComparer.Ordinal);
    private int _position;
    private int _line = 1;
    private int _lineCountedTo;

    private Lexer(string source) => _source = source;

    public static List<Token> Read(string template)
    {
        var source = template.Replace("\r\n", "\n", StringComparison.Ordinal).Replace('\r', '\n');
        var lexer = new Lexer(source.EndsWith('\n') ? source[..^1] : source);
        lexer.ReadAll();
        return lexer._tokens;
    }

    private void ReadAll()
    {
        while (_position < _source.Length)
        {
            var start = FindTag(_position);
            if (start < 0)
            {
                AddData(_position, _source.Length);
                _position = _source.Length;
                break;
            }

            var kind = _source[start + 1];
            var sign = SignAt(start + 2);
            AddData(_position, StripBefore(_position, start, sign, isVariable: kind == '{'));
            if (kind == '%' && RawBegin(start) is { } rawStart)
            {
                ReadRaw(rawStart);
                continue;
            }

            _position = start + (sign == '\0' ? 2 : 3);
            if (kind == '#')
            {
                SkipComment();
            }
            else
            {
                ReadTag(start, isBlock: kind == '%');
            }
        }

        Add(TokenKind.Eof, "", _source.Length);
    }

    private int FindTag(int from)
    {
        for (var i = _source.IndexOf('{', from); i >= 0 && i + 1 < _source.Length; i = _source.IndexOf('{', i + 1))
        {
            if (_source[i + 1] is '%' or '{' or '#')
            {
                return i;
            }
        }

        return -1;
    }

    private char SignAt(int position) => position < _source.Length && _source[position] is '-' or '+' ? _source[position] : '\0';

    /// <summary>Where the text from <paramref name="from"/> ends before a tag at <paramref name="tag"/> once its white space is stripped.</summary>
    private int StripBefore(int from, int tag, char sign, bool isVariable)
    {
        var end = tag;
        if (sign == '-')
        {
            while (end > from && Characters.IsSpace(_source[end - 1]))
            {
                end--;
            }

            return end;
        }

        if (sign == '+' || isVariable)
        {
            return tag;
        }

        while (end > from && _source[end - 1] != '\n')
        {
            if (!Characters.IsSpace(_source[end - 1]))
            {
                return tag;
            }

            end--;
        }

        // The line must start in this text, or at its start.
        return end > from || from == 0 || _source[from - 1] == '\n' ? end : tag;
    }

    private int SkipSpace(int position)
    {
        while (position < _source.Length && Characters.IsSpace(_source[position]))
        {
            position++;
        }

        return position;
    }

    private bool At(int position, string text) => string.CompareOrdinal(_source, position, text, 0, text.Length) == 0;

    /// <summary>The position behind <c>{% raw %}</c> at <paramref name="start"/>, or null.</summary>
    private int? RawBegin(int start)
    {
        var position = SkipSpace(start + (SignAt(start + 2) == '\0' ? 2 : 3));
        if (!At(position, "raw"))
        {
            return null;
        }

        position = SkipSpace(position + 3);
        return At(position, "-%}") ? SkipSpace(position + 3) : At(position, "%}") ? position + 2 : null;
    }

    private void ReadRaw(int start)
    {
        for (var i = _source.IndexOf("{%", start, StringComparison.Ordinal); i >= 0; i = _source.IndexOf("{%", i + 1, StringComparison.Ordinal))
        {
            var sign = SignAt(i + 2);
            var position = SkipSpace(i + (sign == '\0' ? 2 : 3));
            if (!At(position, "endraw"))
            {
                continue;
            }

            position = SkipSpace(position + 6);
            if (BlockEnd(position) is { } end)
            {
                AddData(start, StripBefore(start, i, sign, isVariable: false));
                _position = end;
                return;
            }
        }

        // Jinja lets a mark at the very end pass.
        _position = start == _source.Length ? start : throw Errors.Syntax("Missing end of raw directive", LineAt(start));
    }

    /// <summary>The position behind a block's end (<c>%}</c>, <c>-%}</c>, <c>+%}</c>) at <paramref name="position"/>, or null.</summary>
    private int? BlockEnd(int position) =>
        At(position, "+%}") ? position + 3
        : At(position, "-%}") ? SkipSpace(position + 3)
        : At(position, "%}") ? SkipNewline(position + 2)
        : null;

    private int SkipNewline(int position) => position < _source.Length && _source[position] == '\n' ? position + 1 : position;

    private void SkipComment()
    {
        var end = _source.IndexOf("#}", _position, StringComparison.Ordinal);
        if (end < 0)
        {
            _position = _position == _source.Length ? _position : throw Errors.Syntax("Missing end of comment tag", LineAt(_position));
            return;
        }

        var sign = end > _position ? _source[end - 1] : '\0';
        _position = sign switch
        {
            '+' => end + 2,
            '-' => SkipSpace(end + 2),
            _ => SkipNewline(end + 2),
        };
    }

    private void AddData(int start, int end)
    {
        if (end > start)
        {
            _tokens.Add(new Token(TokenKind.Data, _source[start..end], LineAt(start)));
        }
    }

    private void Add(TokenKind kind, string text, int position, object? value = null) =>
        _tokens.Add(new Token(kind, text, LineAt(position), value));

    private int LineAt(int position)
    {
        if (position < _lineCountedTo)
        {
            return _line;
        }

        _line += _source.AsSpan(_lineCountedTo, position - _lineCountedTo).Count('\n');
        _lineCountedTo = position;
        return _line;
    }

    private string NameOf(int start, int end)
    {
        var name = _source[start..end];
        if (_names.TryGetValue(name, out var known))
        {
            return known;
        }

        foreach (var rune in name.EnumerateRunes())
        {
            if (!Characters.IsIdentifierPart(rune))
            {
                throw Errors.Syntax("Invalid character in identifier", LineAt(start));
            }
        }

        if (!Characters.IsIdentifierStart(Rune.GetRuneAt(name, 0)))
        {
            throw Errors.Syntax("Invalid character in identifier", LineAt(start));
        }

        return _names[name] = name;
    }
}
