using System.Text.Json;
using System.Text.Json.Serialization;

namespace Hone.Formats.Inference;

/// <summary>
/// What goes over the engine's Unix socket: a connection a request. The client writes one <see cref="GenerateRequest"/> as a line of JSON;
/// the engine answers with <see cref="GenerateEvent"/> lines and closes. A client that closes first stops its generation.
/// <c>hone engine</c> prints one <see cref="EngineReady"/> line on standard output when it listens, and ends when its standard input ends.
/// </summary>
public sealed record GenerateRequest
{
    // The source-generated reader gives an absent init-only property its type's default, not the one written here: those with another are settable.


    /// <summary>Plain text for the model. One of prompt and messages.</summary>
    public string? Prompt { get; init; }

    /// <summary>Chat messages as the API took them.</summary>
    public JsonElement? Messages { get; init; }
    public JsonElement? Tools { get; init; }

    /// <summary>The prompt goes to the model without a chat template; otherwise a prompt becomes one user message.</summary>
    public bool Raw { get; init; }

    /// <summary>Folder with <c>adapter_config.json</c> and <c>adapter_model.safetensors</c>; null: the base model alone.</summary>
    public string? AdapterPath { get; init; }

    /// <summary>Names the adapter's content: the engine keeps what it loaded under this key.</summary>
    public string? AdapterKey { get; init; }
    public int MaxTokens { get; set; } = 256;

    /// <summary>0: greedy.</summary>
    public double Temperature { get; init; }
    public double TopP { get; set; } = 1;

    /// <summary>0: all.</summary>
    public int TopK { get; init; }
    public long? Seed { get; init; }
    public double RepetitionPenalty { get; set; } = 1;
    public double FrequencyPenalty { get; init; }
    public double PresencePenalty { get; init; }
    public IReadOnlyList<string>? Stop { get; init; }
}

[JsonPolymorphic(TypeDiscriminatorPropertyName = "type")]
[JsonDerivedType(typeof(Token), "token")]
[JsonDerivedType(typeof(Done), "done")]
[JsonDerivedType(typeof(Failed), "failed")]
public abstract record GenerateEvent
{
    /// <param name="Text">May be empty: the bytes of an unfinished character are held back.</param>
    public sealed record Token(string Text) : GenerateEvent;

    /// <param name="FinishReason"><c>stop</c> or <c>length</c>.</param>
    public sealed record Done(string FinishReason, int PromptTokens, int CompletionTokens) : GenerateEvent;

    /// <param name="Code"><c>bad_input</c> (the caller's), <c>too_long</c> (the caller's), <c>bad_adapter</c>, <c>internal</c>.</param>
    public sealed record Failed(string Code, string Message) : GenerateEvent;
}

public sealed record EngineReady(string Socket, int ProcessId, double LoadSeconds);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(GenerateRequest))]
[JsonSerializable(typeof(GenerateEvent))]
[JsonSerializable(typeof(EngineReady))]
public sealed partial class EngineJson : JsonSerializerContext;
