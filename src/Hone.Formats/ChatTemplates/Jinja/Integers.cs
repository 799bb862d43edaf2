using System.Globalization;
using System.Numerics;

namespace Hone.Formats.ChatTemplates.Jinja;

internal static class Integers
{
    /// <summary>Python's limit for integers from and to text.</summary>
    public const int MaxDigits = 4300;

    /// <summary>The largest result of a power, a product or a shift.</summary>
    public const int MaxBits = 32_768;

    private static readonly BigInteger PrintLimit = BigInteger.Pow(10, MaxDigits);

    public static object Normalize(BigInteger value) => value >= long.MinValue && value <= long.MaxValue ? (object)(long)value : value;

    public static string ToText(BigInteger value) => BigInteger.Abs(value) >= PrintLimit
        ? throw Errors.Value($"Exceeds the limit ({MaxDigits} digits) for integer string conversion")
        : value.ToString(CultureInfo.InvariantCulture);

    /// <summary>Digits of a radix up to 36, or null where one does not belong to it.</summary>
    public static BigInteger? Parse(ReadOnlySpan<char> digits, int radix)
    {
        if (digits.IsEmpty)
        {
            return null;
        }

        var value = BigInteger.Zero;
        if (radix == 10)
        {
            return BigInteger.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out value) ? value : null;
        }

        foreach (var c in digits)
        {
            var digit = char.IsAsciiDigit(c) ? c - '0' : char.IsAsciiLetter(c) ? char.ToLowerInvariant(c) - 'a' + 10 : 99;
            if (digit >= radix)
            {
                return null;
            }

            value = (value * radix) + digit;
        }

        return value;
    }

    /// <summary>Python's <c>int(text, radix)</c>: spaces, a sign, a prefix and underscores are fine. Null where it raises.</summary>
    public static BigInteger? ParseText(string text, int radix)
    {
        var digits = Text.Strip(text, null).AsSpan();
        var isNegative = digits.StartsWith("-");
        if (isNegative || digits.StartsWith("+"))
        {
            digits = digits[1..];
        }

        if (digits.Length > 2 && digits[0] == '0' && char.ToLowerInvariant(digits[1]) is var prefix
            && ((prefix == 'x' && radix is 16 or 0) || (prefix == 'o' && radix is 8 or 0) || (prefix == 'b' && radix is 2 or 0)))
        {
            radix = prefix == 'x' ? 16 : prefix == 'o' ? 8 : 2;
            digits = digits[2] == '_' ? digits[3..] : digits[2..];
        }

        if (digits.IsEmpty || digits[0] == '_' || digits[^1] == '_' || digits.Contains("__", StringComparison.Ordinal) || digits.Length > MaxDigits)
        {
            return null;
        }

        var value = Parse(AsciiDigits(digits.ToString().Replace("_", "", StringComparison.Ordinal)), radix == 0 ? 10 : radix);
        return isNegative ? -value : value;
    }

    /// <summary>Other scripts' decimal digits as ASCII ones.</summary>
    public static string AsciiDigits(string text)
    {
        if (System.Text.Ascii.IsValid(text))
        {
            return text;
        }

        var result = new System.Text.StringBuilder(text.Length);
        foreach (var rune in text.EnumerateRunes())
        {
            var digit = Characters.IsDecimal(rune) ? CharUnicodeInfo.GetDecimalDigitValue(rune.ToString(), 0) : -1;
            result.Append(digit >= 0 ? digit.ToString(CultureInfo.InvariantCulture) : rune.ToString());
        }

        return result.ToString();
    }
}
