using System.Numerics;
using System.Text;

namespace Hone.Formats.ChatTemplates.Jinja;

/// <summary>Python's format specification: <c>[[fill]align][sign][z][#][0][width][grouping][.precision][type]</c>.</summary>
internal sealed class FormatSpec
{
    private string _fill = " ";
    private char _align;
    private char _sign;
    private bool _noNegativeZero;
    private bool _isAlternate;
    private bool _isZeroPadded;
    private int _width;
    private char _grouping;
    private int? _precision;
    private char _type;

    public static string Apply(object? value, string specification, Evaluator evaluator)
    {
        if (specification.Length == 0)
        {
            return evaluator.Str(value);
        }

        var spec = Parse(specification);
        return value switch
        {
            _ when PyType.TextOf(value) is { } text => spec.FormatText(text, evaluator.Budget),
            double number => spec.FormatFloat(number, evaluator.Budget),
            _ when PyType.IntegerOf(value) is { } number => spec.FormatInteger(number, evaluator.Budget),
            _ => throw Errors.Type($"unsupported format string passed to {PyType.Name(value)}.__format__"),
        };
    }

    private static FormatSpec Parse(string text)
    {
        var spec = new FormatSpec();
        var i = 0;
        bool Is(int at, string characters) => at < text.Length && characters.Contains(text[at], StringComparison.Ordinal);
        bool Take(char c)
        {
            var isThere = i < text.Length && text[i] == c;
            i += isThere ? 1 : 0;
            return isThere;
        }

        var fillLength = Text.UnitsAt(text, 0);
        if (Is(fillLength, "<>=^"))
        {
            spec._fill = text[..fillLength];
            spec._align = text[fillLength];
            i = fillLength + 1;
        }
        else if (Is(0, "<>=^"))
        {
            spec._align = text[i++];
        }

        if (Is(i, "+- "))
        {
            spec._sign = text[i++];
        }

        spec._noNegativeZero = Take('z');
        spec._isAlternate = Take('#');
        if (Take('0') && spec._align == '\0')
        {
            (spec._fill, spec._align, spec._isZeroPadded) = ("0", '=', true);
        }

        spec._width = Number(text, ref i) ?? 0;
        if (Is(i, ",_"))
        {
            spec._grouping = text[i++];
        }

        if (Take('.'))
        {
            spec._precision = Number(text, ref i) ?? throw Errors.Value("Format specifier missing precision");
        }

        if (i < text.Length)
        {
            spec._type = text[i++];
        }

        return i == text.Length ? spec : throw Errors.Value($"Invalid format specifier '{text}'");
    }

    private static int? Number(string text, ref int i)
    {
        var start = i;
        while (i < text.Length && char.IsAsciiDigit(text[i]))
        {
            i++;
        }

        return start == i ? null
            : int.TryParse(text.AsSpan(start, i - start), out var number) ? number
            : throw Errors.Value("Too many decimal digits in format string");
    }

    private string FormatText(string text, Budget budget)
    {
        if (_type is not ('\0' or 's'))
        {
            throw UnknownType("str");
        }

        var refused = _sign != '\0' ? "Sign" : _noNegativeZero ? "Negative zero coercion (z)" : _isAlternate ? "Alternate form (#)"
            : _grouping != '\0' ? $"Grouping '{_grouping}'" : _align == '=' && !_isZeroPadded ? "'=' alignment" : null;
        if (refused is not null)
        {
            throw Errors.Value($"{refused} not allowed in string format specifier");
        }

        if (_precision is { } precision)
        {
            text = text[..Text.UnitIndex(text, precision)];
        }

        return Aligned("", text, _align is '=' or '\0' ? '<' : _align, budget);
    }

    private ChatTemplateException UnknownType(string type) => Errors.Value($"Unknown format code '{_type}' for object of type '{type}'");

