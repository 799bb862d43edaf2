using System.Text.Json;
using System.Text.Json.Nodes;
using Hone.Formats.TrainingData;

namespace Hone.Server.OpenAI;

/// <summary>Messages as chat templates know them: <see cref="ChatRoles.Plain"/>, and contents that are parts of text are one text.</summary>
internal static class ChatMessages
{
    public static JsonElement Plain(JsonElement messages)
    {
        if (!messages.EnumerateArray().Any(m => RoleOf(m) != ChatRoles.Plain(RoleOf(m)) || TextOf(m) is not null))
            return messages;
        var plain = new JsonArray();
        foreach (var message in messages.EnumerateArray())
        {
            var copy = JsonObject.Create(message)!;
            copy["role"] = ChatRoles.Plain(RoleOf(message));
            if (TextOf(message) is { } text)
                copy["content"] = text;
            plain.Add(copy);
        }
        return JsonSerializer.SerializeToElement(plain);
    }

    private static string RoleOf(JsonElement message) => message.GetProperty("role").GetString()!;

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
