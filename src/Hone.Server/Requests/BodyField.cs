using System.Text.Json;
using System.Text.Json.Nodes;
using Hone.Formats;

namespace Hone.Server.Requests;

/// <summary>
/// A field of a body. What it takes is said once: <c>Read</c> holds a request to it, and <see cref="Schema"/> publishes it as JSON Schema (2020-12).
/// Null counts as absent, so every schema takes it.
/// </summary>
internal abstract class BodyField(string name, string description)
{
    public string Name { get; } = name;

    protected string Description { get; } = description;

    /// <summary>Reads it for its errors alone.</summary>
    public abstract void Check(BodyFields fields);

    public abstract JsonObject Schema();

    protected JsonObject Typed(params string[] types) => new() { ["description"] = Description, ["type"] = new JsonArray([.. types.Append("null").Select(type => JsonValue.Create(type))]) };
}

internal sealed class TextField(string name, string description, int minimum = 0, int? maximum = null, IReadOnlyList<string>? choices = null) : BodyField(name, description)
{
    public string? Read(BodyFields fields)
    {
        string? text = fields.Text(Name);
        if (text is not null && choices?.Contains(text) == false)
            fields.Fail(Name, $"'{fields.Prefix}{Name}' is '{text.Shown(40)}', it must be one of {string.Join(", ", choices)}");
        if (text is null || (text.Length >= minimum && !(text.Length > maximum)))
            return text;
        // Characters are code points, as JSON Schema counts them.
        int length = text.EnumerateRunes().Count();
        if (length < minimum || length > maximum)
            fields.Fail(Name, $"'{fields.Prefix}{Name}' has {length} characters, it must have {(maximum is null ? $"{minimum} or more" : $"{minimum} to {maximum}")}");
        return text;
    }

    public override void Check(BodyFields fields) => Read(fields);

    public override JsonObject Schema()
    {
        var schema = Typed("string");
        if (minimum > 0)
            schema["minLength"] = minimum;
        if (maximum is { } most)
            schema["maxLength"] = most;
        if (choices is not null)
            schema["enum"] = new JsonArray([.. choices.Append(null).Select(choice => JsonValue.Create(choice))]);
        return schema;
    }
}

/// <param name="orText">Takes the strings <c>"true"</c> and <c>"false"</c> as well.</param>
internal sealed class FlagField(string name, string description, bool orText = false) : BodyField(name, description)
{
    /// <summary>False where it is absent.</summary>
    public bool Read(BodyFields fields) => fields.Flag(Name, orText) ?? false;

    public override void Check(BodyFields fields) => Read(fields);

    public override JsonObject Schema()
    {
        if (!orText)
        {
            var schema = Typed("boolean");
            schema["default"] = false;
            return schema;
        }
        var either = Typed("boolean", "string");
        either["enum"] = new JsonArray(true, false, "true", "false", null);
        either["default"] = false;
        return either;
    }
}

/// <param name="otherwise">What an absent field means; null: absent is a value of its own.</param>
/// <param name="above">The minimum itself is not taken.</param>
internal sealed class NumberField(string name, string description, double minimum, double maximum, double? otherwise = null, bool above = false) : BodyField(name, description)
{
    public double? Read(BodyFields fields)
    {
        double? number = fields.Number(Name, minimum, maximum);
        if (above && number == minimum)
            fields.Fail(Name, $"'{fields.Prefix}{Name}' is {minimum}, it must be above {minimum}, up to {maximum}");
        return number ?? otherwise;
    }

    public override void Check(BodyFields fields) => Read(fields);

    public override JsonObject Schema()
    {
        var schema = Typed("number");
        schema[above ? "exclusiveMinimum" : "minimum"] = minimum;
        schema["maximum"] = maximum;
        if (otherwise is { } value)
            schema["default"] = value;
        return schema;
    }
}

/// <param name="otherwise">What an absent field means; null: absent is a value of its own.</param>
internal sealed class IntegerField(string name, string description, long minimum, long maximum, long? otherwise = null) : BodyField(name, description)
{
    public long? Read(BodyFields fields) => fields.Integer(Name, minimum, maximum) ?? otherwise;

