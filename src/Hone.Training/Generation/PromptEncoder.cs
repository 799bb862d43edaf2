using System.Text.Json;
using System.Text.Json.Nodes;
using Hone.Formats.ChatTemplates;
using Hone.Formats.Inference;
using Hone.Formats.Models;

namespace Hone.Training.Generation;

/// <summary>The caller's prompt cannot be put to the model; the message says why.</summary>
internal sealed class PromptException(string message, Exception? inner = null) : Exception(message, inner);

/// <summary>Prompt or messages → tokens, by the model's own chat template.</summary>
internal static class PromptEncoder
{
    public static int[] Encode(BaseModel model, GenerateRequest request, CancellationToken cancellation)
    {
        if (request.Messages is null && string.IsNullOrEmpty(request.Prompt))
            throw new PromptException("The request has neither a prompt nor messages.");
        int[] ids = request is { Raw: true, Prompt: { } raw }
            ? model.Tokenizer.Encode(raw, addSpecialTokens: true).Ids
            : model.Tokenizer.Encode(Render(model, request, cancellation)).Ids;
        return ids.Length > 0 ? ids : throw new PromptException("The prompt is empty.");
    }

    private static string Render(BaseModel model, GenerateRequest request, CancellationToken cancellation)
    {
        if (model.ChatTemplate is null)
            throw new PromptException("The model has no chat template: send a prompt with \"raw\": true.");
        JsonElement messages = request.Messages ?? JsonSerializer.SerializeToElement(
            new JsonArray(new JsonObject { ["role"] = "user", ["content"] = request.Prompt }));
        try
        {
            return model.ChatTemplate.Render(new ChatTemplateInput
            {
                Messages = messages,
                Tools = request.Tools,
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
}
