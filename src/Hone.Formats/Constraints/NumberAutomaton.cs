using System.Globalization;
using System.Numerics;

namespace Hone.Formats.Constraints;

/// <summary>
/// Numbers within limits, digit by digit. They are written without exponent and without needless zeros before them, with at most 15 digits before the point (or one more
/// than a limit has) and 10 behind it.
/// </summary>
internal static class NumberAutomaton
{
    private const int WholeDigits = 15;
    private const string Fraction = "(\\.[0-9]{1,10})?";

    /// <exception cref="SchemaException"/>
    public static TextAutomaton Of(bool integersOnly, Bound? minimum, Bound? maximum, string path)
    {
        int digits = Math.Max(WholeDigits, 1 + Math.Max(DigitsOf(minimum), DigitsOf(maximum)));
        string whole = $"[1-9][0-9]{{0,{digits - 1}}}";
        TextAutomaton numbers = Compile(integersOnly ? $"0|-?{whole}" : $"-?(0|{whole}){Fraction}", path);
        if (minimum is { } least)
            numbers = numbers.And(Compile(least.Value >= 0 ? AtLeast(least.Value, least.Exclusive, digits) : $"{AtLeast(0, false, digits)}|-({AtMost(-least.Value, least.Exclusive)})", path), path);
        if (maximum is { } most)
            numbers = numbers.And(Compile(most.Value >= 0 ? $"-({AtLeast(0, false, digits)})|{AtMost(most.Value, most.Exclusive)}" : $"-({AtLeast(-most.Value, most.Exclusive, digits)})", path), path);
        return numbers;
    }

    private static TextAutomaton Compile(string pattern, string path) => TextAutomaton.Matching($"^({pattern})$", path);

    private static int DigitsOf(Bound? bound) => bound is { } b ? decimal.Truncate(Math.Abs(b.Value)).ToString(CultureInfo.InvariantCulture).Length : 0;

    /// <summary>Numbers that are not negative, from a limit on.</summary>
    private static string AtLeast(decimal limit, bool exclusive, int digits)
    {
        (BigInteger whole, string part) = Split(limit);
        string behind = part.Length == 0 && !exclusive ? Fraction : $"\\.({string.Join('|', Above(part, exclusive))})";
        return $"({Range(whole + 1, BigInteger.Pow(10, digits) - 1)}){Fraction}|{whole}{behind}";
    }

    /// <summary>Numbers that are not negative, up to a limit.</summary>
    private static string AtMost(decimal limit, bool exclusive)
    {
        (BigInteger whole, string part) = Split(limit);
        var choices = new List<string>();
        if (whole > 0)
            choices.Add($"({Range(0, whole - 1)}){Fraction}");
        if (part.Length > 0)
            choices.Add($"{whole}(\\.({string.Join('|', Below(part, exclusive))}))?");
        else if (!exclusive)
            choices.Add($"{whole}(\\.0{{1,10}})?");
        return choices.Count > 0 ? string.Join('|', choices) : "[]"; // which nothing matches
    }

    private static (BigInteger Whole, string Part) Split(decimal value)
    {
        decimal whole = decimal.Truncate(value);
        string text = (value - whole).ToString(CultureInfo.InvariantCulture);
        return (new BigInteger(whole), text.Contains('.', StringComparison.Ordinal) ? text[(text.IndexOf('.', StringComparison.Ordinal) + 1)..].TrimEnd('0') : "");
    }

    private static IEnumerable<string> Above(string part, bool exclusive)
    {
        for (int i = 0; i < part.Length; i++)
        {
            if (part[i] < '9')
                yield return $"{part[..i]}[{(char)(part[i] + 1)}-9][0-9]{{0,10}}";
        }
        yield return exclusive ? $"{part}0{{0,9}}[1-9][0-9]{{0,9}}" : $"{part}[0-9]{{0,10}}";
    }

    private static IEnumerable<string> Below(string part, bool exclusive)
    {
        for (int i = 0; i < part.Length; i++)
        {
            if (part[i] > '0')
                yield return $"{part[..i]}[0-{(char)(part[i] - 1)}][0-9]{{0,10}}";
            if (i > 0)
                yield return $"{part[..i]}0{{0,10}}";
        }
        if (!exclusive)
            yield return $"{part}0{{0,10}}";
    }

    /// <summary>Integers from <paramref name="low"/>, which is not negative, to <paramref name="high"/>.</summary>
    private static string Range(BigInteger low, BigInteger high)
    {
        var choices = new List<string>();
        for (int length = low.ToString(CultureInfo.InvariantCulture).Length; length <= high.ToString(CultureInfo.InvariantCulture).Length; length++)
        {
            BigInteger first = BigInteger.Max(low, length == 1 ? 0 : BigInteger.Pow(10, length - 1)), last = BigInteger.Min(high, BigInteger.Pow(10, length) - 1);
            if (first <= last)
                choices.Add(OfOneLength(first.ToString(CultureInfo.InvariantCulture), last.ToString(CultureInfo.InvariantCulture)));
        }
        return choices.Count > 0 ? string.Join('|', choices) : "[]";
    }

    private static string OfOneLength(string low, string high)
    {
        if (low.Length == 0)
            return "";
        int rest = low.Length - 1;
        if (low.All(c => c == '0') && high.All(c => c == '9'))
            return $"[0-9]{{{low.Length}}}";
        if (low[0] == high[0])
            return low[0] + $"({OfOneLength(low[1..], high[1..])})";
        var choices = new List<string> { $"{low[0]}({OfOneLength(low[1..], new string('9', rest))})", $"{high[0]}({OfOneLength(new string('0', rest), high[1..])})" };
        if (high[0] - low[0] > 1)
            choices.Add($"[{(char)(low[0] + 1)}-{(char)(high[0] - 1)}][0-9]{{{rest}}}");
        return string.Join('|', choices);
    }
}
