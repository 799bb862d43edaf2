using System.Text;
using System.Text.Json;

namespace Hone.Formats.Constraints;

/// <summary>JSON as the constraint writes it: compact, and nothing escaped that need not be.</summary>
internal static class JsonBytes
{
    public static byte[] Of(JsonElement value)
    {
        var text = new StringBuilder();
        Append(value, text);
        return Encoding.UTF8.GetBytes(text.ToString());
    }

    public static string Quoted(string value)
    {
        var text = new StringBuilder();
        Append(value, text);
        return text.ToString();
    }

    private static void Append(JsonElement value, StringBuilder text)
    {
        string separator = "";
        switch (value.ValueKind)
        {
            case JsonValueKind.Object:
                text.Append('{');
                foreach (JsonProperty member in value.EnumerateObject())
                {
                    text.Append(separator);
                    Append(member.Name, text);
                    text.Append(':');
                    Append(member.Value, text);
                    separator = ",";
                }
                text.Append('}');
                break;
            case JsonValueKind.Array:
                text.Append('[');
                foreach (JsonElement item in value.EnumerateArray())
                {
                    text.Append(separator);
                    Append(item, text);
                    separator = ",";
                }
                text.Append(']');
                break;
            case JsonValueKind.String:
                Append(value.GetString()!, text);
                break;
            default:
                text.Append(value.GetRawText());
                break;
        }
    }

    private static void Append(string value, StringBuilder text)
    {
        text.Append('"');
        foreach (char c in value)
        {
            _ = c switch
            {
                '"' => text.Append("\\\""),
                '\\' => text.Append("\\\\"),
                '\b' => text.Append("\\b"),
                '\f' => text.Append("\\f"),
                '\n' => text.Append("\\n"),
                '\r' => text.Append("\\r"),
                '\t' => text.Append("\\t"),
                < ' ' => text.Append($"\\u{(int)c:x4}"),
                _ => text.Append(c),
            };
        }
        text.Append('"');
    }
}
