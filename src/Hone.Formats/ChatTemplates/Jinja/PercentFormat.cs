using System.Text;

namespace Hone.Formats.ChatTemplates.Jinja;

/// <summary>The operator <c>%</c> of a text: <c>printf</c>'s formats.</summary>
internal sealed class PercentFormat
{
    private readonly string _format;
    private readonly Evaluator _evaluator;
    private readonly bool _escapes;
    private readonly object?[] _values;
    private readonly object? _mapping;
    private int _position;
    private int _used;

    private PercentFormat(string format, object? values, bool escapes, Evaluator evaluator)
    {
        _format = format;
        _evaluator = evaluator;
        _escapes = escapes;
        _values = values is PyTuple tuple ? tuple.Items : [values];
        _mapping = values is PyDict or PyList or PyRange or Undefined ? values : null;
    }

    public static object Apply(object? format, object? values, Evaluator evaluator)
    {
        var text = new PercentFormat(PyType.TextOf(format)!, values, format is Markup, evaluator).Run();
        return format is Markup ? new Markup(text) : text;
    }

    private string Run()
    {
        var result = new StringBuilder();
        while (_position < _format.Length)
        {
            var percent = _format.IndexOf('%', _position);
            var end = percent < 0 ? _format.Length : percent;
            result.Append(_format, _position, end - _position);
            _position = end + 1;
            if (percent >= 0)
            {
                result.Append(Field());
            }

            _evaluator.Budget.CheckText(result.Length);
        }

        if (_used < _values.Length && _mapping is null)
        {
            throw Errors.Type("not all arguments converted during string formatting");
        }

        _evaluator.Budget.SpendText(result.Length);
        return result.ToString();
    }

    private char Peek() => _position < _format.Length ? _format[_position] : throw Errors.Value("incomplete format");

    private string Field()
    {
        var start = _position;
        object? named = Missing.Value;
        if (Peek() == '(')
        {
            named = Named();
        }

        var flags = "";
        while (Peek() is '-' or '+' or ' ' or '#' or '0')
        {
            flags += Peek();
            _position++;
            if (flags.Length > 16)
            {
                flags = new string([.. flags.Distinct()]);
            }
        }

        var width = Size() ?? 0;
        if (width < 0)
        {
            flags += '-';
            width = -width;
        }

        int? precision = null;
        if (Peek() == '.')
        {
            _position++;
            precision = Math.Max(0, Size() ?? 0);
        }

        while (Peek() is 'h' or 'l' or 'L')
        {
            _position++;
        }

        var type = Peek();
        _position++;
        if (type == '%' && _position - start == 1)
        {
            return "%";
        }

        return Pad(type, flags, width, precision, named is Missing ? Next() : named);
    }

    private object? Named()
    {
        var depth = 0;
        var start = ++_position;
        for (; Peek() != ')' || depth > 0; _position++)
        {
            depth += _format[_position] == '(' ? 1 : _format[_position] == ')' ? -1 : 0;
        }

        var name = _format[start.._position++];
        if (_mapping is not PyDict dict)
        {
            throw Errors.Type("format requires a mapping");
        }

        return dict.TryGet(name, out var value) ? value : throw new ChatTemplateException("KeyError", Text.Repr(name));
    }

    private object? Next() =>
        _used < _values.Length ? _values[_used++] : throw Errors.Type("not enough arguments for format string");

    private int? Size()
    {
        if (Peek() == '*')
        {
            _position++;
            return Filters.Integer(Next(), "* wants int");
        }

        var start = _position;
        while (char.IsAsciiDigit(Peek()))
        {
            _position++;
        }

        return start == _position ? null
            : int.TryParse(_format.AsSpan(start, _position - start), out var size) ? size
            : throw Errors.Value("width too big");
    }

    private string Pad(char type, string flags, int width, int? precision, object? value)
    {
        var (sign, prefix, body) = type switch
        {
            's' or 'r' or 'a' => ("", "", Limited(TextFor(type, value), precision)),
            'c' => ("", "", CharacterOf(value)),
            'd' or 'i' or 'u' or 'x' or 'X' or 'o' => IntegerParts(type, value, precision, flags),
            'e' or 'E' or 'f' or 'F' or 'g' or 'G' => FloatParts(type, value, precision ?? 6, flags),
            _ => throw Errors.Value($"unsupported format character '{type}' (0x{(int)type:x}) at index {_position - 1}"),
        };
        var isNumber = type is not ('s' or 'r' or 'a' or 'c');
        var missing = (long)width - Text.Length(sign + prefix + body);
        if (flags.Contains('-', StringComparison.Ordinal))
        {
            return sign + prefix + body + Text.Repeat(" ", missing, _evaluator.Budget);
        }

        return isNumber && flags.Contains('0', StringComparison.Ordinal)
            ? sign + prefix + Text.Repeat("0", missing, _evaluator.Budget) + body
            : Text.Repeat(" ", missing, _evaluator.Budget) + sign + prefix + body;
    }

    private string TextFor(char type, object? value)
    {
        var text = type == 's' ? _evaluator.Str(value) : Text.Repr(value, _evaluator.Budget);
        text = type == 'a' ? BraceFormat.Ascii(text) : text;
        return _escapes && value is not Markup ? Html.Escape(text, _evaluator.Budget) : text;
    }

    private static string Limited(string text, int? precision) =>
        precision is { } count ? text[..Text.UnitIndex(text, count)] : text;

    private static string CharacterOf(object? value) =>
        PyType.TextOf(value) is { } text ? Text.Length(text) == 1 ? text : throw Errors.Type("%c requires int or char")
        : PyType.IntegerOf(value) is { } code ? NumberFormat.Character(code)
        : throw Errors.Type("%c requires int or char");

    private static (string Sign, string Prefix, string Body) IntegerParts(char type, object? value, int? precision, string flags)
    {
        var isDecimal = type is 'd' or 'i' or 'u';
        if (value is Undefined undefined)
        {
            throw undefined.Fail();
        }

        var number = value is double real && isDecimal
            ? double.IsFinite(real) ? new System.Numerics.BigInteger(Math.Truncate(real)) : throw Errors.Overflow("cannot convert float infinity or NaN to integer")
            : value is not double && PyType.IntegerOf(value) is { } integer ? integer
            : throw Errors.Type($"%{type} format: {(isDecimal ? "a real number" : "an integer")} is required, not {PyType.Name(value)}");
        if (precision > Integers.MaxDigits)
        {
            throw Errors.Value("precision too big");
        }

        var digits = NumberFormat.Digits(number, type).PadLeft(precision ?? 0, '0');
        return (SignOf(number.Sign < 0, flags), !isDecimal && flags.Contains('#', StringComparison.Ordinal) ? $"0{type}" : "", digits);
    }

    private static (string Sign, string Prefix, string Body) FloatParts(char type, object? value, int precision, string flags)
    {
        if (value is Undefined undefined)
        {
            throw undefined.Fail();
        }

        var number = PyType.IsNumber(value) ? Arithmetic.ToDouble(value) : throw Errors.Type($"must be real number, not {PyType.Name(value)}");
        return (SignOf(double.IsNegative(number) && !double.IsNaN(number), flags), "", NumberFormat.Float(number, type, precision, flags.Contains('#', StringComparison.Ordinal)));
    }

    private static string SignOf(bool isNegative, string flags) =>
        isNegative ? "-" : flags.Contains('+', StringComparison.Ordinal) ? "+" : flags.Contains(' ', StringComparison.Ordinal) ? " " : "";
}
