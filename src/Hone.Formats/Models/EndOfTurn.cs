using System.Text.Json;
using Hone.Formats.ChatTemplates;
using Hone.Formats.Tokenizers;

namespace Hone.Formats.Models;

/// <summary>The token with which a chat template ends an answer: what a model that is trained with it learns to stop with, whatever its file calls the end.</summary>
internal static class EndOfTurn
{
    private const string Answer = "Forty-two";

    private static readonly ChatTemplateLimits s_limits = new() { MaxSteps = 1_000_000, MaxTextLength = 1 << 20 };

    /// <summary>Null where the template writes no special token behind an answer, or refuses the plainest conversation.</summary>
    public static int? Find(ChatTemplate template, Tokenizer tokenizer, string? bosToken, string? eosToken)
    {
        using JsonDocument messages = JsonDocument.Parse($$"""[{"role":"user","content":"Six times seven?"},{"role":"assistant","content":"{{Answer}}"}]""");
        string text;
        try
        {
            text = template.Render(new ChatTemplateInput { Messages = messages.RootElement, BosToken = bosToken, EosToken = eosToken, Limits = s_limits }, CancellationToken.None).Text;
        }
        catch (ChatTemplateException)
        {
            return null;
        }
        int at = text.LastIndexOf(Answer, StringComparison.Ordinal);
        if (at < 0)
            return null;
        int[] ids = tokenizer.Encode(text[(at + Answer.Length)..].TrimStart()).Ids;
        return ids.Length > 0 && tokenizer.IsSpecial(ids[0]) ? ids[0] : null;
    }
}