    private string FormatInteger(BigInteger value, Budget budget)
    {
        if (_type is 'e' or 'E' or 'f' or 'F' or 'g' or 'G' or '%')
        {
            return FormatFloat(Arithmetic.ToDouble(Integers.Normalize(value)), budget);
        }

        if (_noNegativeZero || (_grouping != '\0' && (_type is 'n' or 'c')) || (_grouping == ',' && (_type is 'x' or 'X' or 'b' or 'o')))
        {
            throw Errors.Value(_noNegativeZero ? "Negative zero coercion (z) not allowed in integer format specifier" : $"Cannot specify '{_grouping}' with '{_type}'.");
        }

        if (_precision is not null)
        {
            throw Errors.Value("Precision not allowed in integer format specifier");
        }

        if (_type == 'c')
        {
            if (_sign != '\0' || _isAlternate)
            {
                throw Errors.Value("Sign and alternate form (#) are not allowed with integer format specifier 'c'");
            }

            return Aligned("", NumberFormat.Character(value), _align == '\0' ? '<' : _align, budget);
        }

        if (_type is not ('\0' or 'd' or 'n' or 'x' or 'X' or 'b' or 'o'))
        {
            throw UnknownType("int");
        }

        var isBased = _type is 'x' or 'X' or 'b' or 'o';
        var prefix = _isAlternate && isBased ? $"0{_type}" : "";
        var size = isBased ? 4 : 3;
        return Aligned(SignOf(value.Sign < 0) + prefix, Grouped(NumberFormat.Digits(value, _type), size, SignOf(value.Sign < 0).Length + prefix.Length), _align == '\0' ? '>' : _align, budget);
    }

    private string FormatFloat(double value, Budget budget)
    {
        if (_type is not ('\0' or 'e' or 'E' or 'f' or 'F' or 'g' or 'G' or 'n' or '%'))
        {
            throw UnknownType("float");
        }

        string text;
        var absolute = Math.Abs(value);
        if (_type != '\0' || !double.IsFinite(value))
        {
            text = NumberFormat.Float(absolute, _type is 'n' or '\0' ? 'g' : _type, _precision ?? 6, _isAlternate);
        }
        else if (_precision is null)
        {
            text = Floats.Repr(absolute);
        }
        else
        {
            // Like g, but with at least one digit behind the point.
            text = Floats.General(absolute, _precision.Value);
            var needsExponent = !text.Contains('e', StringComparison.Ordinal) && Floats.Scientific(absolute, Math.Max(_precision.Value, 1) - 1) is var e
                && int.Parse(e[(e.IndexOf('e', StringComparison.Ordinal) + 1)..]) >= Math.Max(_precision.Value, 1) - 1;
            text = needsExponent ? NumberFormat.Float(absolute, 'e', Math.Max(_precision.Value, 1) - 1, false) is var scientific ? TrimMantissa(scientific) : text
                : text.AsSpan().ContainsAny(".e") ? text : text + ".0";
        }

        var isNegative = double.IsNegative(value) && !double.IsNaN(value) && !(_noNegativeZero && text.All(c => c is '0' or '.' or '%'));
        var split = text.AsSpan().IndexOfAnyExceptInRange('0', '9') is var at && at < 0 ? text.Length : at;
        return Aligned(SignOf(isNegative), split == 0 ? text : Grouped(text[..split], 3, SignOf(isNegative).Length, text[split..]), _align == '\0' ? '>' : _align, budget);
    }

    private static string TrimMantissa(string text)
    {
        var e = text.IndexOf('e', StringComparison.Ordinal);
        var mantissa = text[..e];
        return (mantissa.Contains('.', StringComparison.Ordinal) ? mantissa.TrimEnd('0').TrimEnd('.') : mantissa) + text[e..];
    }

    private string SignOf(bool isNegative) => isNegative ? "-" : _sign is '-' or '\0' ? "" : _sign.ToString();

    private string Grouped(string digits, int size, int signLength, string rest = "")
    {
        if (_grouping == '\0')
        {
            return digits + rest;
        }

        var result = new StringBuilder();
        if (_fill == "0" && _align == '=')
        {
            // Zeros that fill the width are grouped as well.
            while (digits.Length + ((digits.Length - 1) / size) + rest.Length + signLength < _width && _width < Integers.MaxDigits)
            {
                digits = "0" + digits;
            }
        }

        for (var i = 0; i < digits.Length; i++)
        {
            result.Append(i > 0 && (digits.Length - i) % size == 0 ? _grouping.ToString() : "").Append(digits[i]);
        }

        return result + rest;
    }

    private string Aligned(string sign, string body, char align, Budget budget)
    {
        var missing = Math.Max(0, _width - Text.Length(sign + body));
        string Fill(int count) => Text.Repeat(_fill, count, budget);
        return align switch
        {
            '<' => sign + body + Fill(missing),
            '>' => Fill(missing) + sign + body,
            '=' => sign + Fill(missing) + body,
            _ => Fill(missing / 2) + sign + body + Fill(missing - (missing / 2)),
        };
    }
}
