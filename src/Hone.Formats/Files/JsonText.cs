using System.Text.Json;
using System.Text.Unicode;

namespace Hone.Formats.Files;

/// <summary>What a JSON reader lets pass.</summary>
public static class JsonText
{
    /// <summary>
    /// Where the first string or name begins that is no Unicode text: bytes that are no UTF-8, or half a surrogate pair as an escape. −1 where there is none. JSON readers
    /// find such a string only when it is asked for, which may be late.
    /// </summary>
    /// <param name="json">Valid JSON.</param>
    public static long FirstInvalid(ReadOnlySpan<byte> json)
    {
        if (json.IndexOf("\\u"u8) < 0 && Utf8.IsValid(json))
            return -1;
        var reader = new Utf8JsonReader(json, new JsonReaderOptions { MaxDepth = int.MaxValue });
        char[] text = new char[256];
        while (reader.Read())
        {
            if (reader.TokenType is not (JsonTokenType.String or JsonTokenType.PropertyName))
                continue;
            if (text.Length < reader.ValueSpan.Length)
                text = new char[reader.ValueSpan.Length * 2];
            try
            {
                reader.CopyString(text);
            }
            catch (InvalidOperationException)
            {
                return reader.TokenStartIndex;
            }
        }
        return -1;
    }
}
