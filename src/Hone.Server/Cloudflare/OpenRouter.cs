using Hone.Core.Models;

namespace Hone.Server.Cloudflare;

/// <summary><c>models/search?format=openrouter</c>: the list in the form in which that marketplace asks providers for it. Nothing here has a price.</summary>
internal static class OpenRouter
{
    public const string Format = "openrouter";

    private static readonly string[] Text = ["text"];
    private static readonly OpenRouterPricingView Free = new("0", "0");

    /// <summary>Their names for the fields of <see cref="RunFields"/>.</summary>
    private static readonly string[] Sampling =
    [
        .. new[] { RunFields.Temperature.Name, RunFields.TopP.Name, RunFields.TopK.Name, RunFields.FrequencyPenalty.Name, RunFields.PresencePenalty.Name, RunFields.RepetitionPenalty.Name, RunFields.Seed.Name, RunFields.MaxTokens.Name },
    ];

    public static OpenRouterView View(IReadOnlyList<ModelEntry> models) => new([.. models.Select(View)]);

    private static OpenRouterModelView View(ModelEntry model)
    {
        var metadata = ModelCatalog.Metadata(model);
        return new(model.Id, metadata.Name, metadata.Description, model.CreatedAt.ToUnixTimeSeconds(), Text, Text, metadata.ContextLength, metadata.ContextLength, Free, Sampling, []);
    }
}

internal sealed record OpenRouterView(IReadOnlyList<OpenRouterModelView> Data);

internal sealed record OpenRouterModelView(
    string Id, string Name, string Description, long Created, IReadOnlyList<string> InputModalities, IReadOnlyList<string> OutputModalities, int? ContextLength, int? MaxOutputLength,
    OpenRouterPricingView Pricing, IReadOnlyList<string> SupportedSamplingParameters, IReadOnlyList<string> SupportedFeatures);

internal sealed record OpenRouterPricingView(string Prompt, string Completion);
