using System.Text.Json;
using Hone.Formats.ToolCalls;

namespace Hone.Formats.TrainingData;

/// <summary>The names that a row's <c>tools</c> declare.</summary>
internal sealed class ToolSet
{
    public HashSet<string> Names { get; } = [];
}

/// <summary><c>tools</c>, the older <c>functions</c>, and <c>parallel_tool_calls</c> of a row.</summary>
internal sealed class ToolValidator(RowScope scope, RowFingerprint fingerprint)
{
    /// <returns>Null when the row declares no tools.</returns>
    public ToolSet? Validate(JsonElement owner, string path)
    {
        bool hasTools = owner.TryGetProperty("tools"u8, out var tools) && tools.ValueKind != JsonValueKind.Null;
        bool hasFunctions = owner.TryGetProperty("functions"u8, out var functions) && functions.ValueKind != JsonValueKind.Null;
        if (owner.TryGetProperty("parallel_tool_calls"u8, out var parallel) && parallel.ValueKind is not (JsonValueKind.True or JsonValueKind.False or JsonValueKind.Null))
            scope.Error(parallel, path + ".parallel_tool_calls", "parallel_tool_calls_not_boolean", $"parallel_tool_calls must be true or false, it is {RowValidator.Spoken(parallel)}.", "Write true or false.");
        if (hasTools && hasFunctions)
            scope.Error(functions, path + ".functions", "row_ambiguous", "the row has both tools and functions.", "Keep tools; functions is the older spelling.");
        else if (hasFunctions)
            scope.Warn(functions, path + ".functions", "deprecated", "functions is the older spelling of tools; it is read as tools.", "Write \"tools\":[{\"type\":\"function\",\"function\":{…}}].");
        if (!hasTools && !hasFunctions)
            return null;
        var (list, name) = hasTools ? (tools, "tools") : (functions, "functions");
        string at = path + "." + name;
        if (list.ValueKind != JsonValueKind.Array)
        {
            scope.Error(list, at, "tools_not_list", $"{name} must be a list, it is {RowValidator.Spoken(list)}.", "Write \"tools\":[{\"type\":\"function\",\"function\":{…}}].");
            return null;
        }
        if (list.GetArrayLength() == 0)
        {
            scope.Warn(list, at, "tools_empty", $"{name} is empty.", "Leave the key out when there are no tools.");
            return null;
        }
        if (list.GetArrayLength() > ToolDefinitions.MaxTools)
        {
            scope.Error(list, at, "too_many_tools", $"{name} has {list.GetArrayLength():N0} functions, at most {ToolDefinitions.MaxTools} are taken.", "Keep those that the conversation needs.");
            return null;
        }
        fingerprint.Add('T');
        var set = new ToolSet();
        int index = 0;
        foreach (var tool in list.EnumerateArray())
            Tool(tool, hasTools, $"{at}[{index++}]", set);
        return set;
    }

    private void Tool(JsonElement tool, bool wrapped, string path, ToolSet set)
    {
        fingerprint.Add(tool);
        if (tool.ValueKind != JsonValueKind.Object)
        {
            scope.Error(tool, path, "tool_not_object", $"a tool must be an object, it is {RowValidator.Spoken(tool)}.", "Write {\"type\":\"function\",\"function\":{\"name\":…,\"parameters\":{…}}}.");
            return;
        }
        var function = tool;
        if (wrapped)
        {
            if (!tool.TryGetProperty("type"u8, out var type) || type.ValueKind != JsonValueKind.String || !type.ValueEquals("function"u8))
                scope.Error(tool, path + ".type", "tool_type_unknown", "a tool's type must be function.", "Write \"type\":\"function\".");
            if (!tool.TryGetProperty("function"u8, out function) || function.ValueKind != JsonValueKind.Object)
            {
                scope.Error(tool, path + ".function", "tool_function_missing", "a tool needs function, an object.", "Write {\"type\":\"function\",\"function\":{\"name\":…,\"parameters\":{…}}}.");
                return;
            }
            path += ".function";
        }
        if (!function.TryGetProperty("name"u8, out var name) || name.ValueKind != JsonValueKind.String || MessageValidator.IsBlank(name))
            scope.Error(function, path + ".name", "tool_name_missing", "a tool's function needs a name, a text that is not empty.", "Name the function as the calls do.");
        else if (!set.Names.Add(name.GetString()!))
            scope.Error(name, path + ".name", "tool_twice", $"the tool {name.GetString()} is declared twice.", "Declare each tool once.");
        if (function.TryGetProperty("description"u8, out var description) && description.ValueKind is not (JsonValueKind.String or JsonValueKind.Null))
            scope.Error(description, path + ".description", "tool_description_not_text", $"a tool's description must be text, it is {RowValidator.Spoken(description)}.", "Write a text or leave it out.");
        if (function.TryGetProperty("parameters"u8, out var parameters) && parameters.ValueKind is not (JsonValueKind.Object or JsonValueKind.Null))
            scope.Error(parameters, path + ".parameters", "tool_parameters_not_object", $"a tool's parameters must be a JSON Schema, an object; it is {RowValidator.Spoken(parameters)}.", "Write {\"type\":\"object\",\"properties\":{…}}.");
    }
}
