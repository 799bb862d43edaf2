using System.Text.Json;
using System.Text.Json.Serialization;

namespace Hone.Client;

/// <summary>Of a finetune as the API answers it, what the commands read.</summary>
internal sealed record Finetune
{
    public required string Id { get; init; }
    public required string Name { get; init; }
    public required string Model { get; init; }
    public string? Description { get; init; }
    public bool Public { get; init; }
    public DateTimeOffset CreatedAt { get; init; }
    public DateTimeOffset ModifiedAt { get; init; }

    /// <summary><c>awaiting_assets</c>, <c>validating</c>, <c>queued</c>, <c>running</c>, <c>paused</c>, <c>ready</c>, <c>failed</c> or <c>cancelled</c>.</summary>
    public string Status { get; init; } = "";
    public JsonElement? Metrics { get; init; }
    public JsonElement? Error { get; init; }

    [JsonIgnore]
    public bool Ended => Status is "ready" or "failed" or "cancelled";
}

internal sealed record CreateFinetune(string Model, string Name, string? Description, bool Public);

internal sealed record FinetuneAsset
{
    public required string FileName { get; init; }
    public long Size { get; init; }
    public string Sha256 { get; init; } = "";
    public DateTimeOffset CreatedAt { get; init; }
}

/// <param name="Type"><c>message</c> or <c>metrics</c>.</param>
/// <param name="Data">Of a metrics event: the step's or evaluation's fields.</param>
internal sealed record FinetuneEvent(long Sequence, DateTimeOffset CreatedAt, string Level, string Type, string Message, JsonElement? Data);

internal sealed record Model
{
    public required string Id { get; init; }
    public required string Name { get; init; }
    public string? Description { get; init; }
}

internal sealed record AccountSummary(string Id, string Name);

internal sealed record ChatMessage(string Role, string Content);

/// <summary>The body of <c>/ai/run/{model}</c>: one of prompt and messages.</summary>
internal sealed record RunRequest
{
    public string? Prompt { get; init; }
    public IReadOnlyList<ChatMessage>? Messages { get; init; }
    public string? Lora { get; init; }
    public bool? Raw { get; init; }
    public bool? Stream { get; init; }
    public int? MaxTokens { get; init; }
    public double? Temperature { get; init; }
    public double? TopP { get; init; }
    public int? TopK { get; init; }
    public long? Seed { get; init; }
}

internal sealed record RunAnswer(string Response, RunUsage? Usage);

internal sealed record RunUsage(int PromptTokens, int CompletionTokens, int TotalTokens);

/// <summary><c>credentials.json</c> of a data folder.</summary>
internal sealed record Credentials
{
    public const string FileName = "credentials.json";
    public required string Url { get; init; }
    public required string AccountId { get; init; }
    public required string Token { get; init; }
    public string? Email { get; init; }
    public string? Key { get; init; }
}

internal sealed record ApiErrorEntry(int Code, string Message);

internal sealed record Envelope
{
    public JsonElement? Result { get; init; }
    public bool Success { get; init; }
    public IReadOnlyList<ApiErrorEntry>? Errors { get; init; }
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(Envelope))]
[JsonSerializable(typeof(IReadOnlyList<ApiErrorEntry>))]
[JsonSerializable(typeof(JsonElement[]))]
[JsonSerializable(typeof(Finetune[]))]
[JsonSerializable(typeof(CreateFinetune))]
[JsonSerializable(typeof(FinetuneAsset[]))]
[JsonSerializable(typeof(FinetuneEvent[]))]
[JsonSerializable(typeof(Model[]))]
[JsonSerializable(typeof(AccountSummary[]))]
[JsonSerializable(typeof(RunRequest))]
[JsonSerializable(typeof(RunAnswer))]
[JsonSerializable(typeof(Credentials))]
internal sealed partial class HoneJson : JsonSerializerContext
{
    /// <summary>For a command line that a person copies.</summary>
    public static HoneJson Compact { get; } = new(new JsonSerializerOptions
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
        Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    });

    /// <summary>For people and for <c>--json</c>: indented, and text beyond ASCII as it is.</summary>
    public static HoneJson Readable { get; } = new(new JsonSerializerOptions
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
        WriteIndented = true,
        Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    });
}
