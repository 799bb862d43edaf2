using System.Text.Json;
using Hone.Formats.Inference;
using Hone.Server.Requests;

namespace Hone.Server.Cloudflare;

/// <summary>The body of <c>ai/run</c> for a text generation model, as the published schema has it.</summary>
internal sealed record RunRequest
{
    /// <summary>Characters of a prompt or of one message.</summary>
    private const int MaxText = 131_072;
    private const int MaxMessages = 2_048;

    /// <summary>Id or name of a finetune.</summary>
    public string? Lora { get; init; }

    public bool Stream { get; init; }

    public required GenerateRequest Generate { get; init; }

    /// <summary>Null where <paramref name="fields"/> gathered an error.</summary>
    public static RunRequest? Parse(BodyFields fields)
    {
        string? prompt = fields.Text("prompt");
        var messages = Messages(fields);
        if (!fields.Has("prompt") && !fields.Has("messages"))
            fields.Fail("prompt", "one of 'prompt' and 'messages' is required");
        else if (fields.Has("prompt") && fields.Has("messages"))
            fields.Fail("prompt", "'prompt' and 'messages' exclude each other");
        if (prompt is { Length: 0 or > MaxText })
            fields.Fail("prompt", $"'prompt' has {prompt.Length} characters, it must have 1 to {MaxText}");
        var tools = fields.Find("tools");
        if (tools is { ValueKind: not JsonValueKind.Array })
            fields.Fail("tools", $"'tools' is {JsonBody.Name(tools.Value.ValueKind)}, it must be an array");
        if (fields.Find("response_format") is { } format && !(format.ValueKind is JsonValueKind.Object && format.TryGetProperty("type", out var type) && type.ValueEquals("text"u8)))
            fields.Fail("response_format", "'response_format' is not offered by this version: leave it out, or use {\"type\":\"text\"}");
        var request = new RunRequest
        {
            Lora = fields.Text("lora"),
            Stream = fields.Flag("stream", orText: true) ?? false,
            Generate = new GenerateRequest
            {
                Prompt = prompt,
                Messages = messages,
                Tools = tools,
                Raw = fields.Flag("raw", orText: true) ?? false,
                MaxTokens = (int)(fields.Integer("max_tokens", 1, 131_072) ?? 256),
                Temperature = fields.Number("temperature", 0, 5) ?? 0.6,
                // The published schema allows up to 2; beyond 1 nothing more can be let in.
                TopP = Math.Min(fields.Number("top_p", 0, 2) ?? 1, 1),
                TopK = (int)(fields.Integer("top_k", 1, 50) ?? 0),
                Seed = fields.Integer("seed", 0, 9_999_999_999),
                RepetitionPenalty = fields.Number("repetition_penalty", 0, 2) ?? 1,
                FrequencyPenalty = fields.Number("frequency_penalty", -2, 2) ?? 0,
                PresencePenalty = fields.Number("presence_penalty", -2, 2) ?? 0,
            },
        };
        if (request.Generate.RepetitionPenalty == 0)
            fields.Fail("repetition_penalty", "'repetition_penalty' is 0, it must be above 0: 1 changes nothing");
        return fields.Errors.Count == 0 ? request : null;
    }

    /// <summary>Role and content of each message; what roles the model knows is its template's affair.</summary>
    private static JsonElement? Messages(BodyFields fields)
    {
        if (fields.Find("messages") is not { } messages)
            return null;
        if (messages.ValueKind is not JsonValueKind.Array)
        {
            fields.Fail("messages", $"'messages' is {JsonBody.Name(messages.ValueKind)}, it must be an array");
            return null;
        }
        int count = messages.GetArrayLength();
        if (count is 0 or > MaxMessages)
            fields.Fail("messages", $"'messages' has {count} items, it must have 1 to {MaxMessages}");
        int index = 0;
        foreach (var message in messages.EnumerateArray())
            CheckMessage(fields, message, $"messages[{index++}]");
        return messages;
    }

    private static void CheckMessage(BodyFields fields, JsonElement message, string path)
    {
        if (message.ValueKind is not JsonValueKind.Object)
        {
            fields.Fail("messages", $"'{path}' is {JsonBody.Name(message.ValueKind)}, it must be an object");
            return;
        }
        if (!message.TryGetProperty("role", out var role) || role.ValueKind is not JsonValueKind.String)
            fields.Fail("messages", $"'{path}.role' must be a string");
        bool calls = message.TryGetProperty("tool_calls", out var toolCalls) && toolCalls.ValueKind is JsonValueKind.Array;
        if (!message.TryGetProperty("content", out var content) || content.ValueKind is JsonValueKind.Null)
        {
            if (!calls)
                fields.Fail("messages", $"'{path}.content' is missing");
        }
        else if (content.ValueKind is not (JsonValueKind.String or JsonValueKind.Array))
        {
            fields.Fail("messages", $"'{path}.content' is {JsonBody.Name(content.ValueKind)}, it must be a string");
        }
        else if (content.ValueKind is JsonValueKind.String && !(JsonBody.LengthOf(content) <= MaxText))
        {
            fields.Fail("messages", $"'{path}.content' is no text of at most {MaxText} characters");
        }
    }
}
