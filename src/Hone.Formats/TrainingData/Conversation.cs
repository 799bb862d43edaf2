using System.Text.Json;
using System.Text.Json.Nodes;
using Hone.Formats.ToolCalls;

namespace Hone.Formats.TrainingData;

/// <summary>
/// A row's messages as chat templates expect them: content as one text, <c>developer</c> as <c>system</c>, the older <c>function_call</c> as
/// <c>tool_calls</c>, arguments as objects, no null keys, no weights.
/// </summary>
internal sealed class Conversation
{
    private static readonly JsonWriterOptions s_writing = new() { Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    private static readonly JsonSerializerOptions s_node = new() { Encoder = s_writing.Encoder };

    private readonly List<string> _json = [];
    private string? _tools;

    private Conversation(JsonElement owner) => _tools = ToolsOf(owner);

    /// <param name="Content">Null: none beside tool calls.</param>
    /// <param name="Call">The name of the first tool that the message calls.</param>
    /// <param name="Path">Of the message in the row.</param>
    public sealed record Message(string Role, string? Content, bool Learnt, string? Call, string Path, string? Reasoning = null)
    {
        public bool IsAssistant => Role == "assistant";
    }

    public List<Message> Messages { get; } = [];

    /// <summary>For the template; null where it is given none.</summary>
    public JsonElement? Tools => _tools is null ? null : JsonElement.Parse(_tools);

    public bool HasTools => _tools is not null || Messages.Exists(m => m.Call is not null || m.Role == "tool");

    public static Conversation OfChat(JsonElement row)
    {
        var conversation = new Conversation(row);
        conversation.Add(row.GetProperty("messages"), "$.messages", learn: true);
        return conversation;
    }

    public static Conversation OfPair(JsonElement row)
    {
        var conversation = new Conversation(row);
        conversation.Add("user", row.GetProperty("prompt").GetString()!, "$.prompt", learnt: false);
        conversation.Add("assistant", row.GetProperty("completion").GetString()!, "$.completion", learnt: true);
        return conversation;
    }

    public static Conversation OfPreference(JsonElement row, string[] spellings)
    {
        var input = row.GetProperty("input");
        var conversation = new Conversation(input);
        conversation.Add(input.GetProperty("messages"), "$.input.messages", learn: false);
        conversation.Add(RowShape.Find(row, spellings, out string name)!.Value, "$." + name, learn: true);
        return conversation;
    }

    /// <summary>The first messages, as a template's <c>messages</c>.</summary>
    /// <param name="lastContent">Stands in for the last one's content.</param>
    /// <param name="lastCall">Stands in for the name of the tool that the last one calls first.</param>
    public JsonElement First(int count, string? lastContent = null, string? lastCall = null)
    {
        if (count == 0)
            return JsonElement.Parse("[]");
        string last = lastContent is null ? _json[count - 1] : With(_json[count - 1], lastContent);
        if (lastCall is not null)
        {
            JsonNode message = JsonNode.Parse(last)!;
            message["tool_calls"]![0]!["function"]!["name"] = lastCall;
            last = message.ToJsonString(s_node);
        }
        return JsonElement.Parse("[" + string.Join(',', _json.Take(count - 1).Append(last)) + "]");
    }

    /// <summary>Null keys are left to the template instead of being dropped: some tell a tool call by them.</summary>
    public bool KeepNulls { get; set; }

    /// <summary>Functions, calls and results as the model is given them when it answers: what its template does not show is written into the messages.</summary>
    /// <param name="showsSystem">The template shows system messages.</param>
    public void WriteTools(ToolCallFormat format, bool showsSystem)
    {
        if (format.Rendering == ToolRendering.None)
            return;
        Message[] given = [.. Messages];
        IReadOnlyList<(JsonObject Message, int? From)> prepared = ToolMessages.PrepareEach(First(given.Length), Tools, format, showsSystem);
        _json.Clear();
        Messages.Clear();
        foreach ((JsonObject message, int? from) in prepared)
        {
            Message was = from is { } index ? given[index] : new("system", null, Learnt: false, Call: null, "$.tools");
            _json.Add(message.ToJsonString(s_node));
            Messages.Add(was with { Role = (string)message["role"]!, Content = (string?)message["content"], Call = message.ContainsKey("tool_calls") ? was.Call : null });
        }
        if (format.Rendering.HasFlag(ToolRendering.FunctionsAsText))
            _tools = null;
        KeepNulls = format.Rendering.HasFlag(ToolRendering.NullContent);
    }

    /// <summary>Empty texts instead of null contents, for templates that add texts up.</summary>
    public void ReplaceNullContents()
    {
        for (int i = 0; i < _json.Count; i++)
        {
            if (Messages[i].Content is null)
                _json[i] = With(_json[i], "");
        }
    }

    private void Add(JsonElement messages, string path, bool learn)
    {
        string? lastCall = null;
        int index = 0;
        foreach (var message in messages.EnumerateArray())
        {
            string role = message.GetProperty("role").GetString()!;
            string? content = ContentOf(message);
            bool learnt = learn && role == "assistant" && !(message.TryGetProperty("weight", out var weight) && weight.ValueKind == JsonValueKind.Number && weight.GetDouble() == 0);
            string? called = null;
            string calls = Given(message, "tool_calls") is { } list ? CallsOf(list, ref called)
                : Given(message, "function_call") is { } old ? "[" + CallOf("call_0", old, ref called) + "]" : "";
            lastCall = Given(message, "function_call") is null ? lastCall : "call_0";
            _json.Add(Write(writer =>
            {
                writer.WriteString("role", ChatRoles.Plain(role));
                if (content is null)
                    writer.WriteNull("content");
                else
                    writer.WriteString("content", content);
                if (Given(message, "reasoning_content") is { } reasoning)
                    writer.WriteString("reasoning_content", reasoning.GetString());
                if (Given(message, "name") is { } name)
                    writer.WriteString("name", name.GetString());
                if (Given(message, "tool_call_id") is { } id)
                    writer.WriteString("tool_call_id", id.GetString());
                else if (role == "function" && lastCall is not null)
                    writer.WriteString("tool_call_id", lastCall);
                if (calls.Length > 0)
                {
                    writer.WritePropertyName("tool_calls");
                    writer.WriteRawValue(calls);
                }
            }));
            Messages.Add(new(ChatRoles.Plain(role), content, learnt, called, $"{path}[{index++}]", Given(message, "reasoning_content")?.GetString()));
        }
    }

    private void Add(string role, string content, string path, bool learnt)
    {
        _json.Add(Write(writer =>
        {
            writer.WriteString("role", role);
            writer.WriteString("content", content);
        }));
        Messages.Add(new(role, content, learnt, null, path));
    }

    private static string? ContentOf(JsonElement message)
    {
        if (Given(message, "content") is not { } content)
            return null;
        return content.ValueKind == JsonValueKind.String ? content.GetString()!
            : string.Concat(content.EnumerateArray().Select(part => part.GetProperty("text").GetString()));
    }

    private static string CallsOf(JsonElement calls, ref string? called)
    {
        var written = new List<string>();
        foreach (var call in calls.EnumerateArray())
            written.Add(CallOf(call.GetProperty("id").GetString()!, call.GetProperty("function"), ref called));
        return "[" + string.Join(',', written) + "]";
    }

    private static string CallOf(string id, JsonElement function, ref string? called)
    {
        string name = function.GetProperty("name").GetString()!;
        called ??= name;
        var arguments = function.GetProperty("arguments");
        string json = arguments.ValueKind == JsonValueKind.String ? arguments.GetString()! : arguments.GetRawText();
        return Write(writer =>
        {
            writer.WriteString("id", id);
            writer.WriteString("type", "function");
            writer.WriteStartObject("function");
            writer.WriteString("name", name);
            writer.WritePropertyName("arguments");
            writer.WriteRawValue(json);
            writer.WriteEndObject();
        });
    }

    private static string? ToolsOf(JsonElement owner)
    {
        if (Given(owner, "tools") is { ValueKind: JsonValueKind.Array } tools && tools.GetArrayLength() > 0)
            return tools.GetRawText();
        if (Given(owner, "functions") is not { ValueKind: JsonValueKind.Array } functions || functions.GetArrayLength() == 0)
            return null;
        return "[" + string.Join(',', functions.EnumerateArray().Select(f => "{\"type\":\"function\",\"function\":" + f.GetRawText() + "}")) + "]";
    }

    private static JsonElement? Given(JsonElement owner, string key)
        => owner.TryGetProperty(key, out var value) && value.ValueKind != JsonValueKind.Null ? value : null;

    private static string With(string message, string content) => Write(writer =>
    {
        foreach (var property in JsonElement.Parse(message).EnumerateObject())
        {
            if (property.NameEquals("content"))
                writer.WriteString("content", content);
            else
                property.WriteTo(writer);
        }
    });

    private static string Write(Action<Utf8JsonWriter> fields)
    {
        using var stream = new MemoryStream();
        using (var writer = new Utf8JsonWriter(stream, s_writing))
        {
            writer.WriteStartObject();
            fields(writer);
            writer.WriteEndObject();
        }
        return System.Text.Encoding.UTF8.GetString(stream.GetBuffer(), 0, (int)stream.Length);
    }
}
