using System.Runtime.InteropServices;
using System.Text.Json;
using System.Text.Json.Nodes;
using Hone.Formats.Constraints;
using Hone.Formats.Files;

namespace Hone.Formats.ToolCalls;

/// <summary>A function that the model may call.</summary>
internal sealed record ToolDefinition(string Name, Rule Arguments);

/// <summary>The functions of a request, and which of them an answer must or may call.</summary>
internal sealed class ToolDefinitions
{
    /// <summary>That a conversation offers, and that one message calls.</summary>
    public const int MaxTools = 128;

    private ToolDefinitions(List<ToolDefinition> all, JsonElement json) => (All, Json) = (all, json);

    public IReadOnlyList<ToolDefinition> All { get; }

    /// <summary>As OpenAI writes them, which is what templates read.</summary>
    public JsonElement Json { get; }

    /// <summary>Reads OpenAI's form, and the bare functions that Cloudflare's dialect takes as well.</summary>
    /// <exception cref="SchemaException">Names the place of what is wrong, from <c>tools</c> on.</exception>
    public static ToolDefinitions Read(JsonElement tools)
    {
        if (tools.ValueKind is not JsonValueKind.Array)
            throw new SchemaException("tools", "it must be a list of functions");
        if (JsonText.FirstInvalid(JsonMarshal.GetRawUtf8Value(tools)) >= 0)
            throw new SchemaException("tools", "it holds a string that is no Unicode text");
        int count = tools.GetArrayLength();
        if (count > MaxTools)
            throw new SchemaException("tools", $"it has {count} functions, at most {MaxTools} are taken");
        var all = new List<ToolDefinition>();
        var json = new JsonArray();
        int index = 0;
        foreach (JsonElement tool in tools.EnumerateArray())
        {
            string path = $"tools[{index++}]";
            if (tool.ValueKind is not JsonValueKind.Object)
                throw new SchemaException(path, "a tool must be an object: {\"type\":\"function\",\"function\":{\"name\":…,\"parameters\":{…}}}");
            JsonElement function = tool;
            if (tool.TryGetProperty("function", out JsonElement inner))
            {
                if (tool.TryGetProperty("type", out JsonElement type) && !(type.ValueKind is JsonValueKind.String && type.ValueEquals("function"u8)))
                    throw new SchemaException($"{path}.type", "only tools of the type function are offered");
                (function, path) = (inner, $"{path}.function");
                if (function.ValueKind is not JsonValueKind.Object)
                    throw new SchemaException(path, "it must be an object with a name");
            }
            ToolDefinition definition = One(function, path);
            if (all.Exists(t => t.Name == definition.Name))
                throw new SchemaException($"{path}.name", $"two functions are called {definition.Name}");
            all.Add(definition);
            json.Add(new JsonObject { ["type"] = "function", ["function"] = JsonNode.Parse(function.GetRawText()) });
        }
        return new ToolDefinitions(all, JsonSerializer.SerializeToElement(json));
    }

    private static ToolDefinition One(JsonElement function, string path)
    {
        if (!function.TryGetProperty("name", out JsonElement name) || name.ValueKind is not JsonValueKind.String)
            throw new SchemaException($"{path}.name", "a function needs a name");
        string text = name.GetString()!;
        if (text.Length is 0 or > 64 || !text.All(c => char.IsAsciiLetterOrDigit(c) || c is '_' or '-' or '.'))
            throw new SchemaException($"{path}.name", "a function's name has 1 to 64 letters, digits, '_', '-' and '.'");
        if (ToolChoice.IsMode(text))
            throw new SchemaException($"{path}.name", $"'{text}' is a value of tool_choice and names no function; choose another name");
        if (function.TryGetProperty("description", out JsonElement description) && description.ValueKind is not (JsonValueKind.String or JsonValueKind.Null))
            throw new SchemaException($"{path}.description", "it must be a string");
        try
        {
            return new ToolDefinition(text, SchemaRules.Compile(Parameters(function, path)));
        }
        catch (SchemaException e) when (e.Path.StartsWith('$'))
        {
            throw new SchemaException($"{path}.parameters{e.Path[1..]}", e.Reason);
        }
    }

    /// <summary>An object, whatever else they are.</summary>
    private static JsonElement Parameters(JsonElement function, string path)
    {
        if (!function.TryGetProperty("parameters", out JsonElement parameters) || parameters.ValueKind is JsonValueKind.Null)
            return JsonElement.Parse("""{"type":"object","properties":{}}""");
        if (parameters.ValueKind is not JsonValueKind.Object)
            throw new SchemaException($"{path}.parameters", "it must be a JSON Schema of an object");
        if (parameters.TryGetProperty("type", out JsonElement type))
        {
            return type.ValueKind is JsonValueKind.String && type.ValueEquals("object"u8)
                ? parameters
                : throw new SchemaException($"{path}.parameters.type", "arguments are an object: it must be \"object\"");
        }
        return JsonElement.Parse($"{{\"type\":\"object\"{(parameters.EnumerateObject().Any() ? "," : "")}{parameters.GetRawText().TrimStart()[1..]}");
    }
}

/// <summary>What a request says of calls.</summary>
internal static class ToolChoice
{
    public const string Auto = "auto", None = "none", Required = "required";

    public static bool IsMode(string choice) => choice is Auto or None or Required;

    /// <exception cref="SchemaException">There is no such function.</exception>
    public static string Check(string? choice, ToolDefinitions? tools)
    {
        string chosen = choice ?? (tools is null ? None : Auto);
        if (chosen is Auto or None)
            return chosen;
        if (tools is not { All.Count: > 0 })
            throw new SchemaException("tool_choice", "it asks for a call, but there are no tools");
        return chosen == Required || tools.All.Any(t => t.Name == chosen) ? chosen : throw new SchemaException("tool_choice", $"no tool is called '{chosen}'");
    }
}
