using System.Runtime.InteropServices;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using Hone.Formats.Files;

namespace Hone.Formats.ToolCalls;

/// <summary>A message that no template could take; says which and why.</summary>
public sealed class MessageException(string message) : Exception(message);

/// <summary>
/// Messages as APIs take them → as templates read them: parts of text as one text, arguments as objects or as text. Where the template shows no functions, they are described in the system
/// message; where it knows no calls, these are written into the answers, and results become messages of the user, in the way that Hermes models have made common.
/// </summary>
public static class ToolMessages
{
    /// <param name="messages">A list of messages.</param>
    /// <param name="tools">Functions; null for none.</param>
    /// <param name="format">How the model calls functions; null where neither tools nor messages have any.</param>
    /// <param name="hasSystem">It shows a system message.</param>
    /// <exception cref="MessageException"/>
    public static JsonElement Prepare(JsonElement messages, JsonElement? tools, ToolCallFormat? format, bool hasSystem) =>
        JsonSerializer.SerializeToElement(new JsonArray([.. PrepareEach(messages, tools, format, hasSystem).Select(m => m.Message)]));

    /// <inheritdoc cref="Prepare"/>
    /// <returns>Each with the place of the message that it was, or that it begins with; null for one that describes functions.</returns>
    internal static IReadOnlyList<(JsonObject Message, int? From)> PrepareEach(JsonElement messages, JsonElement? tools, ToolCallFormat? format, bool hasSystem)
    {
        ToolRendering rendering = format?.Rendering ?? ToolRendering.None;
        bool asText = rendering.HasFlag(ToolRendering.CallsAsText);
        if (JsonText.FirstInvalid(JsonMarshal.GetRawUtf8Value(messages)) >= 0)
            throw new MessageException("'messages' hold a string that is no Unicode text.");
        var prepared = new List<(JsonObject Message, int? From)>();
        foreach ((int index, JsonNode? node) in Parse(messages).Index())
        {
            string path = $"messages[{index}]";
            if (node is not JsonObject message)
                throw new MessageException($"'{path}' must be an object.");
            message["content"] = Content(message["content"], path);
            Normalize(message, path, rendering);
            if (asText)
                WriteOut(message);
            // Results of several calls are one turn.
            if (asText && IsResult(message) && prepared is [.., (var last, _)] && IsResult(last))
                last["content"] = $"{last["content"]}\n{message["content"]}";
            else
                prepared.Add(((JsonObject)message.DeepClone(), index));
        }
        if (rendering.HasFlag(ToolRendering.FunctionsAsText) && tools is { } given && given.GetArrayLength() > 0)
            Describe(prepared, given, format!.Example, hasSystem);
        return prepared;
    }

    private static JsonValue? Content(JsonNode? content, string path)
    {
        if (content is not JsonArray parts)
            return content is null ? null : (JsonValue)content.DeepClone();
        var text = new StringBuilder();
        for (int i = 0; i < parts.Count; i++)
        {
            if (parts[i] is not JsonObject part || part["type"] is not JsonValue type || type.GetValueKind() is not JsonValueKind.String)
                throw new MessageException($"'{path}.content[{i}]' must be an object with a type.");
            if (type.GetValue<string>() != "text")
                throw new MessageException($"'{path}.content[{i}]' is of the type '{type}': the models here read text alone.");
            text.Append(part["text"] is JsonValue value && value.GetValueKind() is JsonValueKind.String ? value.GetValue<string>() : throw new MessageException($"'{path}.content[{i}].text' must be a string."));
        }
        return JsonValue.Create(text.ToString());
    }

