using System.Text;
using System.Text.Json;

namespace Hone.Formats.Files;

/// <summary>Says in people's words why a text is not JSON.</summary>
internal static class JsonFaultFinder
{
    private static readonly (string Word, string Instead)[] s_words =
    [
        ("NaN", "null or a number"), ("Infinity", "a number"), ("-Infinity", "a number"), ("inf", "a number"), ("nan", "null or a number"),
        ("None", "null"), ("True", "true"), ("False", "false"), ("undefined", "null"),
    ];

    /// <param name="consumed">Where the last sound token ends.</param>
    /// <param name="whole">As <see cref="JsonSyntax"/> has it.</param>
    public static JsonFault Explain(ReadOnlySpan<byte> json, JsonException e, JsonTokenType last, int depth, int consumed, string whole)
    {
        bool row = whole == JsonSyntax.Row;
        int at = Position(json, e);
        int token = consumed;
        while (token < json.Length && json[token] is (byte)' ' or (byte)'\t' or (byte)'\r' or (byte)'\n' or (byte)',' or (byte)':')
            token++;
        char c = at < json.Length ? (char)json[at] : '\0';
        char first = token < json.Length ? (char)json[token] : '\0';
        char before = PreviousSign(json, Math.Min(token, json.Length));

        if (at < json.Length && c < ' ' && c is not ('\t' or '\r' or '\n') || c is '\t' or '\r' or '\n' && InString(json, token, at))
            return Fault(at, "control_character", $"control character in a string, it must be escaped: 0x{(int)c:X2} at column {Column(json, at)}.", $"Write it as {Escape(c)}.");
        int next = json[consumed..].IndexOfAnyExcept(" \t\r\n"u8);
        if (depth == 0 && last is not (JsonTokenType.None or JsonTokenType.PropertyName) && next >= 0)
            return Fault(consumed + next, "text_after_object", $"text after the object: {Quote(json[(consumed + next)..])}.",
                !row ? $"The {whole} holds one object and nothing else." : first == '{' ? "Put each object on a line of its own, ended by LF." : "One line holds one object and nothing else.");
        foreach (var (word, instead) in s_words)
        {
            if (json[Math.Min(token, json.Length)..].StartsWith(Encoding.UTF8.GetBytes(word)))
                return NotJson(token, $"{word} is no JSON value.", $"Write {instead}.");
        }
        if (first == '\'')
            return NotJson(token, "single quotes.", "Write strings and keys in double quotes; Python's json.dumps does so, str() and print() do not.");
        if (first is ']' or '}' && before == ',')
            return NotJson(token, "comma before the closing bracket.", "Take the comma out.");
        if (first == '"' && Unclosed(json, token))
            return NotJson(Math.Min(at, json.Length), $"the {whole} is cut off inside a string.",
                row ? "A line must hold one whole object: write line breaks inside texts as \\n, and write the row again if it was cut." : $"Close the string, write line breaks inside it as \\n, and write the {whole} again if it was cut.");
        if (token >= json.Length || at >= json.Length)
            return NotJson(json.Length, depth > 0 || last == JsonTokenType.None ? $"the {whole} is cut off before its end." : "a value is missing at the end.",
                row ? "A line must hold one whole object: close its brackets, and do not spread it over several lines." : $"Close its brackets, or write the {whole} again if it was cut.");
        if (first == '"' && at > token && c != '"' && json[at - 1] == '\\')
            return NotJson(at - 1, $"\\{c} is no escape.", "Write \\\\ for a backslash; a single quote needs none.");
        if (first is '/' or '#')
            return NotJson(token, "a comment.", "Take it out; JSON has none.");
        if (json[token..].StartsWith("“"u8) || json[token..].StartsWith("”"u8) || json[token..].StartsWith("‘"u8))
            return NotJson(token, "typographic quotes.", "Write strings and keys in straight double quotes (\").");
        if (last == JsonTokenType.String && (char.IsAsciiLetterOrDigit(first) || first >= 0x80) && before != ',')
            return NotJson(token, $"{Quote(json[token..])} follows the end of a string.", "A double quote inside a text must be written as \\\", values are parted by commas.");
        if (first is '"' or '{' or '[' && before is '"' or '}' or ']')
            return NotJson(token, "a comma is missing before this value.", "Part values by commas, keys from values by colons.");
        if (char.IsAsciiLetter(first) || first == '_')
            return NotJson(token, $"{Quote(json[token..])} is not in double quotes.", "Keys and texts need double quotes.");
        if (char.IsAsciiDigit(first) || first is '-' or '+' or '.')
            return NotJson(token, $"{Quote(json[token..])} is no JSON number.", "Write digits with a decimal point, no leading zero, no plus sign.");
        return NotJson(at, last == JsonTokenType.None ? $"the {(row ? "line" : whole)} begins with {Quote(json[token..])}." : $"{Quote(json[Math.Min(at, token)..])} cannot stand at column {Column(json, at)}.",
            row ? "One line must hold one JSON object." : $"The {whole} must hold one JSON object.");
    }

    /// <summary>Counted from 1, in bytes of its line.</summary>
    public static int Column(ReadOnlySpan<byte> json, int at) => at - json[..at].LastIndexOf((byte)'\n');

    private static JsonFault Fault(int offset, string code, string message, string hint) => new(offset, null, code, message, hint);

    private static JsonFault NotJson(int offset, string message, string hint) => Fault(offset, JsonFault.NotJson, message, hint);

    /// <summary>The exception counts lines and bytes in a line.</summary>
    private static int Position(ReadOnlySpan<byte> json, JsonException e)
    {
        int start = 0;
        for (long line = e.LineNumber ?? 0; line > 0; line--)
        {
            int end = json[start..].IndexOf((byte)'\n');
            if (end < 0)
                break;
            start += end + 1;
        }
        return (int)Math.Min(json.Length, start + (e.BytePositionInLine ?? 0));
    }

    private static char PreviousSign(ReadOnlySpan<byte> json, int end)
    {
        while (end > 0 && json[end - 1] is (byte)' ' or (byte)'\t' or (byte)'\r' or (byte)'\n')
            end--;
        return end > 0 ? (char)json[end - 1] : '\0';
    }

    private static bool InString(ReadOnlySpan<byte> json, int token, int at) => token < at && json[token] == '"' && !ClosedBefore(json, token, at);

    private static bool Unclosed(ReadOnlySpan<byte> json, int token) => !ClosedBefore(json, token, json.Length);

    private static bool ClosedBefore(ReadOnlySpan<byte> json, int token, int end)
    {
        for (int i = token + 1; i < end; i++)
        {
            if (json[i] == '\\')
                i++;
            else if (json[i] == '"')
                return true;
        }
        return false;
    }

    private static string Escape(char c) => c switch { '\t' => "\\t", '\r' => "\\r", '\n' => "\\n", '\b' => "\\b", '\f' => "\\f", _ => $"\\u{(int)c:x4}" };

    private static string Quote(ReadOnlySpan<byte> text)
    {
        string shown = Encoding.UTF8.GetString(text[..Math.Min(text.Length, 24)]).TrimEnd('\uFFFD');
        int end = shown.AsSpan().IndexOfAny('\r', '\n');
        shown = end > 0 ? shown[..end] : shown;
        return $"'{shown.Replace("\0", "\\0", StringComparison.Ordinal)}{(text.Length > 24 ? "…" : "")}'";
    }
}
