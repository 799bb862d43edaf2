using System.Globalization;
using System.Numerics;

namespace Hone.Formats.ChatTemplates.Jinja;

/// <summary>Floats as text, exactly as Python writes them: ties of the exact value go to even.</summary>
internal static class Floats
{
    private const int MaxPrecision = 4096;

    /// <summary>The shortest text that reads back as the same number; an exponent below 1e-4 and from 1e16 on.</summary>
    public static string Repr(double value)
    {
        if (!double.IsFinite(value))
        {
            return double.IsNaN(value) ? "nan" : value > 0 ? "inf" : "-inf";
        }

        var sign = double.IsNegative(value) ? "-" : "";
        var (digits, point) = Shortest(Math.Abs(value));
        if (point is > 16 or < -3)
        {
            return sign + digits[0] + (digits.Length > 1 ? "." + digits[1..] : "") + Exponent(point - 1);
        }

        return sign + (point <= 0 ? "0." + new string('0', -point) + digits
            : point >= digits.Length ? digits + new string('0', point - digits.Length) + ".0"
            : digits[..point] + "." + digits[point..]);
    }

    /// <summary>Digits of the shortest text, and how many of them stand before the point.</summary>
    private static (string Digits, int Point) Shortest(double value)
    {
        if (value == 0)
        {
            return ("0", 1);
        }

        var text = value.ToString("R", CultureInfo.InvariantCulture);
        var exponentAt = text.IndexOf('E', StringComparison.Ordinal);
        var exponent = exponentAt < 0 ? 0 : int.Parse(text[(exponentAt + 1)..], CultureInfo.InvariantCulture);
        var mantissa = exponentAt < 0 ? text : text[..exponentAt];
        var point = mantissa.IndexOf('.', StringComparison.Ordinal);
        var all = mantissa.Replace(".", "", StringComparison.Ordinal);
        var digits = all.TrimStart('0');
        return (digits.TrimEnd('0'), (point < 0 ? all.Length : point) - (all.Length - digits.Length) + exponent);
    }

    private static string Exponent(int exponent) => (exponent < 0 ? "e-" : "e+") + Math.Abs(exponent).ToString("00", CultureInfo.InvariantCulture);

    /// <summary><c>|value| · 10^digits</c>, rounded half to even.</summary>
    private static BigInteger Scaled(double value, int digits)
    {
        var bits = BitConverter.DoubleToInt64Bits(Math.Abs(value));
        var exponent = (int)(bits >> 52);
        BigInteger numerator = exponent == 0 ? bits : (bits & 0xFFFFFFFFFFFFF) | 0x10000000000000;
        var shift = Math.Max(exponent, 1) - 1075;
        BigInteger denominator = 1;
        numerator *= digits > 0 ? BigInteger.Pow(10, digits) : 1;
        denominator *= digits < 0 ? BigInteger.Pow(10, -digits) : 1;
        numerator <<= Math.Max(shift, 0);
        denominator <<= Math.Max(-shift, 0);
        var quotient = BigInteger.DivRem(numerator, denominator, out var rest);
        var twice = (rest * 2).CompareTo(denominator);
        return twice > 0 || (twice == 0 && !quotient.IsEven) ? quotient + 1 : quotient;
    }

    /// <summary>Format <c>f</c>, of the absolute value.</summary>
    public static string Fixed(double value, int precision, bool keepsPoint = false)
    {
        CheckPrecision(precision);
        var digits = Scaled(value, precision).ToString(CultureInfo.InvariantCulture).PadLeft(precision + 1, '0');
        return precision == 0 ? digits + (keepsPoint ? "." : "") : digits[..^precision] + "." + digits[^precision..];
    }

    /// <summary>Format <c>e</c>, of the absolute value.</summary>
    public static string Scientific(double value, int precision, bool keepsPoint = false)
    {
        var (digits, exponent) = Rounded(value, precision + 1);
        return digits[0] + (precision > 0 ? "." + digits[1..] : keepsPoint ? "." : "") + Exponent(exponent);
    }

    /// <summary>Format <c>g</c>, of the absolute value.</summary>
    public static string General(double value, int precision, bool keepsZeros = false)
    {
        precision = Math.Max(precision, 1);
        var (digits, exponent) = Rounded(value, precision);
        if (exponent < -4 || exponent >= precision)
        {
            var mantissa = digits[0] + (precision > 1 ? "." + digits[1..] : keepsZeros ? "." : "");
            return (keepsZeros ? mantissa : TrimZeros(mantissa)) + Exponent(exponent);
        }

        var text = Fixed(value, precision - 1 - exponent, keepsZeros);
        return keepsZeros ? text : TrimZeros(text);
    }

    private static string TrimZeros(string text) => text.Contains('.', StringComparison.Ordinal) ? text.TrimEnd('0').TrimEnd('.') : text;

    private static (string Digits, int Exponent) Rounded(double value, int count)
    {
        CheckPrecision(count);
        if (value == 0)
        {
            return (new string('0', count), 0);
        }

        var exponent = (int)Math.Floor(Math.Log10(Math.Abs(value)));
        while (true)
        {
            var digits = Scaled(value, count - 1 - exponent).ToString(CultureInfo.InvariantCulture);
            if (digits.Length == count)
            {
                return (digits, exponent);
            }

            exponent += digits.Length > count ? 1 : -1;
        }
    }

    private static void CheckPrecision(int precision)
    {
        if (precision > MaxPrecision)
        {
            throw Errors.Value($"precision too big: more than {MaxPrecision} digits");
        }
    }

    /// <summary><c>round(value, digits)</c>.</summary>
    public static double Round(double value, int digits)
    {
        if (!double.IsFinite(value) || digits > 323)
        {
            return value;
        }

        if (digits < -308)
        {
            return double.IsNegative(value) ? -0.0 : 0.0;
        }

        var text = digits >= 0 ? Fixed(value, digits) : Scaled(value, digits).ToString(CultureInfo.InvariantCulture) + new string('0', -digits);
        var rounded = double.Parse(text, NumberStyles.Float, CultureInfo.InvariantCulture);
        return double.IsInfinity(rounded) ? throw Errors.Overflow("rounded value too large to represent") : double.IsNegative(value) ? -rounded : rounded;
    }

    /// <summary><c>float(text)</c>, or null where it raises.</summary>
    public static double? Parse(string text)
    {
        var number = Integers.AsciiDigits(Text.Strip(text, null));
        var unsigned = number.StartsWith('-') || number.StartsWith('+') ? number[1..] : number;
        if (unsigned.Equals("inf", StringComparison.OrdinalIgnoreCase) || unsigned.Equals("infinity", StringComparison.OrdinalIgnoreCase))
        {
            return number.StartsWith('-') ? double.NegativeInfinity : double.PositiveInfinity;
        }

        if (unsigned.Equals("nan", StringComparison.OrdinalIgnoreCase))
        {
            return double.NaN;
        }

        for (var i = 0; i < unsigned.Length; i++)
        {
            // An underscore stands between two digits only.
            if (unsigned[i] == '_' && (i == 0 || i + 1 == unsigned.Length || !char.IsAsciiDigit(unsigned[i - 1]) || !char.IsAsciiDigit(unsigned[i + 1])))
            {
                return null;
            }
        }

        const NumberStyles Style = NumberStyles.AllowLeadingSign | NumberStyles.AllowDecimalPoint | NumberStyles.AllowExponent;
        return double.TryParse(number.Replace("_", "", StringComparison.Ordinal), Style, CultureInfo.InvariantCulture, out var value) ? value : null;
    }
}
