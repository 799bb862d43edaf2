using System.Text.Json.Nodes;

namespace Hone.Formats.Tests.Constraints;

/// <summary>Schemas with all keywords that are enforced, from a seed.</summary>
internal sealed class RandomSchema(int seed)
{
    private static readonly string[] s_patterns =
        ["^[a-z]{2,8}$", "^\\d{3}-\\d{4}$", "[A-Z][a-z]+", "^(red|green|blue)$", "^#[0-9a-fA-F]{6}$", "^v\\d+(\\.\\d+){0,2}$", "^[^\\s\"]{1,10}$", "x{2,3}$", "^(a|b)*c?", "^é[à-ü]{1,4}$", "😀|z"];

    private static readonly string[] s_formats = ["date-time", "date", "time", "email", "uuid", "ipv4", "ipv6", "hostname", "uri", "duration"];
    private static readonly string[] s_names = ["id", "name", "tags", "näme", "quote\"d", "a b", "size", "kind", "next", "\\", "x", "très", "😀", "line\nbreak"];

    private readonly Random _random = new(seed);

    public JsonObject Next()
    {
        JsonObject schema = Any(3);
        if (_random.Next(4) > 0)
            return schema;
        // A tree and a list of it, by reference.
        var node = new JsonObject
        {
            ["type"] = "object",
            ["properties"] = new JsonObject
            {
                ["value"] = Any(1),
                ["children"] = new JsonObject { ["type"] = "array", ["items"] = new JsonObject { ["$ref"] = "#/$defs/node" }, ["maxItems"] = 2 },
                ["next"] = new JsonObject { ["anyOf"] = new JsonArray(new JsonObject { ["type"] = "null" }, new JsonObject { ["$ref"] = "#/$defs/node" }) },
            },
            ["required"] = new JsonArray("value"),
        };
        return new JsonObject { ["type"] = "object", ["properties"] = new JsonObject { ["tree"] = new JsonObject { ["$ref"] = "#/$defs/node", ["description"] = "A tree" }, ["rest"] = schema }, ["required"] = new JsonArray("tree"), ["$defs"] = new JsonObject { ["node"] = node } };
    }

    private JsonObject Any(int depth) => _random.Next(depth > 0 ? 15 : 7) switch
    {
        0 => new JsonObject { ["type"] = "boolean", ["title"] = "T" },
        1 => new JsonObject { ["type"] = new JsonArray("null", "integer") },
        2 => Number(),
        3 => new JsonObject { ["enum"] = new JsonArray("a", 1, null, true, "ü\"\\\n", new JsonArray(1, "x"), new JsonObject { ["k"] = 1.5 }) },
        4 => new JsonObject { ["const"] = Pick<JsonNode>("fix", 42, -0.5, new JsonObject { ["a"] = new JsonArray() }).DeepClone() },
        5 or 6 => Text(),
        7 or 8 => List(depth),
        9 => new JsonObject { ["anyOf"] = new JsonArray(Any(depth - 1), Any(depth - 1)) },
        10 => new JsonObject { ["oneOf"] = new JsonArray(Tagged("cat", depth), Tagged("dog", depth), new JsonObject { ["type"] = "string", ["maxLength"] = 6 }, new JsonObject { ["type"] = "integer", ["maximum"] = -1 }, new JsonObject { ["type"] = "integer", ["minimum"] = 0 }) },
        11 => new JsonObject { ["allOf"] = new JsonArray(Map(depth, open: false), Tagged("both", depth)) },
        12 => Names(depth),
        _ => Map(depth, open: _random.Next(2) == 0),
    };

    private JsonObject Names(int depth)
    {
        var schema = new JsonObject { ["type"] = "object", ["propertyNames"] = new JsonObject { ["enum"] = new JsonArray("a", "\u00e9\"", "b") }, ["additionalProperties"] = Any(depth - 1) };
        if (_random.Next(2) == 0)
            schema["required"] = new JsonArray("b");
        return schema;
    }

