using System.Globalization;
using System.Text;

namespace Hone.Formats.ChatTemplates.Jinja;

/// <summary>Escapes of string literals, as Python's <c>unicode-escape</c> reads them.</summary>
internal static class StringEscapes
{
    public static string Decode(ReadOnlySpan<char> literal, int line)
    {
        if (!literal.Contains('\\'))
        {
            return literal.ToString();
        }

        var text = new StringBuilder(literal.Length);
        for (var i = 0; i < literal.Length; i++)
        {
            if (literal[i] != '\\')
            {
                text.Append(literal[i]);
                continue;
            }

            var c = literal[++i];
            switch (c)
            {
                case '\n': break;
                case '\\' or '\'' or '"': text.Append(c); break;
                case 'a': text.Append('\a'); break;
                case 'b': text.Append('\b'); break;
                case 'f': text.Append('\f'); break;
                case 'n': text.Append('\n'); break;
                case 'r': text.Append('\r'); break;
                case 't': text.Append('\t'); break;
                case 'v': text.Append('\v'); break;
                case 'x': i = AppendHex(text, literal, i, 2, line); break;
                case 'u': i = AppendHex(text, literal, i, 4, line); break;
                case 'U': i = AppendHex(text, literal, i, 8, line); break;
                case 'N': throw Errors.Syntax("\\N{…} escapes are not supported: write \\u or \\U with the code point", line);
                case >= '0' and <= '7':
                    var value = 0;
                    var start = i;
                    while (i < literal.Length && i < start + 3 && literal[i] is >= '0' and <= '7')
                    {
                        value = (value * 8) + (literal[i++] - '0');
                    }

                    i--;
                    text.Append((char)value);
                    break;
                case > '\x7f':
                    // Python first turns the character into an escape of its own, whose backslash this one then escapes.
                    _ = Rune.DecodeFromUtf16(literal[i..], out var rune, out var length);
                    text.Append('\\').Append(rune.Value <= 0xff ? $"x{rune.Value:x2}" : rune.Value <= 0xffff ? $"u{rune.Value:x4}" : $"U{rune.Value:x8}");
                    i += length - 1;
                    break;
                default: text.Append('\\').Append(c); break;
            }
        }

        return text.ToString();
    }

    private static int AppendHex(StringBuilder text, ReadOnlySpan<char> literal, int at, int digits, int line)
    {
        var end = at + 1 + digits;
        if (end > literal.Length || !int.TryParse(literal[(at + 1)..end], NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var value) || value is < 0 or > 0x10ffff)
        {
            throw Errors.Syntax($"a \\{literal[at]} escape needs {digits} hexadecimal digits of a code point", line);
        }

        text.Append(value > 0xffff ? char.ConvertFromUtf32(value) : ((char)value).ToString());
        return end - 1;
    }
}
