using System.Text.Json;
using System.Text.Json.Nodes;

namespace Hone.Server.OpenAI;

/// <summary>Messages as chat templates know them: the role <c>developer</c> is <c>system</c>, and contents that are parts of text are one text.</summary>
internal static class ChatMessages
{
    public static JsonElement Plain(JsonElement messages)
    {
        if (!messages.EnumerateArray().Any(m => IsDeveloper(m) || TextOf(m) is not null))
            return messages;
        var plain = new JsonArray();
        foreach (var message in messages.EnumerateArray())
        {
            var copy = JsonObject.Create(message)!;
            if (IsDeveloper(message))
                copy["role"] = "system";
            if (TextOf(message) is { } text)
                copy["content"] = text;
            plain.Add(copy);
        }
        return JsonSerializer.SerializeToElement(plain);
    }

    private static bool IsDeveloper(JsonElement message) => message.TryGetProperty("role", out var role) && role.ValueEquals("developer"u8);

    /// <summary>Null where the content is no list of texts; what else it may be is the template's affair.</summary>
    private static string? TextOf(JsonElement message)
    {
        if (!message.TryGetProperty("content", out var content) || content.ValueKind is not JsonValueKind.Array)
            return null;
        var texts = new List<string>();
        foreach (var part in content.EnumerateArray())
        {
            if (part.ValueKind is not JsonValueKind.Object || !part.TryGetProperty("text", out var text) || text.ValueKind is not JsonValueKind.String)
                return null;
            texts.Add(text.GetString()!);
        }
        return string.Concat(texts);
    }
}
