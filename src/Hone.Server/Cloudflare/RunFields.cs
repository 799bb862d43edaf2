using System.Text.Json;
using System.Text.Json.Nodes;
using Hone.Formats;
using Hone.Formats.ChatTemplates;
using Hone.Formats.Constraints;
using Hone.Server.Requests;

namespace Hone.Server.Cloudflare;

/// <summary>
/// The fields of <c>ai/run</c> for a text generation model, each with its type, range and default, once: <see cref="RunRequest"/> reads requests by them, and
/// <c>models/schema</c> and the OpenAPI document publish them.
/// </summary>
internal static class RunFields
{
    /// <summary>For examples: the embedded base.</summary>
    public const string ExampleModel = Core.Models.ModelCatalog.EmbeddedId;

    /// <summary>Characters of a prompt or of one message.</summary>
    private const int MaxText = 131_072;

    public static readonly TextField Prompt = new("prompt", "The text to go on from. It or 'messages'.", 1, MaxText);

    private static SpecialField Content(int longest) => new("content", "What is said: a text, or parts of the type text.",
        $$$"""{"type":["string","array","null"],"maxLength":{{{longest}}},"items":{"type":"object","properties":{"type":{"const":"text"},"text":{"type":"string","maxLength":{{{longest}}}}},"required":["type","text"]}}""", (fields, content) =>
    {
        if (content.ValueKind is JsonValueKind.Array)
            CheckParts(fields, content, longest);
        else if (content.ValueKind is not JsonValueKind.String)
            fields.Fail("content", $"'{fields.Prefix}content' is {JsonBody.Name(content.ValueKind)}, it must be a string");
        else if (JsonBody.LengthOf(content) > longest)
            fields.Fail("content", $"'{fields.Prefix}content' is no text of at most {longest} characters");
    });

    public static readonly ListField Messages = Conversation("The conversation so far, oldest first. It or 'prompt'.", new TextField("role", "Who speaks: what roles there are is the model's chat template's affair."), MaxText);
    public static readonly TextField Lora = new("lora", "Id or name of a finetune of this model, the account's own or a public one, which cf-public-NAME names as well.");
    public static readonly FlagField Raw = new("raw", "Gives the prompt to the model as it is, without the chat template.", orText: true);
    public static readonly FlagField Stream = new("stream", "Answers as text/event-stream, token by token.", orText: true);
    public static readonly IntegerField MaxTokens = new("max_tokens", "Most tokens of the answer.", 1, 131_072, 256);
    public static readonly NumberField Temperature = new("temperature", "0 takes the likeliest token; more makes answers more varied.", 0, 5, 0.6);
    public static readonly NumberField TopP = new("top_p", "Only the likeliest tokens that make up this share are drawn from. Above 1 is 1.", 0, 2, 1);
    public static readonly IntegerField TopK = new("top_k", "Only that many of the likeliest tokens are drawn from; absent: all.", 1, 50);
    public static readonly IntegerField Seed = new("seed", "The same seed draws the same answer.", 0, 9_999_999_999);
    public static readonly NumberField RepetitionPenalty = new("repetition_penalty", "Above 1, tokens that are there already become less likely.", 0, 2, 1, above: true);
    public static readonly NumberField FrequencyPenalty = new("frequency_penalty", "Taken off a token's logit for each time that it is there already.", -2, 2, 0);
    public static readonly NumberField PresencePenalty = new("presence_penalty", "Taken off a token's logit once where it is there already.", -2, 2, 0);

    /// <summary>Beside a generic body's <c>input</c>; within a model's own body.</summary>
    public static readonly SpecialField Options = new("options", "How the request is taken.",
        """{"type":["object","null"],"properties":{"rejectIfBusy":{"type":["boolean","null"],"description":"Refuses with 429 where another request of the model is under way."}}}""", (fields, options) => RejectIfBusy(fields));

    /// <summary>Whether an answer shall not wait for others.</summary>
    public static bool RejectIfBusy(BodyFields fields)
    {
        if (fields.Find("options") is not { } options)
            return false;
        if (options.ValueKind is JsonValueKind.Object)
            return fields.Within(options, "options.").Flag("rejectIfBusy") ?? false;
        fields.Fail("options", $"'options' is {JsonBody.Name(options.ValueKind)}, it must be an object");
        return false;
    }

    private const string Function = """
        {"type":"object","required":["name"],"properties":{"name":{"type":"string","pattern":"^[a-zA-Z0-9_.-]{1,64}$","not":{"enum":["auto","none","required"]}},"description":{"type":["string","null"]},
        "parameters":{"type":["object","null"],"properties":{"type":{"const":"object"}}}}}
        """;

