using System.Globalization;
using System.Text;

namespace Hone.Formats.ChatTemplates.Jinja;

/// <summary><c>datetime.strftime</c> of a moment without a zone, in the C locale.</summary>
internal static class DateFormat
{
    public static string Apply(DateTime now, string format, Budget budget)
    {
        budget.SpendText(format.Length * 8L);
        var result = new StringBuilder();
        for (var i = 0; i < format.Length; i++)
        {
            if (format[i] != '%' || i + 1 == format.Length)
            {
                result.Append(format[i]);
                continue;
            }

            var flag = format[i + 1] is '-' or '_' or '0' or '^' && i + 2 < format.Length ? format[++i] : '\0';
            result.Append(Flagged(Directive(now, format[++i]) ?? "%" + (flag == '\0' ? "" : flag) + format[i], flag));
        }

        return result.ToString();
    }

    private static string Flagged(string text, char flag)
    {
        var isNumber = text.Length > 0 && text.All(c => char.IsAsciiDigit(c) || c == ' ');
        return flag switch
        {
            '^' => text.ToUpperInvariant(),
            '-' when isNumber => text.TrimStart('0', ' ') is { Length: > 0 } digits ? digits : "0",
            '_' when isNumber => text.TrimStart('0', ' ') is var digits && digits.Length > 0 ? digits.PadLeft(text.Length) : "0".PadLeft(text.Length),
            '0' when isNumber => text.Replace(' ', '0'),
            _ => text,
        };
    }

    private static string? Directive(DateTime now, char directive)
    {
        var culture = CultureInfo.InvariantCulture;
        var hour12 = now.Hour % 12 == 0 ? 12 : now.Hour % 12;
        var weekday = (int)now.DayOfWeek;
        return directive switch
        {
            'a' => now.ToString("ddd", culture),
            'A' => now.ToString("dddd", culture),
            'w' => weekday.ToString(culture),
            'u' => (weekday == 0 ? 7 : weekday).ToString(culture),
            'd' => now.ToString("dd", culture),
            'e' => now.Day.ToString(culture).PadLeft(2),
            'b' or 'h' => now.ToString("MMM", culture),
            'B' => now.ToString("MMMM", culture),
            'm' => now.ToString("MM", culture),
            'y' => now.ToString("yy", culture),
            'Y' => now.Year.ToString(culture),
            'C' => (now.Year / 100).ToString("00", culture),
            'G' => ISOWeek.GetYear(now).ToString(culture),
            'g' => (ISOWeek.GetYear(now) % 100).ToString("00", culture),
            'V' => ISOWeek.GetWeekOfYear(now).ToString("00", culture),
            'H' => now.ToString("HH", culture),
            'k' => now.Hour.ToString(culture).PadLeft(2),
            'I' => hour12.ToString("00", culture),
            'l' => hour12.ToString(culture).PadLeft(2),
            'p' => now.Hour < 12 ? "AM" : "PM",
            'P' => now.Hour < 12 ? "am" : "pm",
            'M' => now.ToString("mm", culture),
            'S' => now.ToString("ss", culture),
            'f' => now.ToString("ffffff", culture),
            'j' => now.DayOfYear.ToString("000", culture),
            'U' => ((now.DayOfYear + 6 - weekday) / 7).ToString("00", culture),
            'W' => ((now.DayOfYear + 6 - ((weekday + 6) % 7)) / 7).ToString("00", culture),
            'z' or 'Z' => "",
            'c' => now.ToString("ddd MMM ", culture) + now.Day.ToString(culture).PadLeft(2) + now.ToString(" HH:mm:ss yyyy", culture),
            'x' or 'D' => now.ToString("MM'/'dd'/'yy", culture),
            'X' or 'T' => now.ToString("HH:mm:ss", culture),
            'R' => now.ToString("HH:mm", culture),
            'r' => hour12.ToString("00", culture) + now.ToString(":mm:ss ", culture) + (now.Hour < 12 ? "AM" : "PM"),
            'F' => now.ToString("yyyy-MM-dd", culture),
            'n' => "\n",
            't' => "\t",
            '%' => "%",
            _ => null,
        };
    }
}
