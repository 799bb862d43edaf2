using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Hone.Training.Benchmarks;

namespace Hone.Commands.Bench;

internal sealed class BenchLintCommand : BenchCommand
{
    private readonly Option<int> _megabytes = new("--megabytes") { Description = "Size of the file that is written and linted.", HelpName = "N", DefaultValueFactory = _ => 512 };

    public BenchLintCommand() : base("lint", "Speed and peak memory of the lint on one core: the form of a file's rows, then, on a smaller one, with the base's tokens.", precisions: null,
        "hone bench lint", "hone bench lint --megabytes 64 --json")
    {
        Options.Add(_megabytes);
    }

    public override IEnumerable<string> UsageErrors(ParseResult parse)
    {
        if (parse.GetValue(_megabytes) is < 1 or > 4096)
            yield return "--megabytes is a number from 1 to 4096.";
    }

    protected override IEnumerable<string> Own(ParseResult parse) => ["--megabytes", parse.GetValue(_megabytes).ToString(CultureInfo.InvariantCulture)];

    protected override string Measure(string modelPath, int? threads, ParseResult parse)
        => JsonSerializer.Serialize(LintBenchmark.Run(modelPath, parse.GetValue(_megabytes)), FiguresJson.Default.LintFigures);
}
