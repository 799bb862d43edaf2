using System.Text.Json;

namespace Hone.Formats.TrainingData;

/// <summary>Marks of an earlier wrong decoding in a row's texts.</summary>
internal sealed class TextSuspicions(RowScope scope)
{
    /// <param name="text">All texts of the row, escapes resolved.</param>
    public void Check(ReadOnlySpan<byte> text, JsonElement row)
    {
        if (text.IndexOf("\uFFFD"u8) >= 0)
            Warn(row, static t => t.Contains('\uFFFD', StringComparison.Ordinal), "replacement_character", "the text holds U+FFFD, the mark of bytes that could not be decoded earlier.", "Read the source again in its own encoding.");
        if (Mojibake(text))
            Warn(row, static t => Mojibake(System.Text.Encoding.UTF8.GetBytes(t)), "wrongly_decoded", "the text looks like UTF-8 that was once read as Latin-1 or Windows-1252 (such as Ã© for é).", "Read the source again as UTF-8.");
    }

    private void Warn(JsonElement row, Predicate<string> holds, string code, string message, string hint)
    {
        var (at, path) = Find(row, "$", holds) is { } found ? found : (row, null);
        scope.Warn(at, path, code, message, hint);
    }

    /// <summary>The first text that holds it.</summary>
    private static (JsonElement At, string? Path)? Find(JsonElement value, string path, Predicate<string> holds)
    {
        switch (value.ValueKind)
        {
            case JsonValueKind.String:
                return holds(value.GetString()!) ? (value, path) : null;
            case JsonValueKind.Array:
                int index = 0;
                foreach (var item in value.EnumerateArray())
                {
                    if (Find(item, $"{path}[{index++}]", holds) is { } found)
                        return found;
                }
                return null;
            case JsonValueKind.Object:
                foreach (var property in value.EnumerateObject())
                {
                    if (!property.NameEquals("metadata"u8) && Find(property.Value, $"{path}.{property.Name.Shown(60)}", holds) is { } found)
                        return found;
                }
                return null;
            default:
                return null;
        }
    }

    /// <summary>Ã or Â before a character of U+0080–U+00BF, or â€: what UTF-8's two- and three-byte characters become.</summary>
    private static bool Mojibake(ReadOnlySpan<byte> text)
    {
        if (text.IndexOf("â€"u8) >= 0)
            return true;
        for (int i = text.IndexOf((byte)0xC3); i >= 0 && i + 3 < text.Length;)
        {
            if (text[i + 1] is 0x83 && text[i + 2] == 0xC2)
                return true;
            int next = text[(i + 1)..].IndexOf((byte)0xC3);
            i = next < 0 ? -1 : i + 1 + next;
        }
        return false;
    }
}
