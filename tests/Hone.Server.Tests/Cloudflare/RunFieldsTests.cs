using System.Text.Json;
using System.Text.Json.Nodes;
using Hone.Server.Cloudflare;
using Hone.Server.Requests;
using Json.Schema;

namespace Hone.Server.Tests.Cloudflare;

/// <summary>What <c>models/schema</c> publishes is what requests are held to: an independent validator and the reader agree on every body.</summary>
public sealed class RunFieldsTests
{
    private static readonly EvaluationOptions Options = new() { OutputFormat = OutputFormat.List };
    private static readonly JsonSchema Schema = JsonSchema.FromText(RunFields.Shape.Schema().ToJsonString());

    [Fact]
    public void SchemaAndReader_GeneratedBodies_Agree()
    {
        var random = new Random(20261128);
        int accepted = 0;
        const int Bodies = 5_000;
        for (int i = 0; i < Bodies; i++)
        {
            string body = Body(random).ToJsonString();
            bool valid = Schema.Evaluate(JsonElement.Parse(body), Options).IsValid;
            var fields = new BodyFields(JsonElement.Parse(body));
            bool read = RunRequest.Parse(fields) is not null;
            Assert.True(valid == read, $"{body}: the schema says {valid}, the reader {read} ({string.Join("; ", fields.Errors)})");
            accepted += valid ? 1 : 0;
        }
        // Both sides of the border were visited.
        Assert.InRange(accepted, Bodies / 20, Bodies / 2);
    }

    [Fact]
    public void Schema_EveryField_HasTypeAndDescription()
    {
        foreach (var (name, field) in RunFields.Shape.Schema()["properties"]!.AsObject())
        {
            Assert.True(field!["type"] is JsonArray, name);
            Assert.NotEqual("", field["description"]!.GetValue<string>());
        }
    }

    private static JsonObject Body(Random random)
    {
        var body = new JsonObject();
        if (random.Next(8) > 0)
            body[random.Next(2) == 0 ? "prompt" : "messages"] = null;
        foreach (var field in RunFields.Shape.Fields)
        {
            if (body.ContainsKey(field.Name) || random.Next(6) == 0)
                body[field.Name] = random.Next(12) == 0 ? Junk(random) : Value(random, field.Name);
        }
        if (random.Next(6) > 0 && body.ContainsKey("prompt") && body.ContainsKey("messages"))
            body.Remove("messages");
        return body;
    }

    /// <summary>Mostly what the field takes, often at the very edge of it, at times beyond.</summary>
    private static JsonNode? Value(Random random, string name) => name switch
    {
        "prompt" => Text(random, random.Next(40) == 0 ? 131_072 + random.Next(-1, 2) : random.Next(4)),
        "messages" => new JsonArray([.. Enumerable.Range(0, random.Next(200) == 0 ? 2_047 + random.Next(3) : random.Next(4)).Select(_ => Message(random))]),
        "lora" => Text(random, random.Next(3)),
        "raw" or "stream" => Pick(random, true, false, "true", "false", "True", 1),
        "max_tokens" => Pick(random, 1, 256, 256.0, 131_072, 131_073, 0, 2.5),
        "temperature" => Pick(random, 0, 0.6, 5, 5.000001, -0.0001),
        "top_p" => Pick(random, 0, 0.5, 2, 2.1, -1),
        "top_k" => Pick(random, 1, 50, 51, 0, 1.5),
        "seed" => Pick(random, 0, 9_999_999_999, 10_000_000_000, -1, 0.5),
        "repetition_penalty" => Pick(random, 0, 0.0001, 1, 2, 2.5),
        "frequency_penalty" or "presence_penalty" => Pick(random, -2, 0, 2, 2.1, -2.1),
        "tools" => Pick(random, new JsonArray(), new JsonArray(new JsonObject { ["type"] = "function", ["function"] = new JsonObject { ["name"] = "f" } }), new JsonArray(new JsonObject { ["name"] = "f", ["parameters"] = new JsonObject { ["type"] = "object" } }), new JsonArray(new JsonObject { ["name"] = "a b" }), new JsonObject(), "f"),
        "tool_choice" => Pick(random, "auto", "none", "required", "auto", "f", new JsonObject { ["type"] = "function", ["function"] = new JsonObject { ["name"] = "f" } }, new JsonObject { ["function"] = new JsonObject() }),
        "response_format" => Pick(random, new JsonObject { ["type"] = "text" }, new JsonObject { ["type"] = "xml" }, new JsonObject(), new JsonObject { ["type"] = 5 }, new JsonObject { ["type"] = "json_object" }, new JsonObject { ["type"] = "json_schema" },
            new JsonObject { ["type"] = "json_schema", ["json_schema"] = new JsonObject { ["type"] = "integer" } }, new JsonObject { ["type"] = "json_schema", ["json_schema"] = true }, "text"),
        "options" => Pick(random, new JsonObject(), new JsonObject { ["rejectIfBusy"] = true }, new JsonObject { ["rejectIfBusy"] = null }, new JsonObject { ["rejectIfBusy"] = "true" }, new JsonObject { ["other"] = 1 }, 5),
        _ => throw new ArgumentException($"The test makes no values for the field {name} yet."),
    };

    private static JsonNode? Message(Random random)
    {
        if (random.Next(40) == 0)
            return Junk(random);
        var message = new JsonObject { ["role"] = random.Next(30) == 0 ? Junk(random) : "user" };
        if (random.Next(20) > 0)
            message["content"] = random.Next(20) == 0 ? Junk(random) : random.Next(10) == 0 ? new JsonArray(Part(random), Part(random)) : Text(random, random.Next(2_000) == 0 ? 131_073 : random.Next(3));
        if (random.Next(10) == 0)
            message["tool_calls"] = random.Next(4) == 0 ? Junk(random) : new JsonArray();
        if (random.Next(30) == 0)
            message.Remove("role");
        return message;
    }

    private static JsonObject Part(Random random) => random.Next(8) switch
    {
        0 => new JsonObject { ["type"] = "image_url" },
        1 => new JsonObject { ["type"] = "text" },
        _ => new JsonObject { ["type"] = "text", ["text"] = Text(random, random.Next(3)) },
    };

    /// <summary>Some characters take two UTF-16 units: both sides must count them as one.</summary>
    private static JsonValue Text(Random random, int length) =>
        JsonValue.Create(random.Next(2) == 0 ? new string('x', length) : string.Concat(Enumerable.Repeat("🜁", length)));

    private static JsonNode? Junk(Random random) => random.Next(7) switch
    {
        0 => null,
        1 => "text",
        2 => 3.5,
        3 => -7,
        4 => new JsonArray("a"),
        5 => new JsonObject { ["a"] = 1 },
        _ => false,
    };

    private static JsonNode? Pick(Random random, params JsonNode?[] values) => values[random.Next(values.Length)]?.DeepClone();
}
