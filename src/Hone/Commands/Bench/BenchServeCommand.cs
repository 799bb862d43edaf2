using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Hone.Training.Benchmarks;

namespace Hone.Commands.Bench;

internal sealed class BenchServeCommand : BenchCommand
{
    private readonly Option<int> _tokens = new("--tokens") { Description = "Tokens to generate.", HelpName = "N", DefaultValueFactory = _ => 128 };
    private readonly Option<int> _promptTokens = new("--prompt-tokens") { Description = "Tokens of the long prompt.", HelpName = "N", DefaultValueFactory = _ => 512 };

    public BenchServeCommand() : base("serve", "Speed of an engine over its socket: one greedy stream, eight with four adapters in one batch, a long prompt, a first token.", ["as_stored", "float32"],
        "hone bench serve", "hone bench serve --tokens 32 --json")
    {
        Options.Add(_tokens);
        Options.Add(_promptTokens);
    }

    public override IEnumerable<string> UsageErrors(ParseResult parse)
    {
        if (parse.GetValue(_tokens) is < 1 or > 4096)
            yield return "--tokens is a number from 1 to 4096.";
        if (parse.GetValue(_promptTokens) is < 8 or > 4096)
            yield return "--prompt-tokens is a number from 8 to 4096.";
    }

    protected override IEnumerable<string> Own(ParseResult parse) =>
        ["--tokens", Text(parse.GetValue(_tokens)), "--prompt-tokens", Text(parse.GetValue(_promptTokens))];

    protected override string Measure(string modelPath, int? threads, ParseResult parse)
        => JsonSerializer.Serialize(ServeBenchmark.Run(modelPath, parse.GetValue(_tokens), parse.GetValue(_promptTokens), threads, Precision(parse) == "as_stored"), FiguresJson.Default.ServeFigures);

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);
}
