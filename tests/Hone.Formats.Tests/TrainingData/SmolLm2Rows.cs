using System.Text;
using System.Text.Json;
using Hone.Formats.ChatTemplates;
using Hone.Formats.Jobs;
using Hone.Formats.Models;
using Hone.Formats.TrainingData;

namespace Hone.Formats.Tests.TrainingData;

/// <summary>The embedded base, opened once, and rows encoded for it.</summary>
public sealed class SmolLm2Rows : IDisposable
{
    public const string System = "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n";

    public BaseModel Model { get; } = BaseModel.Open(References.EmbeddedBase);

    public static TrainingRow Row(string json)
    {
        var element = JsonElement.Parse(json);
        return new(1, 0, RowShape.KindOf(element)!.Value, element);
    }

    public RowEncoding Encode(string json, TrainingConfig? config = null, string? template = null)
        => (template is null ? RowEncoder.For(Model, config ?? new()) : With(template, config)).Encode(Row(json), keepText: true, TestContext.Current.CancellationToken);

    public RowEncoder With(string template, TrainingConfig? config = null)
        => new(Model.Tokenizer, ChatTemplate.Parse(template), "<|im_start|>", "<|im_end|>", config ?? new(), config?.MaxLength ?? Model.ContextLength);

    /// <summary>The row's text with what is learnt in ⟦brackets⟧.</summary>
    public string Marked(EncodedRow row) => MarkedText.Of(row, Model.Tokenizer);

    public LintReport Lint(byte[] file, TrainingConfig? config = null)
    {
        string path = Path.GetTempFileName();
        try
        {
            File.WriteAllBytes(path, file);
            return TrainingFiles.Lint(new LintRequest { TrainingPath = path, Model = Model, Config = config ?? new() });
        }
        finally
        {
            File.Delete(path);
        }
    }

    public LintReport LintRow(string row, TrainingConfig? config = null) => Lint(TrainingFiles.Around(Encoding.UTF8.GetBytes(row)), config);

    public void Dispose() => Model.Dispose();
}
