using System.Text.Encodings.Web;
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
    /// <summary>Bytes of an API request that one is made of.</summary>
    public const int LongestBody = 16 << 20;

    // The source-generated reader gives an absent init-only property its type's default, not the one written here: those with another are settable.

    /// <summary>Plain text for the model. One of prompt, prompt tokens and messages.</summary>
    public string? Prompt { get; init; }

    /// <summary>The prompt as the model's own tokens, past the chat template. A token that the model does not have is <c>bad_input</c>.</summary>
    public IReadOnlyList<int>? PromptTokens { get; init; }

    /// <summary>Chat messages as the API took them.</summary>
    public JsonElement? Messages { get; init; }

    /// <summary>Functions that the model may call, as OpenAI writes them: <c>[{"type":"function","function":{"name","description","parameters"}}]</c>.</summary>
    public JsonElement? Tools { get; init; }

    /// <summary><c>auto</c> (as null: the model decides), <c>none</c>, <c>required</c>, or the name of the function to call. Obeyed by constraint.</summary>
    public string? ToolChoice { get; init; }

    /// <summary>Whether one answer may hold several calls.</summary>
    public bool ParallelToolCalls { get; set; } = true;

    /// <summary>JSON Schema that the answer satisfies; any object is <c>{"type":"object"}</c>. See <see cref="Constraints.ConstraintCheck"/>.</summary>
    public JsonElement? Schema { get; init; }

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

    /// <summary>Added to the logits of these tokens; null: nothing. A token that the model does not have is <c>bad_input</c>.</summary>
    public IReadOnlyDictionary<int, double>? LogitBias { get; init; }

    /// <summary>Texts that end the answer; they are not part of it.</summary>
    public IReadOnlyList<string>? Stop { get; init; }

    /// <summary>The prompt is told first, in <see cref="GenerateEvent.Prompt"/>.</summary>
    public bool Echo { get; init; }

    /// <summary>Each token with its log-probability.</summary>
    public bool Logprobs { get; init; }

    /// <summary>And so many likeliest ones in its place, 0 to 20.</summary>
    public int TopLogprobs { get; init; }
}

[JsonPolymorphic(TypeDiscriminatorPropertyName = "type")]
[JsonDerivedType(typeof(Prompt), "prompt")]
[JsonDerivedType(typeof(Token), "token")]
[JsonDerivedType(typeof(ToolCall), "tool_call")]
[JsonDerivedType(typeof(Done), "done")]
[JsonDerivedType(typeof(Failed), "failed")]
public abstract record GenerateEvent
{
    /// <summary>The prompt, or a piece of its figures as they are computed.</summary>
    /// <param name="Text">All of it in the first event, nothing in those behind.</param>
    /// <param name="Logprobs">Where asked for: the tokens of this piece, in order.</param>
    public sealed record Prompt(string Text, IReadOnlyList<TokenLogprob>? Logprobs = null) : GenerateEvent;

    /// <param name="Text">May be empty: the bytes of an unfinished character are held back.</param>
    /// <param name="Logprobs">Where asked for: the tokens of this piece, in order. Those of all events are all tokens of the answer.</param>
    public sealed record Token(string Text, IReadOnlyList<TokenLogprob>? Logprobs = null) : GenerateEvent;

    /// <summary>A complete call of a function; its text is in no <see cref="Token"/>.</summary>
    /// <param name="Index">From 0.</param>
    /// <param name="Id">Made here.</param>
    /// <param name="Name">The function.</param>
    /// <param name="Arguments">A JSON object that satisfies the function's parameters.</param>
    public sealed record ToolCall(int Index, string Id, string Name, string Arguments) : GenerateEvent;

    /// <param name="FinishReason"><c>stop</c>, <c>length</c>, or <c>tool_calls</c>: the model ended its turn, with at least one call.</param>
    /// <param name="PromptTokens">Tokens of the prompt.</param>
    /// <param name="CompletionTokens">Tokens computed, the one that ended the answer included.</param>
    /// <param name="CachedTokens">Of the prompt's tokens those that were known already.</param>
    public sealed record Done(string FinishReason, int PromptTokens, int CompletionTokens, int CachedTokens = 0) : GenerateEvent;

    /// <param name="Code"><c>bad_input</c> (the caller's), <c>too_long</c> (the caller's), <c>bad_adapter</c>, <c>internal</c>.</param>
    public sealed record Failed(string Code, string Message) : GenerateEvent;
}

/// <param name="Token">Its text; a byte that is no character by itself is U+FFFD.</param>
/// <param name="Logprob">Natural logarithm of its probability in the model's own distribution, before temperature, penalties and constraints.</param>
/// <param name="Bytes">Its bytes.</param>
public record TokenAlternative(string Token, double Logprob, byte[] Bytes);

/// <summary>A token of an answer or of a prompt.</summary>
/// <param name="Token">See <see cref="TokenAlternative"/>.</param>
/// <param name="Logprob">See <see cref="TokenAlternative"/>.</param>
/// <param name="Bytes">See <see cref="TokenAlternative"/>.</param>
/// <param name="Top">The likeliest tokens at this place, likeliest first, as many as were asked for; null: it is a prompt's first token, before which nothing stands, and has no figures.</param>
public sealed record TokenLogprob(string Token, double Logprob, byte[] Bytes, IReadOnlyList<TokenAlternative>? Top) : TokenAlternative(Token, Logprob, Bytes);

public sealed record EngineReady(string Socket, int ProcessId, double LoadSeconds);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(GenerateRequest))]
[JsonSerializable(typeof(GenerateEvent))]
[JsonSerializable(typeof(EngineReady))]
public sealed partial class EngineJson : JsonSerializerContext
{
    private static EngineJson? s_readable;

    /// <summary>Letters beyond ASCII as they are, which keeps a long prompt as short as it came.</summary>
    public static EngineJson Readable => s_readable ??= new(new JsonSerializerOptions(Default.Options) { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping });
}
