using System.Text.Json;
using System.Text.Json.Nodes;
using Hone.Server.Requests;

namespace Hone.Server.Cloudflare;

/// <summary>
/// The fields of <c>ai/run</c> for a text generation model, each with its type, range and default, once: <see cref="RunRequest"/> reads requests by them, and
/// <c>models/schema</c> and the OpenAPI document publish them.
/// </summary>
internal static class RunFields
{
    /// <summary>Characters of a prompt or of one message.</summary>
    private const int MaxText = 131_072;
    private const int MaxMessages = 2_048;

    public static readonly TextField Prompt = new("prompt", "The text to go on from. It or 'messages'.", 1, MaxText);

    private static readonly TextField Role = new("role", "Who speaks: what roles there are is the model's chat template's affair.");

    private static readonly SpecialField Content = new("content", "What is said.", $$"""{"type":["string","array","null"],"maxLength":{{MaxText}}}""", (fields, content) =>
    {
        if (content.ValueKind is not (JsonValueKind.String or JsonValueKind.Array))
            fields.Fail("content", $"'{fields.Prefix}content' is {JsonBody.Name(content.ValueKind)}, it must be a string");
        else if (content.ValueKind is JsonValueKind.String && !(JsonBody.LengthOf(content) <= MaxText))
            fields.Fail("content", $"'{fields.Prefix}content' is no text of at most {MaxText} characters");
    });

    private static readonly BodyShape Message = new("One turn of the conversation.", [Role, Content],
        new BodyRule("""{"required":["role"],"properties":{"role":{"type":"string"}}}""", fields =>
        {
            if (!fields.Has("role"))
                fields.Fail("role", $"'{fields.Prefix}role' must be a string");
        }),
        new BodyRule("""{"anyOf":[{"required":["content"],"properties":{"content":{"type":["string","array"]}}},{"required":["tool_calls"],"properties":{"tool_calls":{"type":"array"}}}]}""", fields =>
        {
            if (!fields.Has("content") && fields.Find("tool_calls") is not { ValueKind: JsonValueKind.Array })
                fields.Fail("content", $"'{fields.Prefix}content' is missing");
        }));

    public static readonly ListField Messages = new("messages", "The conversation so far, oldest first. It or 'prompt'.", Message, 1, MaxMessages);
    public static readonly TextField Lora = new("lora", "Id or name of a finetune of this model, the account's own or a public one.");
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
    public static readonly ListField Tools = new("tools", "Functions that the model may call, as its chat template takes them.");

    public static readonly SpecialField ResponseFormat = new(
        "response_format", "The form of the answer.", """{"type":["object","null"],"properties":{"type":{"const":"text"}},"required":["type"]}""", (fields, format) =>
        {
            if (!(format.ValueKind is JsonValueKind.Object && format.TryGetProperty("type", out var type) && type.ValueKind is JsonValueKind.String && type.ValueEquals("text"u8)))
                fields.Fail("response_format", "'response_format' is not offered by this version: leave it out, or use {\"type\":\"text\"}");
        });

    public static readonly BodyShape Shape = new(
        "What the model is given: a prompt or a conversation, and how to answer.",
        [
            Prompt, Messages, Lora, Raw, Stream, MaxTokens, Temperature, TopP, TopK, Seed, RepetitionPenalty, FrequencyPenalty, PresencePenalty, Tools, ResponseFormat,
        ],
        new BodyRule("""{"oneOf":[{"required":["prompt"],"properties":{"prompt":{"type":"string"}}},{"required":["messages"],"properties":{"messages":{"type":"array"}}}]}""", fields =>
        {
            if (!fields.Has("prompt") && !fields.Has("messages"))
                fields.Fail("prompt", "one of 'prompt' and 'messages' is required");
            else if (fields.Has("prompt") && fields.Has("messages"))
                fields.Fail("prompt", "'prompt' and 'messages' exclude each other");
        }));

    /// <summary>JSON Schema of the body of <c>ai/run</c> without a model in its path.</summary>
    public static JsonObject Generic() => new()
    {
        ["type"] = "object",
        ["properties"] = new JsonObject
        {
            ["model"] = new JsonObject { ["type"] = "string", ["description"] = "The model's id." },
            ["input"] = Shape.Schema(),
            ["options"] = new JsonObject
            {
                ["type"] = "object",
                ["properties"] = new JsonObject
                {
                    ["rejectIfBusy"] = new JsonObject { ["type"] = "boolean", ["description"] = "Refuses with 429 where another request of the model is under way." },
                },
            },
        },
        ["required"] = new JsonArray("model", "input"),
    };

    /// <summary>JSON Schema of what <c>result</c> holds; streamed, <c>response</c> comes in pieces.</summary>
    public static JsonObject Output() => JsonNode.Parse("""
        {
          "type": "object",
          "description": "The answer. With 'stream', each event has a piece of 'response', and the last one 'usage'.",
          "properties": {
            "response": { "type": "string", "description": "The text of the answer." },
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
