using System.Text.Json;

namespace Hone.Formats.Constraints;

/// <summary>Whether answers can be held to a schema; needs no model, so that an API can refuse a request before an engine sees it.</summary>
public static class ConstraintCheck
{
    /// <summary>What of a JSON Schema cannot be enforced: the JSON path, the keyword, and what to do; null where all of it is.</summary>
    public static string? FindError(JsonElement schema)
    {
        try
        {
            SchemaReader.Read(schema);
            return null;
        }
        catch (SchemaException e)
        {
            return e.Message;
        }
    }
}
