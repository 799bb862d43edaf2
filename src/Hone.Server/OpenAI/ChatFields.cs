using System.Globalization;
using System.Text.Json;
using Hone.Formats;
using Hone.Formats.Constraints;
using Hone.Formats.Inference;
using Hone.Formats.TrainingData;
using Hone.Server.Cloudflare;
using Hone.Server.Requests;

namespace Hone.Server.OpenAI;

/// <summary>The fields of <c>/chat/completions</c>, each with its type, range and default, once; what they share with <c>/completions</c> is used there.</summary>
internal static class ChatFields
{
    /// <summary>Choices of one request: each is an answer that is computed.</summary>
    public const int MaxChoices = 16;
    private const int MaxStops = 4;
    private const int MaxBiases = 300;

    /// <summary>As much as the model's context holds; the engine knows it.</summary>
    public const int Unlimited = int.MaxValue;

    public static readonly TextField Model = new("model", "A base model's id, a fine-tuned model's name, or a checkpoint's.", 1);
    private static readonly ListField Messages = RunFields.Conversation("The conversation so far, oldest first.", new TextField("role", "Who speaks.", choices: ChatRoles.All), GenerateRequest.LongestBody);
    public static readonly FlagField Stream = new("stream", "Answers as text/event-stream, token by token.");
    public static readonly SpecialField StreamOptions = new("stream_options", "Of a stream.", """{"type":["object","null"],"properties":{"include_usage":{"type":"boolean"}}}""", (fields, value) =>
    {
        if (value.ValueKind is not JsonValueKind.Object)
            fields.Fail("stream_options", $"'stream_options' is {JsonBody.Name(value.ValueKind)}, it must be an object");
        else
            fields.Within(value, "stream_options.").Flag("include_usage");
    });
    public static readonly NumberField Temperature = new("temperature", "0 takes the likeliest token; more makes answers more varied.", 0, 2, 1);
    public static readonly NumberField TopP = new("top_p", "Only the likeliest tokens that make up this share are drawn from.", 0, 1, 1);
    public static readonly IntegerField TopK = new("top_k", "Hone's own: only that many of the likeliest tokens are drawn from; absent: all.", 1, 1000);
    public static readonly NumberField RepetitionPenalty = new("repetition_penalty", "Hone's own: above 1, tokens that are there already become less likely.", 0, 2, 1, above: true);
    public static readonly NumberField FrequencyPenalty = new("frequency_penalty", "Taken off a token's logit for each time that it is there already.", -2, 2, 0);
    public static readonly NumberField PresencePenalty = new("presence_penalty", "Taken off a token's logit once where it is there already.", -2, 2, 0);
    public static readonly IntegerField Seed = new("seed", "The same seed draws the same answer.", long.MinValue, long.MaxValue);
    public static readonly IntegerField N = new("n", "Answers to one prompt.", 1, MaxChoices, 1);
    public static readonly IntegerField MaxTokens = new("max_tokens", "Most tokens of the answer; absent: as many as the model's context holds.", 1, int.MaxValue);
    private static readonly IntegerField MaxCompletionTokens = new("max_completion_tokens", "The same under its newer name.", 1, int.MaxValue);
    public static readonly SpecialField Stop = new("stop", "Texts that end the answer; they are not part of it.", $$$"""{"type":["string","array","null"],"maxItems":{{{MaxStops}}},"items":{"type":"string","minLength":1}}""", (fields, value) =>
    {
        if (Stops(value) is not { } stops || stops.Count > MaxStops || stops.Any(s => s.Length == 0))
            fields.Fail("stop", $"'stop' must be a text or up to {MaxStops} of them, none of them empty");
    });
    public static readonly SpecialField LogitBias = new("logit_bias", $"Added to the logits of tokens, by their numbers in the model's own vocabulary; up to {MaxBiases} of them.",
        $$$"""{"type":["object","null"],"maxProperties":{{{MaxBiases}}},"propertyNames":{"pattern":"^[0-9]{1,9}$"},"additionalProperties":{"type":"number","minimum":-100,"maximum":100}}""", (fields, value) =>
    {
        if (Biases(value) is not { Count: <= MaxBiases })
            fields.Fail("logit_bias", $"'logit_bias' must be an object of up to {MaxBiases} tokens by their numbers, each with a number between -100 and 100");
    });
    private static readonly FlagField Logprobs = new("logprobs", "Each token with its log-probability.");
    private static readonly IntegerField TopLogprobs = new("top_logprobs", "And so many likeliest ones in its place; wants logprobs.", 0, 20);
    private static readonly SpecialField Tools = new("tools", "Functions that the model may call.", """{"type":["array","null"],"maxItems":128}""", CheckTools);
    private static readonly SpecialField ToolChoice = new("tool_choice", "auto, none, required, or one function.", """{"type":["string","object","null"]}""", (fields, value) =>
    {
        if (Choice(value) is null)
            fields.Fail("tool_choice", "'tool_choice' must be 'auto', 'none', 'required' or {\"type\":\"function\",\"function\":{\"name\":…}}");
    });
    private static readonly FlagField ParallelToolCalls = new("parallel_tool_calls", "Whether one answer may hold several calls.");
    private static readonly SpecialField ResponseFormat = new("response_format", "The form of the answer.", """{"type":["object","null"],"properties":{"type":{"enum":["text","json_object","json_schema"]}},"required":["type"]}""", CheckFormat);
    private static readonly SpecialField Modalities = new("modalities", "text.", """{"type":["array","null"],"items":{"const":"text"}}""", (fields, value) =>
    {
        if (value.ValueKind is not JsonValueKind.Array || value.EnumerateArray().Any(m => m.ValueKind is not JsonValueKind.String || !m.ValueEquals("text"u8)))
            fields.Fail("modalities", "'modalities' may hold \"text\" alone");
    });

