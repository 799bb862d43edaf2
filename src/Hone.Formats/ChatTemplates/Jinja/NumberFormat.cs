using System.Globalization;
using System.Numerics;

namespace Hone.Formats.ChatTemplates.Jinja;

/// <summary>What <c>%</c> formats and format specifications share.</summary>
internal static class NumberFormat
{
    /// <summary>Digits of an absolute value in radix 2, 8, 10 or 16.</summary>
    public static string Digits(BigInteger value, char type)
    {
        var absolute = BigInteger.Abs(value);
        switch (type)
        {
            case 'x' or 'X':
                var hex = absolute.ToString("x", CultureInfo.InvariantCulture).TrimStart('0');
                hex = hex.Length == 0 ? "0" : hex;
                return type == 'X' ? hex.ToUpperInvariant() : hex;
            case 'b':
                var bits = absolute.ToString("b", CultureInfo.InvariantCulture).TrimStart('0');
                return bits.Length == 0 ? "0" : bits;
            case 'o':
                return Octal(absolute);
            default:
                return Integers.ToText(absolute);
        }
    }

    private static string Octal(BigInteger value)
    {
        var bits = Digits(value, 'b');
        bits = bits.PadLeft((bits.Length + 2) / 3 * 3, '0');
        return string.Concat(Enumerable.Range(0, bits.Length / 3).Select(i => Convert.ToInt32(bits.Substring(i * 3, 3), 2).ToString(CultureInfo.InvariantCulture)));
    }

    /// <summary>An absolute float by format <c>e f g E F G</c> (or <c>%</c>, of the value times 100).</summary>
    public static string Float(double value, char type, int precision, bool isAlternate)
    {
        if (!double.IsFinite(value))
        {
            var name = double.IsNaN(value) ? "nan" : "inf";
            return (char.IsAsciiLetterUpper(type) ? name.ToUpperInvariant() : name) + (type == '%' ? "%" : "");
        }

        var text = char.ToLowerInvariant(type) switch
        {
            'e' => Floats.Scientific(value, precision, isAlternate),
            'g' => Floats.General(value, precision, isAlternate),
            '%' => Floats.Fixed(value * 100, precision, isAlternate) + "%",
            _ => Floats.Fixed(value, precision, isAlternate),
        };
        return char.IsAsciiLetterUpper(type) ? text.ToUpperInvariant() : text;
    }

    /// <summary>A character for <c>%c</c> and format <c>c</c>.</summary>
    public static string Character(BigInteger code) =>
        code >= 0 && code <= 0x10ffff && (code < 0xd800 || code > 0xdfff) ? char.ConvertFromUtf32((int)code)
        : throw Errors.Overflow("%c arg not in range(0x110000)");
}
