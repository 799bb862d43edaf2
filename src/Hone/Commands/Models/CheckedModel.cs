using System.Globalization;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;
using Hone.Formats.Models;

namespace Hone.Commands.Models;

/// <summary>What <c>hone models check</c> says of a model.</summary>
internal sealed record CheckedModel
{
    /// <summary>Tokens of the step and of the answer that the memory is given for; fewer where the model's context is shorter.</summary>
    private const int RowsAStep = 4, RowTokens = 512, AnswerTokens = 4096;

    private const string Sample = "Hello, world! It's 12 °C — größer, Привет, 你好 🙂\n\tx += 1;";

    public required string Path { get; init; }
    public required string? Name { get; init; }
    public required string Architecture { get; init; }
    public required long Parameters { get; init; }
    public required string Quantization { get; init; }
    public required long FileBytes { get; init; }
    public required int ContextLength { get; init; }
    public required int Layers { get; init; }
    public required int HiddenSize { get; init; }
    public required int Heads { get; init; }
    public required int KeyValueHeads { get; init; }
    public required int HeadDim { get; init; }
    public required int IntermediateSize { get; init; }
    public required int? SlidingWindow { get; init; }
    public required int? Experts { get; init; }

    /// <summary>Rows of the embedding, of which padding may be some.</summary>
    public required int VocabularySize { get; init; }

    /// <summary>Tokens of the tokenizer.</summary>
    public required int TokenizerSize { get; init; }

    /// <summary>Further tokens of the tokenizer's file, which are read as text.</summary>
    public required IReadOnlyList<string> WithoutEmbedding { get; init; }

    public required bool TiedEmbeddings { get; init; }
    public required bool ChatTemplate { get; init; }
    public required TemplateFeatures? Template { get; init; }
    public required string? BosToken { get; init; }
    public required string? EosToken { get; init; }
    public required string? PadToken { get; init; }

    /// <summary>Before every text that is no conversation.</summary>
    public required IReadOnlyList<string> TextsBeginWith { get; init; }

    public required IReadOnlyList<string> TextsEndWith { get; init; }
    public required IReadOnlyList<string> StopsAt { get; init; }
    public required IReadOnlyList<AdaptedModule> Adapts { get; init; }
    public required CheckedAdapter Rank8 { get; init; }
    public required CheckedAdapter Rank16 { get; init; }
    public required CheckedMemory Serve { get; init; }
    public required CheckedSample Tokenizes { get; init; }

    /// <summary>Null where none was asked for.</summary>
    public CheckedAnswer? Answer { get; init; }

    public static CheckedModel Of(BaseModel model)
    {
        ModelConfig config = model.Config;
        long bytes = ModelFiles.Stamp(model.Path).Size;
        int answer = Math.Min(AnswerTokens, config.ContextLength);
        return new CheckedModel
        {
            Path = model.Path,
            Name = model.Name,
            Architecture = config.Architecture,
            Parameters = model.Parameters,
            Quantization = model.Quantization,
            FileBytes = bytes,
            ContextLength = model.ContextLength,
            Layers = config.Layers,
            HiddenSize = config.HiddenSize,
            Heads = config.Heads,
            KeyValueHeads = config.KeyValueHeads,
            HeadDim = config.HeadDim,
            IntermediateSize = config.IntermediateSize,
            SlidingWindow = config.SlidingWindow,
            Experts = config.Experts?.Count,
            VocabularySize = config.VocabularySize,
            TokenizerSize = model.Tokenizer.VocabularySize,
            WithoutEmbedding = model.Tokenizer.WithoutEmbedding,
            TiedEmbeddings = config.TiedEmbeddings,
            ChatTemplate = model.ChatTemplate is not null,
            Template = TemplateFeatures.Of(model),
            BosToken = model.BosToken,
            EosToken = model.EosToken,
            PadToken = model.PadToken,
            TextsBeginWith = [.. model.Tokenizer.Added.Beginning.Select(model.Tokenizer.TokenText)],
            TextsEndWith = [.. model.Tokenizer.Added.End.Select(model.Tokenizer.TokenText)],
            StopsAt = [.. model.StopTokens.Select(model.Tokenizer.TokenText)],
            Adapts = [.. model.LinearModules.GroupBy(m => (Name: m.Name[(m.Name.LastIndexOf('.') + 1)..], m.Out, m.In)).Select(g => new AdaptedModule(g.Key.Name, [g.Key.Out, g.Key.In], g.Count()))],
            Rank8 = Adapter(model, bytes, 8),
            Rank16 = Adapter(model, bytes, 16),
            Serve = CheckedMemory.Of(string.Create(CultureInfo.InvariantCulture, $"one answer, {answer:N0} tokens with its prompt"), ModelMemory.OfServing(config, bytes, model.LinearModules, 16, answers: 1, answer, model.HasParts)),
            Tokenizes = Tokenize(model),
        };
    }

    private static CheckedAdapter Adapter(BaseModel model, long bytes, int rank)
    {
        int row = Math.Min(RowTokens, model.ContextLength);
        var pass = PassSize.Of(RowsAStep, row, RowsAStep * row / 2);
        return new CheckedAdapter(
            ModelMemory.TrainableParameters(model.LinearModules, rank),
            CheckedMemory.Of(string.Create(CultureInfo.InvariantCulture, $"steps of {RowsAStep} rows of {row:N0} tokens, half of them learnt"), ModelMemory.OfTraining(model.Config, bytes, new AdapterSize(model.LinearModules, rank, Dora: false, []), pass, ModelMemory.PassTokens, BasePrecision.Float32, recompute: false, model.HasParts)));
    }

    private static CheckedSample Tokenize(BaseModel model)
    {
        int[] ids = model.Tokenizer.Encode(Sample).Ids;
        string back = model.Tokenizer.Decode(ids);
        return new CheckedSample(Sample, ids, back, back == Sample);
    }
}

/// <summary>Modules of one name and shape, one in each of so many layers.</summary>
/// <param name="Shape">[out, in]</param>
internal sealed record AdaptedModule(string Name, IReadOnlyList<int> Shape, int Layers);

internal sealed record CheckedAdapter(long TrainableParameters, CheckedMemory Train);

/// <summary>Bytes at the peak, see <see cref="ModelMemory"/>.</summary>
/// <param name="For">What is reckoned with.</param>
internal sealed record CheckedMemory(string For, long Total, long Weights, long File, long Adapter, long Tokens, long Work, long Runtime)
{
    public static CheckedMemory Of(string what, MemoryUse use) => new(what, use.Total, use.Weights, use.File, use.Adapter, use.Tokens, use.Work, use.Runtime);
}

/// <param name="Same">Decoding gives the text again.</param>
internal sealed record CheckedSample(string Text, IReadOnlyList<int> Ids, string Decoded, bool Same);

/// <param name="Seconds">With loading the model.</param>
internal sealed record CheckedAnswer(string Prompt, string Text, string FinishReason, int PromptTokens, int CompletionTokens, double Seconds);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower)]
[JsonSerializable(typeof(CheckedModel))]
internal sealed partial class ModelsJson : JsonSerializerContext
{
    public static ModelsJson Readable { get; } = new(new JsonSerializerOptions
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        WriteIndented = true,
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    });
}