    /// <summary>Calls in OpenAI's form, arguments as the template wants them.</summary>
    private static void Normalize(JsonObject message, string path, ToolRendering rendering)
    {
        if (message["tool_calls"] is not JsonArray calls)
            return;
        if (rendering.HasFlag(ToolRendering.NullContent) && calls.Count > 0 && string.IsNullOrEmpty(message["content"]?.ToString()))
            message["content"] = null;
        for (int i = 0; i < calls.Count; i++)
        {
            string at = $"{path}.tool_calls[{i}]";
            if (calls[i] is not JsonObject call)
                throw new MessageException($"'{at}' must be an object.");
            JsonObject function = call["function"] is JsonObject inner ? inner : call;
            if (function["name"] is not JsonValue name || name.GetValueKind() is not JsonValueKind.String)
                throw new MessageException($"'{at}' needs the function's name.");
            JsonNode arguments = function["arguments"]?.DeepClone() ?? new JsonObject();
            if (arguments is JsonValue text && text.GetValueKind() is JsonValueKind.String)
                // Answers of the original have an empty text for functions without parameters.
                arguments = text.GetValue<string>() is "" ? new JsonObject() : Parse(text.GetValue<string>()) ?? throw new MessageException($"'{at}.function.arguments' is no JSON object.");
            if (rendering.HasFlag(ToolRendering.ArgumentsAsText))
                arguments = arguments.ToJsonString(s_readable);
            calls[i] = new JsonObject { ["id"] = call["id"]?.DeepClone(), ["type"] = "function", ["function"] = new JsonObject { ["name"] = name.DeepClone(), ["arguments"] = arguments } };
            if (call["id"] is null)
                ((JsonObject)calls[i]!).Remove("id");
        }
    }

    private static JsonArray Parse(JsonElement messages)
    {
        try
        {
            return JsonNode.Parse(messages.GetRawText(), documentOptions: new JsonDocumentOptions { AllowDuplicateProperties = false }) as JsonArray ?? throw new MessageException("'messages' must be a list.");
        }
        catch (JsonException e)
        {
            throw new MessageException($"'messages' cannot be read: {e.Message}");
        }
    }

    private static JsonNode? Parse(string json)
    {
        try
        {
            return JsonNode.Parse(json, documentOptions: new JsonDocumentOptions { AllowDuplicateProperties = false }) as JsonObject;
        }
        catch (JsonException)
        {
            return null;
        }
    }

    private static void WriteOut(JsonObject message)
    {
        if (message["tool_calls"] is JsonArray calls)
        {
            IEnumerable<string> written = calls.Select(c => $"<tool_call>\n{{\"name\": {c!["function"]!["name"]!.ToJsonString(s_readable)}, \"arguments\": {c["function"]!["arguments"]!.ToJsonString(s_readable)}}}\n</tool_call>");
            message["content"] = string.Join('\n', written.Prepend($"{message["content"]}").Where(t => t.Length > 0));
            message.Remove("tool_calls");
        }
        if (message["role"]?.ToString() == "tool")
        {
            message["role"] = "user";
            message["content"] = $"{ResultBegin}\n{message["content"]}\n</tool_response>";
            message.Remove("tool_call_id");
            message.Remove("name");
        }
    }

    // As a model has seen it: letters beyond ASCII as themselves.
    private static readonly JsonSerializerOptions s_readable = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    private const string ResultBegin = "<tool_response>";

    private static bool IsResult(JsonObject message) => message["role"]?.ToString() == "user" && $"{message["content"]}".StartsWith(ResultBegin, StringComparison.Ordinal);

    private static void Describe(List<(JsonObject Message, int? From)> messages, JsonElement tools, string example, bool hasSystem)
    {
        string text = "You can call these functions, given as JSON Schema:\n<tools>\n"
            + string.Join('\n', tools.EnumerateArray().Select(t => t.GetProperty("function").GetRawText()))
            + $"\n</tools>\nTo call a function, answer with its name and arguments as JSON in this form:\n{example}\nWhere no function helps, answer without a call.";
        string role = hasSystem ? "system" : "user";
        if (messages is [(var first, _), ..] && first["role"]?.ToString() == role)
            first["content"] = hasSystem ? $"{first["content"]}\n\n{text}" : $"{text}\n\n{first["content"]}";
        else if (hasSystem)
            messages.Insert(0, (new JsonObject { ["role"] = "system", ["content"] = text }, null));
        else if (messages.Find(m => m.Message["role"]?.ToString() == "user").Message is { } user)
            user["content"] = $"{text}\n\n{user["content"]}";
    }
}