    private JsonObject Number()
    {
        if (_random.Next(4) == 0)
            return Narrow();
        bool isInteger = _random.Next(3) > 0;
        var schema = new JsonObject { ["type"] = isInteger ? "integer" : "number" };
        int low = _random.Next(-2000, 2000);
        if (_random.Next(3) > 0)
            schema[Pick("minimum", "exclusiveMinimum")] = _random.Next(2) == 0 ? low : low / 8m;
        if (_random.Next(3) > 0)
            schema[Pick("maximum", "exclusiveMaximum")] = _random.Next(2) == 0 ? low + _random.Next(2, 500) : (low + _random.Next(20, 4000)) / 8m + 250;
        return schema;
    }

    /// <summary>Limits whose sixteenth digit would tell them apart from numbers between.</summary>
    private JsonObject Narrow()
    {
        (decimal size, decimal unit) = Pick((1e9m, 0.000_01m), (1e11m, 0.001m), (1e12m, 0.01m), (1e13m, 0.1m));
        decimal low = size * _random.Next(1, 9) * Pick(-1, 1), high = low + unit * _random.Next(1, 4);
        bool isLow = _random.Next(2) == 0;
        return new JsonObject { ["type"] = "number", [isLow ? "exclusiveMinimum" : "minimum"] = low, [isLow ? "maximum" : "exclusiveMaximum"] = high };
    }

    private JsonObject Text()
    {
        var schema = new JsonObject { ["type"] = "string" };
        switch (_random.Next(6))
        {
            case 5:
                // Most pairs have no text in common. A name of a host may end with a digit, and none that is written does.
                string[] formats = [.. s_formats.OrderBy(_ => _random.Next()).Take(2)];
                if (_random.Next(4) == 0)
                    (schema["pattern"], formats) = ("[0-9]$", ["hostname", Pick("ipv4", "uuid")]);
                schema["oneOf"] = new JsonArray([.. formats.Select(f => new JsonObject { ["format"] = f })]);
                break;
            case 0:
                schema["pattern"] = Pick(s_patterns);
                break;
            case 1:
                schema["format"] = Pick(s_formats);
                schema["maxLength"] = 36 + _random.Next(300);
                break;
            case 2:
                schema["minLength"] = _random.Next(4);
                schema["maxLength"] = 4 + _random.Next(30);
                break;
            case 3:
                schema["pattern"] = Pick("^[a-z ]+$", "[0-9]", "^.*é");
                schema["minLength"] = 3;
                schema["maxLength"] = 3 + _random.Next(10);
                break;
        }
        return schema;
    }

    private JsonObject List(int depth)
    {
        var schema = new JsonObject { ["type"] = "array", ["items"] = Any(depth - 1) };
        if (_random.Next(3) == 0)
            schema["prefixItems"] = new JsonArray(Any(depth - 1), Any(depth - 1));
        if (_random.Next(2) == 0)
            schema["minItems"] = _random.Next(4);
        schema["maxItems"] = 3 + _random.Next(3);
        if (schema.ContainsKey("prefixItems") && _random.Next(2) == 0)
            schema["items"] = false;
        if (schema["items"]!.GetValueKind() is System.Text.Json.JsonValueKind.False)
            schema.Remove("minItems");
        return schema;
    }

    private JsonObject Tagged(string kind, int depth) => new()
    {
        ["type"] = "object",
        ["properties"] = new JsonObject { ["kind"] = new JsonObject { ["const"] = kind }, ["data"] = Any(depth - 1) },
        ["required"] = new JsonArray("kind"),
    };

    private JsonObject Map(int depth, bool open)
    {
        var properties = new JsonObject();
        var required = new JsonArray();
        foreach (string name in s_names.Where(n => n != "kind").OrderBy(_ => _random.Next()).Take(_random.Next(5)))
        {
            properties[name] = Any(depth - 1);
            if (_random.Next(2) == 0)
                required.Add(name);
        }
        var schema = new JsonObject { ["type"] = "object", ["properties"] = properties, ["required"] = required };
        if (open)
            schema["additionalProperties"] = _random.Next(2) == 0 ? true : Any(0);
        else if (_random.Next(2) == 0 && required.Count == properties.Count)
            schema.Remove("additionalProperties");
        return schema;
    }

    private T Pick<T>(params T[] items) => items[_random.Next(items.Length)];
}
