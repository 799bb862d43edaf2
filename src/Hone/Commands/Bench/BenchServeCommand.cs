using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Hone.Training.Benchmarks;

namespace Hone.Commands.Bench;

internal sealed class BenchServeCommand : BenchCommand
{
    private readonly Option<int> _tokens = new("--tokens") { Description = "Tokens to generate.", HelpName = "N", DefaultValueFactory = _ => 64 };

    public BenchServeCommand() : base("serve", "Decoding speed: one greedy stream, and eight in one batch.", computes: true, "hone bench serve", "hone bench serve --tokens 128 --json")
    {
        Options.Add(_tokens);
        Validators.Add(result =>
        {
            if (result.GetResult(_tokens)?.GetValueOrDefault<int>() is < 1 or > 4096)
                result.AddError("--tokens is a number from 1 to 4096.");
        });
    }

    protected override IEnumerable<string> Own(ParseResult parse) => ["--tokens", parse.GetValue(_tokens).ToString(CultureInfo.InvariantCulture)];

    protected override string Measure(string modelPath, int? threads, ParseResult parse)
        => JsonSerializer.Serialize(ServeBenchmark.Run(modelPath, parse.GetValue(_tokens), threads, AsStored(parse)), FiguresJson.Default.ServeFigures);
}
