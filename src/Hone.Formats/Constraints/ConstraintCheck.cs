using System.Text.Json;
using Hone.Formats.ToolCalls;

namespace Hone.Formats.Constraints;

/// <summary>Whether answers can be held to a schema; needs no model, so that an API can refuse a request before an engine sees it.</summary>
public static class ConstraintCheck
{
    /// <summary>What of a JSON Schema cannot be enforced: the JSON path, the keyword, and what to do; null where all of it is.</summary>
    public static string? FindError(JsonElement schema)
    {
        try
        {
            SchemaRules.Compile(schema);
            return null;
        }
        catch (SchemaException e)
        {
            return e.Message;
        }
    }

    /// <summary>What is wrong with <c>tools</c> or <c>tool_choice</c>: the place, from <c>tools</c> on, and what to do; null where nothing is.</summary>
    /// <param name="tools">In OpenAI's form, or bare functions; null for none.</param>
    /// <param name="toolChoice"><c>auto</c>, <c>none</c>, <c>required</c> or a function's name; null: as <c>auto</c>.</param>
    public static string? FindToolsError(JsonElement? tools, string? toolChoice)
    {
        try
        {
            ToolChoice.Check(toolChoice, tools is { } given ? ToolDefinitions.Read(given) : null);
            return null;
        }
        catch (SchemaException e)
        {
            return e.Message;
        }
    }
}
