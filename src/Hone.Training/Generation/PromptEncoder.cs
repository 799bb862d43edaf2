using System.Text.Json;
using System.Text.Json.Nodes;
using Hone.Formats.ChatTemplates;
using Hone.Formats.Inference;
using Hone.Formats.Models;
using Hone.Formats.ToolCalls;

namespace Hone.Training.Generation;

/// <summary>The caller's prompt cannot be put to the model; the message says why.</summary>
internal sealed class PromptException(string message, Exception? inner = null) : Exception(message, inner);

/// <summary>Prompt or messages → tokens, by the model's own chat template.</summary>
internal static class PromptEncoder
{
    public static int[] Encode(BaseModel model, GenerateRequest request, CancellationToken cancellation) =>
        Encode(model, request, new AnswerConstraints(model), TemplateFeatures.Of(model), cancellation);

    /// <param name="model">The base.</param>
    /// <param name="request">Its prompt or messages, and tools.</param>
    /// <param name="answers">Knows how the model calls functions.</param>
    /// <param name="features">Of the model's template.</param>
    /// <param name="cancellation">Ends the rendering.</param>
    /// <exception cref="PromptException"/>
    /// <exception cref="MessageException"/>
    public static int[] Encode(BaseModel model, GenerateRequest request, AnswerConstraints answers, TemplateFeatures? features, CancellationToken cancellation)
    {
        if (request.PromptTokens is { Count: > 0 } given)
        {
            int vocabulary = model.Config.VocabularySize;
            return given.Any(t => t < 0 || t >= vocabulary)
                ? throw new PromptException($"'prompt' names the token {given.First(t => t < 0 || t >= vocabulary)}; the model has those from 0 to {vocabulary - 1}.")
                : [.. given];
        }
        if (request.Messages is null && string.IsNullOrEmpty(request.Prompt))
            throw new PromptException("The request has neither a prompt nor messages.");
        if (request is { Raw: true, Prompt: not null } && AnswerConstraints.MayCall(request))
            throw new PromptException("A raw prompt goes past the chat template, which tells the model of its tools: leave out raw or the tools.");
        int[] ids = request is { Raw: true, Prompt: { } raw }
            ? model.Tokenizer.Encode(raw, addSpecialTokens: true).Ids
            : model.Tokenizer.Encode(Render(model, request, answers, features, cancellation)).Ids;
        return ids.Length > 0 ? ids : throw new PromptException("The prompt is empty.");
    }

    private static string Render(BaseModel model, GenerateRequest request, AnswerConstraints answers, TemplateFeatures? features, CancellationToken cancellation)
    {
        if (model.ChatTemplate is null)
            throw new PromptException("The model has no chat template: send a prompt with \"raw\": true.");
        JsonElement messages = request.Messages ?? JsonSerializer.SerializeToElement(
            new JsonArray(new JsonObject { ["role"] = "user", ["content"] = request.Prompt }));
        JsonElement? tools = AnswerConstraints.ToolsOf(request);
        ToolCallFormat? format = tools is not null || HasCalls(messages) ? answers.Format : null;
        ToolRendering rendering = format?.Rendering ?? ToolRendering.None;
        messages = ToolMessages.Prepare(messages, tools, format, features is { System: true });
        try
        {
            return model.ChatTemplate.Render(new ChatTemplateInput
            {
                Messages = messages,
                Tools = rendering.HasFlag(ToolRendering.FunctionsAsText) ? null : tools,
                KeepNulls = rendering.HasFlag(ToolRendering.NullContent),
                AddGenerationPrompt = true,
                BosToken = model.BosToken,
                EosToken = model.EosToken,
            }, cancellation).Text;
        }
        catch (ChatTemplateException e)
        {
            throw new PromptException($"The model's chat template does not take these messages: {e.Message}", e);
        }
    }

    private static bool HasCalls(JsonElement messages) =>
        messages.ValueKind is JsonValueKind.Array && messages.EnumerateArray().Any(m => m.ValueKind is JsonValueKind.Object
            && (m.TryGetProperty("tool_calls", out _) || (m.TryGetProperty("role", out JsonElement role) && role.ValueKind is JsonValueKind.String && role.ValueEquals("tool"u8))));
}
