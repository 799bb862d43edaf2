using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;
using Hone.Commands.Admin;
using Hone.Formats.Models;
using Hone.Terminals;

namespace Hone.Commands.Models;

internal sealed class CheckCommand : CliCommand
{
    private readonly Argument<string> _model = new("model") { Description = "A GGUF file, or a model's id.", HelpName = "PATH|ID" };
    private readonly Option<string?> _data = AdminGroups.Data();
    private readonly Option<bool> _json = AdminGroups.Json();

    public CheckCommand() : base("check", "Opens a base model as training would and says what it is, or why it cannot be used. Reads the file itself, no server.",
        "hone models check ./Qwen2.5-0.5B-Instruct-Q8_0.gguf", "hone models check @cf/huggingfacetb/smollm2-135m-instruct --json")
    {
        Arguments.Add(_model);
        Options.Add(_data);
        Options.Add(_json);
    }

    protected override async Task<int> RunAsync(ParseResult parse, Terminal terminal, CancellationToken cancellationToken)
    {
        using BaseModel model = await LocalModel.OpenAsync(parse.GetRequiredValue(_model), parse.GetValue(_data), cancellationToken);
        var checkedModel = new CheckedModel(
            model.Path, model.Name, model.Config.Architecture, model.Parameters, model.Quantization, model.ContextLength, model.Config.Layers, model.Config.HiddenSize, model.Config.VocabularySize,
            model.ChatTemplate is not null, [.. model.StopTokens.Select(model.Tokenizer.TokenText)]);
        if (parse.GetValue(_json))
        {
            terminal.Line(JsonSerializer.Serialize(checkedModel, ModelsJson.Default.CheckedModel));
            return 0;
        }
        terminal.Facts(
        [
            ["file", checkedModel.Path],
            ["name", checkedModel.Name ?? "-"],
            ["architecture", checkedModel.Architecture],
            ["parameters", checkedModel.Parameters.ToString("N0", CultureInfo.InvariantCulture)],
            ["stored as", checkedModel.Quantization],
            ["context", checkedModel.ContextLength.ToString(CultureInfo.InvariantCulture)],
            ["layers", checkedModel.Layers.ToString(CultureInfo.InvariantCulture)],
            ["hidden size", checkedModel.HiddenSize.ToString(CultureInfo.InvariantCulture)],
            ["vocabulary", checkedModel.VocabularySize.ToString(CultureInfo.InvariantCulture)],
            ["chat template", checkedModel.ChatTemplate ? "yes" : "no: rows with messages cannot be trained on"],
            ["stops at", string.Join(' ', checkedModel.StopsAt)],
        ]);
        return 0;
    }
}

internal sealed record CheckedModel(
    string Path, string? Name, string Architecture, long Parameters, string Quantization, int ContextLength, int Layers, int HiddenSize, int VocabularySize, bool ChatTemplate, IReadOnlyList<string> StopsAt);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, WriteIndented = true)]
[JsonSerializable(typeof(CheckedModel))]
internal sealed partial class ModelsJson : JsonSerializerContext;
