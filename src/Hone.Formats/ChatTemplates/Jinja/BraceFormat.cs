using System.Globalization;
using System.Text;

namespace Hone.Formats.ChatTemplates.Jinja;

/// <summary><c>str.format</c>: fields with attributes and items, which the sandbox guards as anywhere.</summary>
internal sealed class BraceFormat
{
    private readonly Arguments _arguments;
    private readonly PyDict? _mapping;
    private readonly bool _escapes;
    private readonly Evaluator _evaluator;
    private int _automatic;
    private bool _isManual;

    private BraceFormat(Arguments arguments, PyDict? mapping, bool escapes, Evaluator evaluator)
    {
        _arguments = arguments;
        _mapping = mapping;
        _escapes = escapes;
        _evaluator = evaluator;
    }

    public static string Apply(object format, Arguments arguments, bool isMap, Evaluator evaluator)
    {
        PyDict? mapping = null;
        if (isMap)
        {
            mapping = new Signature("format_map", "mapping").Bind(arguments)[0] as PyDict ?? throw Errors.Type("format_map() needs a mapping");
            arguments = Arguments.None;
        }

        return new BraceFormat(arguments, mapping, format is Markup, evaluator).Run(PyType.TextOf(format)!, 2);
    }

    private string Run(string format, int depth)
    {
        if (depth < 0)
        {
            throw Errors.Value("Max string recursion exceeded");
        }

        var result = new StringBuilder();
        for (var i = 0; i < format.Length; i++)
        {
            var c = format[i];
            if (c is not ('{' or '}'))
            {
                result.Append(c);
            }
            else if (i + 1 < format.Length && format[i + 1] == c)
            {
                result.Append(c);
                i++;
            }
            else if (c == '}')
            {
                throw Errors.Value("Single '}' encountered in format string");
            }
            else
            {
                var end = FieldEnd(format, i + 1);
                result.Append(Field(format[(i + 1)..end], depth));
                i = end;
            }

            _evaluator.Budget.CheckText(result.Length);
        }

        _evaluator.Budget.SpendText(result.Length);
        return result.ToString();
    }

    private static int FieldEnd(string format, int start)
    {
        var depth = 1;
        for (var i = start; i < format.Length; i++)
        {
            depth += format[i] == '{' ? 1 : format[i] == '}' ? -1 : 0;
            if (depth == 0)
            {
                return i;
            }
        }

        throw Errors.Value(start == format.Length ? "Single '{' encountered in format string" : "expected '}' before end of string");
    }

    private string Field(string field, int depth)
    {
        var nameEnd = 0;
        var isInBrackets = false;
        while (nameEnd < field.Length && (isInBrackets || field[nameEnd] is not (':' or '!')))
        {
            isInBrackets = field[nameEnd] == '[' || (isInBrackets && field[nameEnd] != ']');
            nameEnd++;
        }

        var value = Value(field[..nameEnd]);
        var rest = field[nameEnd..];
        if (rest.StartsWith('!'))
        {
            if (rest.Length < 2 || (rest.Length > 2 && rest[2] != ':'))
            {
                throw Errors.Value(rest.Length < 2 ? "unmatched '{' in format spec" : "expected ':' after conversion specifier");
            }

            value = Converted(value, rest[1]);
            rest = rest[2..];
        }

        var specification = Run(rest.StartsWith(':') ? rest[1..] : "", depth - 1);
        if (_escapes)
        {
            return Html.Escape(value is Markup ? value : FormatSpec.Apply(value, specification, _evaluator), _evaluator).Text;
        }

        return FormatSpec.Apply(value, specification, _evaluator);
    }

    private string Converted(object? value, char conversion) => conversion switch
    {
        's' => _evaluator.Str(value),
        'r' => Text.Repr(value, _evaluator.Budget),
        'a' => Ascii(Text.Repr(value, _evaluator.Budget)),
        _ => throw Errors.Value($"Unknown conversion specifier {conversion}"),
    };

    private object? Value(string name)
    {
        var end = name.AsSpan().IndexOfAny('.', '[');
        var first = end < 0 ? name : name[..end];
        var value = First(first);
        for (var i = first.Length; i < name.Length;)
        {
            var isItem = name[i] == '[';
            var stop = isItem ? name.IndexOf(']', i) : name.AsSpan(i + 1).IndexOfAny('.', '[') is var next && next >= 0 ? i + 1 + next : name.Length;
            if (stop < 0 || stop == i + 1)
            {
                throw Errors.Value(stop < 0 ? "Missing ']' in format string" : "Empty attribute in format string");
            }

            var key = name[(i + 1)..stop];
            value = isItem
                ? Members.Item(value, long.TryParse(key, NumberStyles.None, CultureInfo.InvariantCulture, out var index) ? index : key, _evaluator.Budget)
                : Members.Attribute(value, key, _evaluator.Budget);
            i = isItem ? stop + 1 : stop;
            if (isItem && i < name.Length && name[i] is not ('.' or '['))
            {
                throw Errors.Value("Only '.' or '[' may follow ']' in format field specifier");
            }
        }

        return value;
    }

    private object? First(string name)
    {
        if (name.Length == 0 || long.TryParse(name, NumberStyles.None, CultureInfo.InvariantCulture, out _))
        {
            var isManual = name.Length > 0;
            if (isManual ? _automatic > 0 : _isManual)
            {
                throw Errors.Value(isManual
                    ? "cannot switch from automatic field numbering to manual field specification"
                    : "cannot switch from manual field specification to automatic field numbering");
            }

            _isManual |= isManual;
            var index = isManual ? long.Parse(name, CultureInfo.InvariantCulture) : _automatic++;
            return index < _arguments.Positional.Count
                ? _arguments.Positional[(int)index]
                : throw new ChatTemplateException("IndexError", $"Replacement index {index} out of range for positional args tuple");
        }

        if (_mapping is not null && _mapping.TryGet(name, out var mapped))
        {
            return mapped;
        }

        var keyword = _arguments.Keywords.FindIndex(item => item.Name == name);
        return keyword >= 0 ? _arguments.Keywords[keyword].Value : throw new ChatTemplateException("KeyError", Text.Repr(name));
    }

    public static string Ascii(string text)
    {
        var result = new StringBuilder(text.Length);
        foreach (var rune in text.EnumerateRunes())
        {
            result.Append(rune.IsAscii ? rune.ToString() : rune.Value <= 0xff ? $"\\x{rune.Value:x2}" : rune.IsBmp ? $"\\u{rune.Value:x4}" : $"\\U{rune.Value:x8}");
        }

        return result.ToString();
    }
}