    private static readonly SpecialField[] NotOffered =
    [
        Refused("audio", "the models here read and write text"), Refused("web_search_options", "nothing leaves this server"),
        Refused("functions", "use 'tools'"), Refused("function_call", "use 'tool_choice'"),
    ];

    /// <summary>Known, and without a meaning here: about the original's own storage, billing and models.</summary>
    public static readonly IReadOnlySet<string> Inert = new HashSet<string>(StringComparer.Ordinal)
    {
        "user", "store", "metadata", "service_tier", "safety_identifier", "prompt_cache_key", "prompt_cache_retention", "reasoning_effort", "verbosity", "prediction",
    };

    public static readonly BodyShape Shape = new(
        "A conversation to go on with.",
        [
            Model, Messages, Stream, StreamOptions, Temperature, TopP, TopK, RepetitionPenalty, FrequencyPenalty, PresencePenalty, Seed, N, MaxTokens, MaxCompletionTokens, Stop,
            LogitBias, Logprobs, TopLogprobs, Tools, ToolChoice, ParallelToolCalls, ResponseFormat, Modalities, .. NotOffered,
        ],
        new BodyRule("""{"required":["model","messages"]}""", fields =>
        {
            foreach (string name in (string[])["model", "messages"])
            {
                if (!fields.Has(name))
                    fields.Fail(name, $"you must provide a {name} parameter");
            }
        }),
        StreamRule,
        new BodyRule("""{"not":{"required":["max_tokens","max_completion_tokens"]}}""", fields =>
        {
            if (fields.Has("max_tokens") && fields.Has("max_completion_tokens"))
                fields.Fail("max_tokens", "'max_tokens' and 'max_completion_tokens' exclude each other");
        }),
        new BodyRule("""{"dependentRequired":{"top_logprobs":["logprobs"]}}""", fields =>
        {
            if (fields.Has("top_logprobs") && !Logprobs.Read(fields))
                fields.Fail("top_logprobs", "'top_logprobs' wants 'logprobs' to be true");
        }),
        new BodyRule("""{"dependentRequired":{"tool_choice":["tools"]}}""", fields =>
        {
            if (!fields.Has("tool_choice") || Choice(fields.Find("tool_choice")!.Value) is not { } choice)
                return;
            string[] names = [.. Functions(fields)];
            if (names.Length == 0 && choice is not "none")
                fields.Fail("tool_choice", "'tool_choice' wants 'tools'");
            else if (choice is not ("auto" or "none" or "required") && !names.Contains(choice))
                fields.Fail("tool_choice", $"'tool_choice' names the function '{choice.Shown(80)}', which is none of 'tools'");
        }));

    public static BodyRule StreamRule => new("""{"dependentRequired":{"stream_options":["stream"]}}""", fields =>
    {
        if (fields.Has("stream_options") && !Stream.Read(fields))
            fields.Fail("stream_options", "'stream_options' wants 'stream' to be true");
    });

    public static bool IncludesUsage(BodyFields fields) =>
        fields.Find("stream_options") is { ValueKind: JsonValueKind.Object } options && options.TryGetProperty("include_usage", out var include) && include.ValueKind is JsonValueKind.True;

    /// <summary>Of a body that was found sound.</summary>
    public static GenerateRequest Read(BodyFields fields) => Sampling(fields) with
    {
        Messages = ChatMessages.Plain(Messages.Read(fields)!.Value),
        MaxTokens = (int)(MaxTokens.Read(fields) ?? MaxCompletionTokens.Read(fields) ?? Unlimited),
        Tools = Tools.Read(fields) is { } tools && tools.GetArrayLength() > 0 ? tools : null,
        ToolChoice = ToolChoice.Read(fields) is { } choice && Functions(fields).Any() ? Choice(choice) : null,
        ParallelToolCalls = fields.Flag("parallel_tool_calls") ?? true,
        Schema = Schema(fields),
        Logprobs = Logprobs.Read(fields),
        TopLogprobs = (int)(TopLogprobs.Read(fields) ?? 0),
    };

