using System.Runtime.InteropServices;
using System.Text.Json;
using Hone.Formats.ChatTemplates.Jinja;

namespace Hone.Formats.ChatTemplates;

/// <summary>
/// A model's chat template: Jinja2 3.1 as Hugging Face transformers sets it up (sandboxed and immutable, <c>trim_blocks</c>,
/// <c>lstrip_blocks</c>, loop controls, <c>generation</c> blocks, <c>tojson</c>, <c>raise_exception</c>, <c>strftime_now</c>).
/// Parsed once, rendered any number of times and from any number of threads.
/// </summary>
public sealed class ChatTemplate
{
    /// <summary>The longest template that is parsed, in UTF-16 units.</summary>
    public const int MaxSourceLength = 4 * 1024 * 1024;

    /// <summary>The longest conversation that a request or a row may hold. Each answer of a row is found by rendering what leads to it, so that the cost grows with the square.</summary>
    public const int MaxMessages = 2_048;

    private readonly Body _body;

    private ChatTemplate(string source, Body body)
    {
        Source = source;
        _body = body;
    }

    public string Source { get; }

    /// <summary>The template that takes this one's place where tools are given, as transformers chooses between a model's <c>default</c> and <c>tool_use</c>; null: this one always.</summary>
    public ChatTemplate? ForTools { get; private init; }

    /// <exception cref="ChatTemplateException">The template is malformed: says what is wrong in which line.</exception>
    public static ChatTemplate Parse(string source)
    {
        ArgumentNullException.ThrowIfNull(source);
        return source.Length > MaxSourceLength
            ? throw new ChatTemplateException("LimitError", $"The template is longer than {MaxSourceLength} characters.")
            : new ChatTemplate(source, Parser.Parse(source));
    }

    /// <summary>This template, and another where tools are given.</summary>
    public ChatTemplate For(ChatTemplate tools) => new(Source, _body) { ForTools = tools };

    /// <summary>Renders a conversation.</summary>
    /// <exception cref="ChatTemplateException">The template refuses the conversation, or fails on it, or exceeds the limits.</exception>
    public RenderedChat Render(ChatTemplateInput input, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(input);
        ChatTemplate chosen = input.Tools is { ValueKind: not JsonValueKind.Null } ? ForTools ?? this : this;
        long bytes = BytesOf(input.Messages) + (input.Tools is { } tools ? BytesOf(tools) : 0) + (input.Extra?.Values.Sum(BytesOf) ?? 0);
        return Evaluator.Render(chosen._body, ChatVariables.Of(input), input.Limits.For(bytes), input.Clock, cancellationToken);
    }

    /// <summary>Renders with exactly these variables: nothing is added to them or copied within them.</summary>
    public RenderedChat Render(IReadOnlyCollection<KeyValuePair<string, JsonElement>> variables, TimeProvider clock, CancellationToken cancellationToken) =>
        Evaluator.Render(
            _body, variables.Select(item => KeyValuePair.Create(item.Key, JsonValues.From(item.Value))), new ChatTemplateLimits().For(variables.Sum(item => BytesOf(item.Value))), clock, cancellationToken);

    private static long BytesOf(JsonElement value) => JsonMarshal.GetRawUtf8Value(value).Length;
}

/// <summary>What a template renders. JSON numbers with a point or an exponent are floats, others integers.</summary>
public sealed record ChatTemplateInput
{
    /// <summary>The messages: an array of objects.</summary>
    public required JsonElement Messages { get; init; }

    /// <summary>Function definitions the model may call.</summary>
    public JsonElement? Tools { get; init; }

    /// <summary>Whether the text ends with the start of the assistant's next message.</summary>
    public bool AddGenerationPrompt { get; init; }

    public string? BosToken { get; init; }

    public string? EosToken { get; init; }

    /// <summary>More variables, such as <c>enable_thinking</c>. They override those of the same name.</summary>
    public IReadOnlyDictionary<string, JsonElement>? Extra { get; init; }

    /// <summary>The clock of <c>strftime_now</c>.</summary>
    public TimeProvider Clock { get; init; } = TimeProvider.System;

    /// <summary>
    /// Keeps message keys whose value is null. By default they are dropped, as transformers' <c>apply_chat_template</c> does since
    /// version 5.
    /// </summary>
    public bool KeepNulls { get; init; }

    public ChatTemplateLimits Limits { get; init; } = new();
}

/// <summary>Bounds of one rendering: templates come from models and are not trusted.</summary>
public sealed record ChatTemplateLimits
{
    private const int StepsPerByte = 2, CharactersPerByte = 4;

    /// <summary>Evaluated nodes, visited items, and one for every 4 characters made. Default: 5 million, a second or less; and two for each byte of the input's JSON.</summary>
    public long MaxSteps { get; init; } = 5_000_000;

    /// <summary>The longest text, in UTF-16 units. Default: 4 Mi, some million tokens; and four for each byte of the input's JSON.</summary>
    public long MaxTextLength { get; init; } = 4 * 1024 * 1024;

    /// <summary>Nested statements, expressions, macro calls and values. Default: 2000; the thread's stack may allow less.</summary>
    public int MaxDepth { get; init; } = 2000;

    /// <summary>The bounds for an input of so many bytes.</summary>
    internal ChatTemplateLimits For(long bytes) => this with { MaxSteps = MaxSteps + StepsPerByte * bytes, MaxTextLength = MaxTextLength + CharactersPerByte * bytes };
}

/// <summary>A rendered conversation.</summary>
/// <param name="Text">What the model reads.</param>
/// <param name="GenerationSpans">The [start, end) ranges of <c>{% generation %}</c> blocks in the text, in UTF-16 units and in order.</param>
public sealed record RenderedChat(string Text, IReadOnlyList<(int Start, int End)> GenerationSpans)
{
    /// <summary>
    /// A <c>generation</c> block ran inside a macro, a filter, a set block or a recursive loop: where its text ended up is unknown, so the
    /// spans lack it and cannot tell what the assistant wrote.
    /// </summary>
    public bool IsGenerationMisplaced { get; init; }
}
