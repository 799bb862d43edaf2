using System.CommandLine;
using System.Text.Json;
using Hone.Commands.Admin;
using Hone.Commands.Models;
using Hone.Formats.Jobs;
using Hone.Formats.Models;
using Hone.Formats.TrainingData;
using Hone.Terminals;

namespace Hone.Commands;

internal sealed class LintCommand : CliCommand
{
    private readonly Argument<string[]> _files = new("files")
    {
        Description = "Training rows; then, if there are any, validation rows; a training_config.json may stand anywhere.",
        HelpName = "FILE",
        Arity = ArgumentArity.OneOrMore,
    };
    private readonly Option<string?> _validation = new("--validation") { Description = "The validation rows, when they are not the second FILE.", HelpName = "FILE" };
    private readonly Option<string> _model = LocalModel.Option();
    private readonly Option<string?> _data = AdminGroups.Data();
    private readonly Option<bool> _json = new("--json") { Description = "Print the report as JSON." };

    public LintCommand() : base("lint", "Says what is wrong with training data, and what of it a model would learn; reads the files here, no server. The exit code is 1 when they cannot be trained on.",
        "hone lint train.jsonl --validation valid.jsonl --model @cf/huggingfacetb/smollm2-135m-instruct", "hone lint train.jsonl --json | jq '.errors[] | {line, message}'")
    {
        Arguments.Add(_files);
        foreach (Option option in new Option[] { _validation, _model, _data, _json })
            Options.Add(option);
    }

    public override IEnumerable<string> UsageErrors(ParseResult parse)
    {
        (string[] rows, string[] configs) = InputFile.Part(parse.GetRequiredValue(_files));
        if (configs.Length > 1 || rows.Length == 0 || rows.Length + (parse.GetValue(_validation) is null ? 0 : 1) > 2)
            yield return "Name the training rows, at most one file of validation rows, and at most one training_config.json.";
    }

    protected override async Task<int> RunAsync(ParseResult parse, Terminal terminal, CancellationToken cancellationToken)
    {
        string[] files = parse.GetRequiredValue(_files);
        (string[] rows, string[] configs) = InputFile.Part(files);
        if (parse.GetValue(_validation) is { } validation)
            rows = [.. rows, validation];
        foreach (string file in files.Union(rows))
            InputFile.MustExist(file);
        using BaseModel model = await LocalModel.OpenAsync(parse.GetRequiredValue(_model), parse.GetValue(_data), cancellationToken);
        string? configFile = configs.FirstOrDefault();
        LintReport report = Lint(rows, configFile, model, cancellationToken);
        string json = report.ToJson();
        if (parse.GetValue(_json))
        {
            terminal.Line(json);
            return report.Ok ? 0 : Cli.Failure;
        }
        using JsonDocument document = JsonDocument.Parse(json);
        LintView.Print(terminal, rows[0], rows.ElementAtOrDefault(1), configFile, document.RootElement, terminal.Output);
        LintStatsView.Print(terminal, document.RootElement.GetProperty("stats"));
        terminal.Line(report.Ok ? "ok" : "not ok: nothing of this can be trained on before the errors are mended");
        return report.Ok ? 0 : Cli.Failure;
    }

    private static LintReport Lint(string[] rows, string? configFile, BaseModel model, CancellationToken cancellationToken)
    {
        TrainingConfig config = new();
        IReadOnlyList<LintIssue> errors = [];
        if (configFile is not null)
        {
            (TrainingConfig? parsed, errors) = TrainingConfigParser.Parse(File.ReadAllBytes(configFile));
            config = parsed ?? config;
        }
        LintReport report = Linter.Lint(new LintRequest { TrainingPath = rows[0], ValidationPath = rows.ElementAtOrDefault(1), Model = model, Config = config }, cancellationToken);
        return errors.Count == 0 ? report : report with { Errors = [.. errors.Select(error => error with { File = LintIssue.ConfigFile }), .. report.Errors] };
    }
}
