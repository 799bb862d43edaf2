using System.Text.Json;
using Hone.Formats.ChatTemplates;

namespace Hone.Formats.Models;

/// <summary>What a model's chat template makes of the parts of a conversation, found by rendering small ones.</summary>
public sealed record TemplateFeatures
{
    private const string Marker = "zqMARKERzq";

    private static readonly ChatTemplateLimits s_limits = new() { MaxSteps = 1_000_000, MaxTextLength = 1 << 20 };

    /// <summary>A system message's text is shown to the model.</summary>
    public required bool System { get; init; }

    /// <summary>Tools that the model may call are shown to it.</summary>
    public required bool Tools { get; init; }

    /// <summary>An answer's calls of tools are shown.</summary>
    public required bool ToolCalls { get; init; }

    /// <summary>The answers are marked by <c>{% generation %}</c> blocks.</summary>
    public required bool GenerationMarks { get; init; }

    /// <summary>A template of its own renders conversations with tools.</summary>
    public required bool OwnToolTemplate { get; init; }

    /// <summary>The token that ends an answer; null where the template writes none.</summary>
    public required string? EndOfTurn { get; init; }

    /// <summary>Null where the model has no template.</summary>
    public static TemplateFeatures? Of(BaseModel model)
    {
        if (model.ChatTemplate is not { } template)
            return null;
        const string Plain = """[{"role":"user","content":"Hi"},{"role":"assistant","content":"Hello"}]""";
        const string Tool = """[{"type":"function","function":{"name":"zqMARKERzq","description":"d","parameters":{"type":"object","properties":{"a":{"type":"string","description":"d"}},"required":["a"]}}}]""";
        return new TemplateFeatures
        {
            System = ShowsSystem(template, model.BosToken, model.EosToken),
            Tools = Shows(Plain, Tool),
            ToolCalls = Shows("""[{"role":"user","content":"Hi"},{"role":"assistant","content":"","tool_calls":[{"id":"abcdef123","type":"function","function":{"name":"zqMARKERzq","arguments":{"a":"b"}}}]}]""", null),
            GenerationMarks = Render(template, model.BosToken, model.EosToken, Plain, null) is { GenerationSpans.Count: > 0 },
            OwnToolTemplate = template.ForTools is not null,
            EndOfTurn = Models.EndOfTurn.Find(template, model.Tokenizer, model.BosToken, model.EosToken) is { } id ? model.Tokenizer.TokenText(id) : null,
        };

        bool Shows(string messages, string? given) => TemplateFeatures.Shows(template, model.BosToken, model.EosToken, messages, given);
    }

    /// <inheritdoc cref="System"/>
    internal static bool ShowsSystem(ChatTemplate? template, string? bosToken, string? eosToken) =>
        template is not null && Shows(template, bosToken, eosToken, $$"""[{"role":"system","content":"{{Marker}}"},{"role":"user","content":"Hi"}]""", null);

    private static bool Shows(ChatTemplate template, string? bosToken, string? eosToken, string messages, string? tools) =>
        Render(template, bosToken, eosToken, messages, tools)?.Text.Contains(Marker, StringComparison.Ordinal) is true;

    /// <summary>Null where the template refuses.</summary>
    private static RenderedChat? Render(ChatTemplate template, string? bosToken, string? eosToken, string messages, string? tools)
    {
        try
        {
            return template.Render(new ChatTemplateInput
            {
                Messages = JsonElement.Parse(messages),
                Tools = tools is null ? null : JsonElement.Parse(tools),
                BosToken = bosToken,
                EosToken = eosToken,
                Limits = s_limits,
            }, CancellationToken.None);
        }
        catch (ChatTemplateException)
        {
            return null;
        }
    }
}
