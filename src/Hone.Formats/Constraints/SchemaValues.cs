using System.Globalization;
using System.Text.Json;

namespace Hone.Formats.Constraints;

/// <summary>Whether a value satisfies a schema: which of an <c>enum</c>'s values the keywords beside it leave.</summary>
internal static class SchemaValues
{
    private const int Deepest = 200;

    /// <param name="value">Any JSON.</param>
    /// <param name="schema">With all that it refers to.</param>
    /// <param name="automatonOf">Of a schema's pattern and format; null where it has neither.</param>
    /// <param name="branches">Whether <c>anyOf</c>, <c>oneOf</c>, <c>allOf</c> and <c>$ref</c> of the schema itself count; those of its parts do always.</param>
    /// <param name="depth">How deep within the first schema.</param>
    /// <exception cref="SchemaException">References lead round in a circle.</exception>
    public static bool Satisfies(JsonElement value, Schema schema, Func<Schema, TextAutomaton?> automatonOf, bool branches, int depth = 0)
    {
        if (depth > Deepest)
            throw new SchemaException(schema.Path, "its references lead round in a circle");
        bool Fits(JsonElement part, Schema? other) => other is null || Satisfies(part, other, automatonOf, branches: true, depth + 1);

        if (schema.Never || (TypeOf(value) & schema.Types) == 0 || !schema.Lists(value))
            return false;
        bool own = value.ValueKind switch
        {
            JsonValueKind.Number => IsWithin(value, schema),
            JsonValueKind.String => FitsText(value.GetString()!, schema, automatonOf),
            JsonValueKind.Array => value.GetArrayLength() >= schema.MinItems && !(value.GetArrayLength() > schema.MaxItems)
                && value.EnumerateArray().Select((item, i) => Fits(item, i < schema.PrefixItems?.Count ? schema.PrefixItems[i] : schema.Items)).All(fits => fits),
            JsonValueKind.Object => (schema.Required ?? []).TrueForAll(name => value.TryGetProperty(name, out _))
                && value.EnumerateObject().All(m => schema.Names?.Contains(m.Name) is not false)
                && value.EnumerateObject().All(m => Fits(m.Value, schema.Properties?.Find(p => p.Name == m.Name).Schema ?? schema.AdditionalProperties)),
            _ => true,
        };
        return own && (!branches || ((schema.AnyOf is null || schema.AnyOf.Exists(s => Fits(value, s))) && (schema.OneOf is null || schema.OneOf.Count(s => Fits(value, s)) == 1)
            && (schema.AllOf is null || schema.AllOf.TrueForAll(s => Fits(value, s))) && Fits(value, schema.Target)));
    }

    private static bool FitsText(string text, Schema schema, Func<Schema, TextAutomaton?> automatonOf)
    {
        int length = text.EnumerateRunes().Count();
        return length >= schema.MinLength && !(length > schema.MaxLength) && (automatonOf(schema)?.Takes(text) ?? true);
    }

    private static bool IsWithin(JsonElement number, Schema schema)
    {
        if (SchemaReader.Exact(number) is not { } value)
            return schema.Minimum is null && schema.Maximum is null;
        return !(schema.Minimum is { } least && (value < least.Value || (least.Exclusive && value == least.Value)))
            && !(schema.Maximum is { } most && (value > most.Value || (most.Exclusive && value == most.Value)));
    }

    private static JsonTypes TypeOf(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.Null => JsonTypes.Null,
        JsonValueKind.True or JsonValueKind.False => JsonTypes.Boolean,
        JsonValueKind.String => JsonTypes.String,
        JsonValueKind.Array => JsonTypes.Array,
        JsonValueKind.Object => JsonTypes.Object,
        _ => double.Parse(value.GetRawText(), CultureInfo.InvariantCulture) is var number && number == Math.Truncate(number) ? JsonTypes.Integer : JsonTypes.Fraction,
    };
}
