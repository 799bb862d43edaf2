using Hone.Formats.Inference;
using Hone.Server.Requests;

namespace Hone.Server.Cloudflare;

/// <summary>The body of <c>ai/run</c> for a text generation model, read by <see cref="RunFields"/>.</summary>
internal sealed record RunRequest
{
    /// <summary>Id or name of a finetune.</summary>
    public string? Lora { get; init; }

    public bool Stream { get; init; }

    /// <summary>Not beside another request of the model.</summary>
    public bool RejectIfBusy { get; init; }

    public required GenerateRequest Generate { get; init; }

    /// <summary>Null where <paramref name="fields"/> gathered an error.</summary>
    public static RunRequest? Parse(BodyFields fields)
    {
        RunFields.Shape.CheckRules(fields);
        var format = RunFields.ResponseFormat.Read(fields);
        var choice = RunFields.ToolChoice.Read(fields);
        var tools = RunFields.Tools.Read(fields);
        var request = new RunRequest
        {
            Lora = RunFields.Lora.Read(fields),
            Stream = RunFields.Stream.Read(fields),
            RejectIfBusy = RunFields.RejectIfBusy(fields),
            Generate = new GenerateRequest
            {
                Prompt = RunFields.Prompt.Read(fields),
                Messages = RunFields.Messages.Read(fields),
                Tools = tools,
                ToolChoice = choice is { } chosen ? RunFields.ChoiceOf(chosen) : null,
                Schema = format is { } wanted && fields.Errors.Count == 0 ? RunFields.SchemaOf(wanted) : null,
                Raw = RunFields.Raw.Read(fields),
                MaxTokens = (int)(RunFields.MaxTokens.Read(fields) ?? 0),
                Temperature = RunFields.Temperature.Read(fields) ?? 0,
                // Beyond 1 nothing more can be let in.
                TopP = Math.Min(RunFields.TopP.Read(fields) ?? 1, 1),
                TopK = (int)(RunFields.TopK.Read(fields) ?? 0),
                Seed = RunFields.Seed.Read(fields),
                RepetitionPenalty = RunFields.RepetitionPenalty.Read(fields) ?? 1,
                FrequencyPenalty = RunFields.FrequencyPenalty.Read(fields) ?? 0,
                PresencePenalty = RunFields.PresencePenalty.Read(fields) ?? 0,
            },
        };
        return fields.Errors.Count == 0 ? request : null;
    }
}
