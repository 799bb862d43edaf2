using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Hone.Training.Benchmarks;

namespace Hone.Commands.Bench;

internal sealed class BenchGrammarCommand : BenchCommand
{
    private readonly Option<int> _properties = new("--properties") { Description = "Properties of the schema.", HelpName = "N", DefaultValueFactory = _ => 100 };
    private readonly Option<int> _tokens = new("--tokens") { Description = "Tokens to generate, three times.", HelpName = "N", DefaultValueFactory = _ => 1000 };

    public BenchGrammarCommand() : base("grammar", "What holding answers to a JSON Schema costs: compiling it, and each token's mask.", precisions: null, "hone bench grammar", "hone bench grammar --properties 20 --json")
    {
        Options.Add(_properties);
        Options.Add(_tokens);
    }

    public override IEnumerable<string> UsageErrors(ParseResult parse)
    {
        if (parse.GetValue(_properties) is < 1 or > 1000)
            yield return "--properties is a number from 1 to 1000.";
        if (parse.GetValue(_tokens) is < 1 or > 100_000)
            yield return "--tokens is a number from 1 to 100000.";
    }

    protected override IEnumerable<string> Own(ParseResult parse) =>
        ["--properties", parse.GetValue(_properties).ToString(CultureInfo.InvariantCulture), "--tokens", parse.GetValue(_tokens).ToString(CultureInfo.InvariantCulture)];

    protected override string Measure(string modelPath, int? threads, ParseResult parse)
        => JsonSerializer.Serialize(GrammarBenchmark.Run(modelPath, parse.GetValue(_properties), parse.GetValue(_tokens)), FiguresJson.Default.GrammarFigures);
}