    public override void Check(BodyFields fields) => Read(fields);

    public override JsonObject Schema()
    {
        var schema = Typed("integer");
        schema["minimum"] = minimum;
        schema["maximum"] = maximum;
        if (otherwise is { } value)
            schema["default"] = value;
        return schema;
    }
}

/// <param name="items">Each item's shape; null: any items.</param>
internal sealed class ListField(string name, string description, BodyShape? items = null, int minimum = 0, int? maximum = null) : BodyField(name, description)
{
    public JsonElement? Read(BodyFields fields)
    {
        if (fields.Find(Name) is not { } list)
            return null;
        if (list.ValueKind is not JsonValueKind.Array)
        {
            fields.Fail(Name, $"'{fields.Prefix}{Name}' is {JsonBody.Name(list.ValueKind)}, it must be an array");
            return null;
        }
        int count = list.GetArrayLength();
        if (count < minimum || count > maximum)
            fields.Fail(Name, $"'{fields.Prefix}{Name}' has {count} items, it must have {(maximum is null ? $"{minimum} or more" : $"{minimum} to {maximum}")}");
        if (items is not null)
            CheckItems(fields, list, items);
        return list;
    }

    private void CheckItems(BodyFields fields, JsonElement list, BodyShape shape)
    {
        int index = 0;
        foreach (var item in list.EnumerateArray())
        {
            string path = $"{fields.Prefix}{Name}[{index++}]";
            if (item.ValueKind is JsonValueKind.Object)
                shape.Check(fields.Within(item, path + "."));
            else
                fields.Fail(Name, $"'{path}' is {JsonBody.Name(item.ValueKind)}, it must be an object");
            if (fields.IsFull)
                return;
        }
    }

    public override void Check(BodyFields fields) => Read(fields);

    public override JsonObject Schema()
    {
        var schema = Typed("array");
        if (minimum > 0)
            schema["minItems"] = minimum;
        if (maximum is { } most)
            schema["maxItems"] = most;
        if (items is not null)
            schema["items"] = items.Schema();
        return schema;
    }
}

/// <summary>A field that is checked and described by hand, side by side.</summary>
/// <param name="schema">As JSON text.</param>
internal sealed class SpecialField(string name, string description, string schema, Action<BodyFields, JsonElement> check) : BodyField(name, description)
{
    public JsonElement? Read(BodyFields fields)
    {
        if (fields.Find(Name) is not { } value)
            return null;
        check(fields, value);
        return value;
    }

    public override void Check(BodyFields fields) => Read(fields);

    public override JsonObject Schema()
    {
        var described = new JsonObject { ["description"] = Description };
        foreach (var (key, value) in JsonNode.Parse(schema)!.AsObject())
            described[key] = value?.DeepClone();
        return described;
    }
}

/// <summary>What several fields must be together: the check, and the same as JSON Schema beside it.</summary>
/// <param name="Schema">As JSON text; it becomes one of the object's <c>allOf</c>.</param>
internal sealed record BodyRule(string Schema, Action<BodyFields> Check);

/// <summary>An object: its fields and the rules between them. Fields that it does not name are ignored.</summary>
internal sealed record BodyShape(string Description, IReadOnlyList<BodyField> Fields, params BodyRule[] Rules)
{
    /// <summary>Reads all fields for their errors alone.</summary>
    public void Check(BodyFields fields)
    {
        foreach (var field in Fields)
            field.Check(fields);
        CheckRules(fields);
    }

    public void CheckRules(BodyFields fields)
    {
        foreach (var rule in Rules)
            rule.Check(fields);
    }

    public JsonObject Schema()
    {
        var properties = new JsonObject();
        foreach (var field in Fields)
            properties[field.Name] = field.Schema();
        var schema = new JsonObject { ["type"] = "object", ["description"] = Description, ["properties"] = properties, ["additionalProperties"] = true };
        if (Rules.Length > 0)
            schema["allOf"] = new JsonArray([.. Rules.Select(rule => JsonNode.Parse(rule.Schema))]);
        return schema;
    }
}