    /// <summary>How to draw tokens, and when to stop.</summary>
    public static GenerateRequest Sampling(BodyFields fields) => new()
    {
        Temperature = Temperature.Read(fields) ?? 1,
        TopP = TopP.Read(fields) ?? 1,
        TopK = (int)(TopK.Read(fields) ?? 0),
        Seed = Seed.Read(fields),
        LogitBias = LogitBias.Read(fields) is { } biases ? Biases(biases) : null,
        RepetitionPenalty = RepetitionPenalty.Read(fields) ?? 1,
        FrequencyPenalty = FrequencyPenalty.Read(fields) ?? 0,
        PresencePenalty = PresencePenalty.Read(fields) ?? 0,
        Stop = Stop.Read(fields) is { } stop ? Stops(stop) : null,
    };

    private static SpecialField Refused(string name, string why) =>
        new(name, "null alone.", """{"type":"null"}""", (fields, _) => fields.Fail(name, $"'{name}' is not offered: {why}"));

    private static Dictionary<int, double>? Biases(JsonElement value)
    {
        if (value.ValueKind is not JsonValueKind.Object)
            return null;
        var biases = new Dictionary<int, double>();
        foreach (var pair in value.EnumerateObject())
        {
            if (pair.Name.Length is 0 or > 9 || !pair.Name.All(char.IsAsciiDigit) || pair.Value.ValueKind is not JsonValueKind.Number || pair.Value.GetDouble() is not (>= -100 and <= 100))
                return null;
            biases[int.Parse(pair.Name, CultureInfo.InvariantCulture)] = pair.Value.GetDouble();
        }
        return biases;
    }

    private static List<string>? Stops(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.String => [value.GetString()!],
        JsonValueKind.Array when value.EnumerateArray().All(s => s.ValueKind is JsonValueKind.String) => [.. value.EnumerateArray().Select(s => s.GetString()!)],
        _ => null,
    };

    private static IEnumerable<string> Functions(BodyFields fields) => fields.Find("tools") is not { ValueKind: JsonValueKind.Array } tools ? []
        : tools.EnumerateArray().Select(FunctionName).OfType<string>();

    private static string? FunctionName(JsonElement tool) =>
        tool.ValueKind is JsonValueKind.Object && tool.TryGetProperty("function", out var function) && function.ValueKind is JsonValueKind.Object
        && function.TryGetProperty("name", out var name) && name.ValueKind is JsonValueKind.String ? name.GetString() : null;

    private static void CheckTools(BodyFields fields, JsonElement tools)
    {
        if (tools.ValueKind is not JsonValueKind.Array)
        {
            fields.Fail("tools", $"'tools' is {JsonBody.Name(tools.ValueKind)}, it must be an array");
            return;
        }
        int index = 0, before = fields.Errors.Count;
        foreach (var tool in tools.EnumerateArray())
        {
            string path = $"tools[{index++}]";
            if (tool.ValueKind is not JsonValueKind.Object || !tool.TryGetProperty("type", out var type) || type.ValueKind is not JsonValueKind.String || !type.ValueEquals("function"u8))
                fields.Fail("tools", $"'{path}' must be {{\"type\":\"function\",\"function\":{{…}}}}: no other kind of tool is offered");
            else if (FunctionName(tool) is not { } name || name.Length is 0 or > 64 || name.Any(c => !(char.IsAsciiLetterOrDigit(c) || c is '_' or '-')))
                fields.Fail("tools", $"'{path}.function.name' must have 1 to 64 letters, digits, underscores or dashes");
            if (fields.IsFull)
                return;
        }
        if (fields.Errors.Count == before && ConstraintCheck.FindToolsError(tools, null) is { } wrong)
            fields.Fail("tools", wrong);
    }

    /// <summary>A word, or a function's name.</summary>
    private static string? Choice(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.String when value.GetString() is "auto" or "none" or "required" => value.GetString(),
        JsonValueKind.Object => FunctionName(value),
        _ => null,
    };

    private static void CheckFormat(BodyFields fields, JsonElement format)
    {
        string? type = format.ValueKind is JsonValueKind.Object && format.TryGetProperty("type", out var given) && given.ValueKind is JsonValueKind.String ? given.GetString() : null;
        switch (type)
        {
            case "text" or "json_object":
                break;
            case "json_schema":
                if (!format.TryGetProperty("json_schema", out var named) || named.ValueKind is not JsonValueKind.Object || !named.TryGetProperty("schema", out var schema))
                    fields.Fail("response_format", "'response_format.json_schema' must be an object with 'name' and 'schema'");
                else if (ConstraintCheck.FindError(schema) is { } why)
                    fields.Fail("response_format", $"'response_format.json_schema.schema' cannot be enforced: {why}");
                break;
            default:
                fields.Fail("response_format", "'response_format.type' must be text, json_object or json_schema");
                break;
        }
    }

    private static JsonElement? Schema(BodyFields fields)
    {
        if (ResponseFormat.Read(fields) is not { } format)
            return null;
        return format.GetProperty("type").GetString() switch
        {
            "json_object" => JsonElement.Parse("""{"type":"object"}"""),
            "json_schema" => format.GetProperty("json_schema").GetProperty("schema"),
            _ => null,
        };
    }
}