    public static readonly SpecialField Tools = new("tools", "Functions that the model may call, with the JSON Schema of their parameters, which its arguments satisfy.",
        $$$$$"""
        {"type":["array","null"],"maxItems":128,"items":{"type":"object","if":{"required":["function"]},"then":{"properties":{"type":{"const":"function"},"function":{{{{{Function}}}}}}},"else":{{{{{Function}}}}}}}
        """, (fields, tools) =>
        {
            if (ConstraintCheck.FindToolsError(tools, null) is { } wrong)
                fields.Fail("tools", wrong);
        });

    public static readonly SpecialField ToolChoice = new("tool_choice", "Whether the model may, must not or must call a function, or which one it must call.",
        """
        {"type":["string","object","null"],"if":{"type":"string"},"then":{"enum":["auto","none","required"]},"else":{"anyOf":[{"type":"null"},{"required":["name"],"properties":{"name":{"type":"string"}}},
        {"required":["function"],"properties":{"function":{"type":"object","required":["name"],"properties":{"name":{"type":"string"}}}}}]}}
        """, (fields, choice) =>
        {
            if (ChoiceOf(choice) is null)
                fields.Fail("tool_choice", "'tool_choice' must be auto, none, required, or {\"type\":\"function\",\"function\":{\"name\":…}}");
        });

    public static readonly SpecialField ResponseFormat = new("response_format", "The form of the answer: text, any JSON object, or what satisfies a JSON Schema, bare or as OpenAI wraps it with a name.",
        """
        {"type":["object","null"],"required":["type"],"properties":{"type":{"enum":["text","json_object","json_schema"]}},
        "if":{"required":["type"],"properties":{"type":{"const":"json_schema"}}},"then":{"required":["json_schema"],"properties":{"json_schema":{"type":"object"}}}}
        """, (fields, format) =>
        {
            if (format.ValueKind is not JsonValueKind.Object || !format.TryGetProperty("type", out var type) || type.ValueKind is not JsonValueKind.String
                || !(type.ValueEquals("text"u8) || type.ValueEquals("json_object"u8) || type.ValueEquals("json_schema"u8)))
                fields.Fail("response_format", "'response_format' must be {\"type\":…}, with text, json_object or json_schema");
            else if (type.ValueEquals("json_schema"u8) && (!format.TryGetProperty("json_schema", out var schema) || schema.ValueKind is not JsonValueKind.Object))
                fields.Fail("response_format", "'response_format.json_schema' must be an object: the schema");
            else if (SchemaOf(format) is { } own && ConstraintCheck.FindError(own) is { } wrong)
                fields.Fail("response_format", $"'response_format.json_schema' cannot be enforced: {wrong}");
        });

    /// <summary>Messages whose senders are what <paramref name="role"/> says.</summary>
    /// <param name="longest">Characters of one message.</param>
    public static ListField Conversation(string description, TextField role, int longest) => new("messages", description, new BodyShape("One turn of the conversation.", [role, Content(longest)],
        new BodyRule("""{"required":["role"],"properties":{"role":{"type":"string"}}}""", fields =>
        {
            if (!fields.Has("role"))
                fields.Fail("role", $"'{fields.Prefix}role' must be a string");
        }),
        new BodyRule("""{"anyOf":[{"required":["content"],"properties":{"content":{"type":["string","array"]}}},{"required":["tool_calls"],"properties":{"tool_calls":{"type":"array"}}}]}""", fields =>
        {
            if (!fields.Has("content") && fields.Find("tool_calls") is not { ValueKind: JsonValueKind.Array })
                fields.Fail("content", $"'{fields.Prefix}content' is missing");
        })), 1, ChatTemplate.MaxMessages);

    /// <summary>The schema that a sound <c>response_format</c> demands; null for any text.</summary>
    public static JsonElement? SchemaOf(JsonElement format)
    {
        var type = format.GetProperty("type");
        if (type.ValueEquals("text"u8))
            return null;
        if (type.ValueEquals("json_object"u8))
            return JsonElement.Parse("""{"type":"object"}""");
        var schema = format.GetProperty("json_schema");
        bool isWrapped = schema.TryGetProperty("schema", out var inner) && inner.ValueKind is JsonValueKind.Object && (schema.TryGetProperty("name", out _) || schema.EnumerateObject().Count() == 1);
        return isWrapped ? inner : schema;
    }

    /// <summary>A mode, or the function that an object names; null for neither.</summary>
    public static string? ChoiceOf(JsonElement choice)
    {
        if (choice.ValueKind is JsonValueKind.String)
            return choice.ValueEquals("auto"u8) || choice.ValueEquals("none"u8) || choice.ValueEquals("required"u8) ? choice.GetString() : null;
        if (choice.ValueKind is not JsonValueKind.Object)
            return null;
        var function = choice.TryGetProperty("function", out var inner) && inner.ValueKind is JsonValueKind.Object ? inner : choice;
        return function.TryGetProperty("name", out var name) && name.ValueKind is JsonValueKind.String ? name.GetString() : null;
    }

