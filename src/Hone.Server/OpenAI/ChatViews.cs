using System.Text.Json;
using System.Text.Json.Serialization;
using Hone.Formats.Inference;

namespace Hone.Server.OpenAI;

internal sealed record FunctionCallView(string Name, string Arguments);

internal sealed record ToolCallView(string Id, FunctionCallView Function)
{
    public string Type { get; } = "function";

    /// <summary>In a stream alone.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public int? Index { get; init; }
}

internal sealed record AlternativeView(string Token, double Logprob, IReadOnlyList<int> Bytes)
{
    public static AlternativeView Of(TokenAlternative token) => new(token.Token, token.Logprob, [.. token.Bytes.Select(b => (int)b)]);
}

internal sealed record LogprobView(string Token, double Logprob, IReadOnlyList<int> Bytes, IReadOnlyList<AlternativeView> TopLogprobs)
{
    public static LogprobView Of(TokenLogprob token) => new(token.Token, token.Logprob, [.. token.Bytes.Select(b => (int)b)], [.. (token.Top ?? []).Select(AlternativeView.Of)]);
}

internal sealed record LogprobsView(IReadOnlyList<LogprobView> Content)
{
    public IReadOnlyList<LogprobView>? Refusal { get; }
}

internal sealed record ChatMessageView(string? Content)
{
    public string Role { get; } = "assistant";
    public string? Refusal { get; }

    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public IReadOnlyList<ToolCallView>? ToolCalls { get; init; }
}

internal sealed record ChatChoiceView(int Index, ChatMessageView Message, LogprobsView? Logprobs, string FinishReason);

internal sealed record PromptDetailsView(int CachedTokens);

internal sealed record TokenUsageView(int PromptTokens, int CompletionTokens, int TotalTokens, PromptDetailsView PromptTokensDetails)
{
    /// <summary>Of a chunk that has none, where it was asked for.</summary>
    public static readonly JsonElement None = JsonElement.Parse("null");

    public JsonElement AsJson() => JsonSerializer.SerializeToElement(this, OpenAIJson.Default.TokenUsageView);
}

internal sealed record ChatView(string Id, long Created, string Model, IReadOnlyList<ChatChoiceView> Choices, TokenUsageView Usage)
{
    public string Object { get; } = "chat.completion";
}

/// <summary>Only what is new; what is not there is not written.</summary>
internal sealed record DeltaView
{
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public string? Role { get; init; }

    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public string? Content { get; init; }

    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public IReadOnlyList<ToolCallView>? ToolCalls { get; init; }
}

internal sealed record ChunkChoiceView(int Index, DeltaView Delta, LogprobsView? Logprobs, string? FinishReason);

internal sealed record ChatChunkView(string Id, long Created, string Model, IReadOnlyList<ChunkChoiceView> Choices)
{
    public string Object { get; } = "chat.completion.chunk";

    /// <summary>Where it was asked for: JSON's null but in the last chunk, whose choices are empty. Not written where it was not.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public JsonElement? Usage { get; init; }
}

/// <summary>The older form: tokens and their figures side by side.</summary>
internal sealed record FlatLogprobsView(IReadOnlyList<string> Tokens, IReadOnlyList<double?> TokenLogprobs, IReadOnlyList<IReadOnlyDictionary<string, double>>? TopLogprobs, IReadOnlyList<int> TextOffset);

internal sealed record CompletionChoiceView(int Index, string Text, FlatLogprobsView? Logprobs, string? FinishReason);

internal sealed record CompletionView(string Id, long Created, string Model, IReadOnlyList<CompletionChoiceView> Choices)
{
    public string Object { get; } = "text_completion";

    /// <summary>As in <see cref="ChatChunkView"/>.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public JsonElement? Usage { get; init; }
}
