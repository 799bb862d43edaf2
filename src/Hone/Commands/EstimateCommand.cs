using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using Hone.Commands.Admin;
using Hone.Commands.Models;
using Hone.Formats.Jobs;
using Hone.Formats.TrainingData;
using Hone.Terminals;
using Hone.Training.Estimates;

namespace Hone.Commands;

internal sealed class EstimateCommand : CliCommand
{
    private readonly Argument<string[]> _files = new("files")
    {
        Description = "Training rows; then, if there are any, validation rows; a training_config.json may stand anywhere.",
        HelpName = "FILE",
        Arity = ArgumentArity.OneOrMore,
    };
    private readonly Option<string> _model = LocalModel.Option();
    private readonly Option<string[]> _set = new("--set") { Description = "A setting as training_config.json has it, such as rank=16; may be given often.", HelpName = "KEY=VALUE", DefaultValueFactory = _ => [] };
    private readonly Option<int?> _threads = MeasuringChild.Threads();
    private readonly Option<string?> _data = AdminGroups.Data();
    private readonly Option<bool> _json = new("--json") { Description = "Print the figures as one line of JSON." };
    private readonly Option<bool> _here = new("--in-this-process") { Description = "Measure here and print JSON.", Hidden = true };

    public EstimateCommand() : base("estimate", "Says what a training will cost: steps, tokens, time from a few real steps on this machine, and memory. Reads the files here, no server.",
        "hone estimate train.jsonl valid.jsonl --model @cf/huggingfacetb/smollm2-135m-instruct", "hone estimate train.jsonl --set batch_size=8 --set n_epochs=2 --json")
    {
        Arguments.Add(_files);
        foreach (Option option in new Option[] { _model, _set, _threads, _data, _json, _here })
            Options.Add(option);
    }

    public override IEnumerable<string> UsageErrors(ParseResult parse)
    {
        (string[] rows, string[] configs) = InputFile.Part(parse.GetRequiredValue(_files));
        if (configs.Length > 1 || rows.Length is 0 or > 2)
            yield return "Name the training rows, at most one file of validation rows, and at most one training_config.json.";
        if (parse.GetValue(_set)?.FirstOrDefault(s => s.IndexOf('=') < 1) is { } wrong)
            yield return $"--set {wrong}: write KEY=VALUE.";
    }

    protected override async Task<int> RunAsync(ParseResult parse, Terminal terminal, CancellationToken cancellationToken)
    {
        foreach (string file in parse.GetRequiredValue(_files))
            InputFile.MustExist(file);
        string[] files = [.. parse.GetRequiredValue(_files).Select(Path.GetFullPath)];
        string[] set = parse.GetValue(_set) ?? [];
        (string[] rows, string[] configs) = InputFile.Part(files);
        TrainingConfig config = Config(configs.FirstOrDefault(), set);
        string model = await LocalModel.PathOfAsync(parse.GetRequiredValue(_model), parse.GetValue(_data), cancellationToken);
        int? threads = parse.GetValue(_threads);
        if (parse.GetValue(_here))
        {
            MeasuringChild.EndWithParent();
            var request = new EstimateRequest { ModelPath = model, TrainingPath = rows[0], ValidationPath = rows.ElementAtOrDefault(1), Config = config, Threads = threads };
            terminal.Line(JsonSerializer.Serialize(await Task.Run(() => Estimator.Run(request, cancellationToken), cancellationToken), EstimateJson.Default.CostEstimate));
            return 0;
        }
        string figures = await MeasuringChild.RunAsync(["estimate", .. files, "--model", model, "--in-this-process", .. set.SelectMany(s => new[] { "--set", s })], threads, cancellationToken);
        if (parse.GetValue(_json))
            terminal.Line(figures);
        else
            Print(terminal, JsonSerializer.Deserialize(figures, EstimateJson.Default.CostEstimate)!);
        return 0;
    }

    private static void Print(Terminal terminal, CostEstimate cost)
    {
        CultureInfo c = CultureInfo.InvariantCulture;
        terminal.Facts(
        [
            ["rows", string.Create(c, $"{cost.Rows:N0}, validation {cost.ValidationRows:N0}")],
            ["steps", string.Create(c, $"{cost.Steps:N0}: {Sizes.Count(cost.Epochs, "epoch", "epochs")}, {Sizes.Count(cost.BatchSize, "row", "rows")} a step")],
            ["tokens", string.Create(c, $"{cost.DistinctTokens:N0} computed ({cost.Tokens:N0} before shared prefixes are computed once), {cost.TrainedTokens:N0} learnt")],
            ["time", string.Create(c, $"about {Sizes.Duration(cost.TrainSeconds)} of training and {Sizes.Duration(cost.EvaluationSeconds)} of evaluation")],
            ["peak memory", string.Create(c, $"about {cost.PeakMemoryMb:N0} MiB")],
            ["probe", string.Create(c, $"{Sizes.Count(cost.ProbePasses, "pass", "passes")} at {cost.TokensPerSecond:N0} tokens/s on {cost.Threads} threads, {Sizes.Duration(cost.ProbeSeconds)}")],
        ]);
        foreach (string warning in cost.Warnings)
            terminal.Note("warning: " + warning);
    }

    private static TrainingConfig Config(string? file, string[] set)
    {
        JsonNode? root = file is null ? new JsonObject() : Parsed(File.ReadAllText(file));
        if (root is JsonObject keys)
        {
            foreach (string setting in set)
            {
                int equals = setting.IndexOf('=');
                string text = setting[(equals + 1)..];
                keys[setting[..equals]] = Parsed(text) ?? JsonValue.Create(text);
            }
        }
        byte[] json = root is null ? File.ReadAllBytes(file!) : System.Text.Encoding.UTF8.GetBytes(root.ToJsonString());
        (TrainingConfig? config, IReadOnlyList<LintIssue> errors) = TrainingConfigParser.Parse(json);
        return config ?? throw new CliException($"{(file is null ? "--set" : Path.GetFileName(file))}: {string.Join(" ", errors)}", "`hone lint` with the same file says more.");
    }

    /// <summary>Null where it is no JSON: the parser of configurations says what is wrong with a file, and a setting is a plain word.</summary>
    private static JsonNode? Parsed(string text)
    {
        try
        {
            return JsonNode.Parse(text);
        }
        catch (JsonException)
        {
            return null;
        }
    }
}