    private static void CheckParts(BodyFields fields, JsonElement parts, int longest)
    {
        int index = 0;
        foreach (var part in parts.EnumerateArray())
        {
            string path = $"{fields.Prefix}content[{index++}]";
            if (part.ValueKind is not JsonValueKind.Object || !part.TryGetProperty("type", out var type) || type.ValueKind is not JsonValueKind.String)
                fields.Fail("content", $"'{path}' must be an object with a type");
            else if (!type.ValueEquals("text"u8))
                fields.Fail("content", $"'{path}' is of the type {type.GetRawText().Shown(40)}: this model reads text alone");
            else if (!part.TryGetProperty("text", out var text) || text.ValueKind is not JsonValueKind.String || JsonBody.LengthOf(text) > longest)
                fields.Fail("content", $"'{path}.text' must be a text of at most {longest} characters");
            if (fields.IsFull)
                return;
        }
    }

    public static readonly BodyShape Shape = new(
        "What the model is given: a prompt or a conversation, and how to answer.",
        [
            Prompt, Messages, Lora, Raw, Stream, MaxTokens, Temperature, TopP, TopK, Seed, RepetitionPenalty, FrequencyPenalty, PresencePenalty, Tools, ToolChoice, ResponseFormat, Options,
        ],
        new BodyRule("""{"oneOf":[{"required":["prompt"],"properties":{"prompt":{"type":"string"}}},{"required":["messages"],"properties":{"messages":{"type":"array"}}}]}""", fields =>
        {
            if (!fields.Has("prompt") && !fields.Has("messages"))
                fields.Fail("prompt", "one of 'prompt' and 'messages' is required");
            else if (fields.Has("prompt") && fields.Has("messages"))
                fields.Fail("prompt", "'prompt' and 'messages' exclude each other");
        }),
        new BodyRule("""{"anyOf":[{"properties":{"raw":{"enum":[false,"false",null]}}},{"properties":{"messages":{"type":"null"}}}]}""", fields =>
        {
            if (fields.Has("messages") && Raw.Read(fields))
                fields.Fail("raw", "'raw' goes with 'prompt': 'messages' need the chat template");
        }),
        new BodyRule("""{"anyOf":[{"properties":{"tool_choice":{"enum":["auto","none",null]}}},{"required":["tools"],"properties":{"tools":{"type":"array","minItems":1}}}]}""", fields =>
        {
            // What is wrong with the tools themselves is their own error.
            if (fields.Find("tool_choice") is { } choice && ChoiceOf(choice) is { } chosen && (fields.Find("tools") is not { } tools || ConstraintCheck.FindToolsError(tools, null) is null)
                && ConstraintCheck.FindToolsError(fields.Find("tools"), chosen) is { } wrong)
                fields.Fail("tool_choice", wrong);
        }));

    /// <summary>JSON Schema of the body of <c>ai/run</c> without a model in its path.</summary>
    public static JsonObject Generic() => new()
    {
        ["type"] = "object",
        ["properties"] = new JsonObject
        {
            ["model"] = new JsonObject { ["type"] = "string", ["description"] = "The model's id." },
            ["input"] = Shape.Schema(),
            ["options"] = Options.Schema(),
        },
        ["required"] = new JsonArray("model", "input"),
    };

    /// <summary>JSON Schema of what <c>result</c> holds; streamed, <c>response</c> comes in pieces.</summary>
    public static JsonObject Output() => JsonNode.Parse("""
        {
          "type": "object",
          "description": "The answer. With 'stream', each event has a piece of 'response', and the last one 'usage'.",
          "properties": {
            "response": { "description": "The text of the answer; where response_format asked for JSON and the answer is complete, that value." },
            "tool_calls": {
              "type": "array",
              "description": "Functions that the model calls.",
              "items": {
                "type": "object",
                "properties": { "name": { "type": "string" }, "arguments": { "type": "object" } },
                "required": ["name", "arguments"]
              }
            },
            "finish_reason": { "const": "length", "description": "There where max_tokens cut the answer." },
            "usage": {
              "type": "object",
              "description": "Tokens of the prompt and of the answer.",
              "properties": {
                "prompt_tokens": { "type": "integer", "minimum": 0 },
                "completion_tokens": { "type": "integer", "minimum": 0 },
                "total_tokens": { "type": "integer", "minimum": 0 }
              },
              "required": ["prompt_tokens", "completion_tokens", "total_tokens"],
              "additionalProperties": true
            }
          },
          "required": ["response"],
          "additionalProperties": true
        }
        """)!.AsObject();
}
