using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Hone.Commands.Admin;
using Hone.Formats;
using Hone.Formats.Models;
using Hone.Terminals;

namespace Hone.Commands.Models;

internal sealed class CheckCommand : CliCommand
{
    private const int MostTokens = 8;

    private readonly Argument<string> _model = new("model") { Description = "A GGUF file, a Hugging Face folder, or a model's id.", HelpName = "PATH|ID" };
    private readonly Option<bool> _noAnswer = new("--no-answer") { Description = "Do not load the model to generate an answer; its weights are looked through all the same." };
    private readonly Option<string?> _data = AdminGroups.Data();
    private readonly Option<bool> _json = AdminGroups.Json();

    public CheckCommand() : base("check", "Opens a base model as training would and says what it is, what it takes and what it answers, or why it cannot be used. Reads the file itself, no server.",
        "hone models check ./Qwen2.5-0.5B-Instruct-Q8_0.gguf", "hone models check @cf/huggingfacetb/smollm2-135m-instruct --no-answer --json | jq .rank8.train.total")
    {
        Arguments.Add(_model);
        Options.Add(_noAnswer);
        Options.Add(_data);
        Options.Add(_json);
    }

    protected override async Task<int> RunAsync(ParseResult parse, Terminal terminal, CancellationToken cancellationToken)
    {
        CheckedModel found;
        using (BaseModel model = await LocalModel.OpenAsync(parse.GetRequiredValue(_model), parse.GetValue(_data), cancellationToken))
        {
            found = CheckedModel.Of(model);
            // The engine looks at every weight that it loads.
            if (parse.GetValue(_noAnswer) && model.FindNotFinite(cancellationToken) is [string first, ..])
                throw new InvalidFileException(first);
        }
        if (!parse.GetValue(_noAnswer))
            found = found with { Answer = await ModelTrial.RunAsync(found.Path, found.ChatTemplate, cancellationToken) };
        if (parse.GetValue(_json))
            terminal.Line(JsonSerializer.Serialize(found, ModelsJson.Readable.CheckedModel));
        else
            terminal.Facts([.. Facts(found)]);
        return 0;
    }

    private static IEnumerable<string[]> Facts(CheckedModel model)
    {
        yield return ["file", $"{model.Path}, {Sizes.Text(model.FileBytes)}"];
        yield return ["name", model.Name ?? "-"];
        yield return ["architecture", model.Architecture];
        yield return ["parameters", Number(model.Parameters)];
        yield return ["stored as", model.Quantization];
        yield return ["context", $"{Number(model.ContextLength)} tokens{(model.SlidingWindow is { } window ? $", windows of {Number(window)}" : "")}"];
        yield return ["layers", $"{model.Layers}, {model.Heads} query and {model.KeyValueHeads} key-value heads of {model.HeadDim}{(model.Experts is { } experts ? $", {experts} experts" : "")}"];
        yield return ["hidden size", $"{Number(model.HiddenSize)}, feed-forward {Number(model.IntermediateSize)}"];
        yield return ["vocabulary", $"{Number(model.VocabularySize)}{(model.TokenizerSize == model.VocabularySize ? "" : $", {Number(model.TokenizerSize)} of them tokens")}{(model.TiedEmbeddings ? ", output matrix tied" : "")}"];
        if (model.WithoutEmbedding.Count > 0)
            yield return ["read as text", $"{string.Join(' ', model.WithoutEmbedding.Take(MostTokens))}{(model.WithoutEmbedding.Count > MostTokens ? " …" : "")}: the model has no embedding for what the tokenizer has there"];
        yield return ["chat template", model.Template is { } template ? Features(template) : "no: rows with messages cannot be trained on"];
        yield return ["special tokens", $"bos {model.BosToken ?? "-"}, eos {model.EosToken ?? "-"}, pad {model.PadToken ?? "-"}, end of turn {model.Template?.EndOfTurn ?? "-"}"];
        yield return ["plain texts", $"begin with {Tokens(model.TextsBeginWith)}, end with {Tokens(model.TextsEndWith)}"];
        yield return ["stops at", Tokens(model.StopsAt)];
        yield return ["LoRA adapts", string.Join(", ", model.Adapts.Select(m => $"{m.Layers} × {m.Name} [{m.Shape[0]}, {m.Shape[1]}]"))];
        yield return ["trained at rank 8", $"{Number(model.Rank8.TrainableParameters)} parameters; {Memory(model.Rank8.Train)}"];
        yield return ["trained at rank 16", $"{Number(model.Rank16.TrainableParameters)} parameters; {Memory(model.Rank16.Train)}"];
        yield return ["served", Memory(model.Serve)];
        yield return ["tokenizes", $"{Quoted(model.Tokenizes.Text)} to {model.Tokenizes.Ids.Count} tokens{(model.Tokenizes.Same ? " and back" : $", which decode to {Quoted(model.Tokenizes.Decoded)}")}"];
        if (model.Answer is { } answer)
        {
            yield return ["asked", answer.Prompt];
            yield return ["answers", $"{Quoted(answer.Text)} ({answer.CompletionTokens} tokens, {Sizes.Duration(answer.Seconds)} with loading)"];
        }
    }

    private static string Features(TemplateFeatures template)
    {
        (bool Has, string What)[] features =
        [
            (template.System, "system messages"), (template.Tools, template.OwnToolTemplate ? "tools (by a template of their own)" : "tools"), (template.ToolCalls, "tool calls"), (template.GenerationMarks, "generation marks"),
        ];
        string[] has = [.. features.Where(f => f.Has).Select(f => f.What)], lacks = [.. features.Where(f => !f.Has).Select(f => f.What)];
        return $"yes{(has.Length > 0 ? $", with {string.Join(", ", has)}" : "")}{(lacks.Length > 0 ? $"; without {string.Join(", ", lacks)}" : "")}";
    }

    private static string Memory(CheckedMemory memory) =>
        $"about {Sizes.Text(memory.Total)} for {memory.For} ({(memory.Weights > 0 ? $"weights {Sizes.Text(memory.Weights)}, " : "")}file {Sizes.Text(memory.File)}, adapter {Sizes.Text(memory.Adapter)}, tokens {Sizes.Text(memory.Tokens + memory.Work)})";

    private static string Tokens(IReadOnlyList<string> tokens) => tokens.Count == 0 ? "-" : string.Join(' ', tokens);

    /// <summary>On one line, whatever the model says.</summary>
    private static string Quoted(string text) =>
        $"\"{string.Concat(text.Select(c => c switch { '\n' => "\\n", '\t' => "\\t", '"' or '\\' => $"\\{c}", _ when char.IsControl(c) => $"\\u{(int)c:x4}", _ => c.ToString() }))}\"";

    private static string Number(long number) => number.ToString("N0", CultureInfo.InvariantCulture);
}
