using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Hone.Training.Benchmarks;

namespace Hone.Commands.Bench;

internal sealed class BenchRowsCommand : BenchCommand
{
    private readonly Option<int[]> _sizes = new("--rows")
    {
        Description = "Rows of each file that is written and trained on.",
        HelpName = "N",
        AllowMultipleArgumentsPerToken = true,
        DefaultValueFactory = _ => [100, 1_000, 10_000, 100_000],
    };

    private readonly Option<int> _steps = new("--steps") { Description = "Steps to measure of each.", HelpName = "N", DefaultValueFactory = _ => 10 };

    public BenchRowsCommand() : base("rows", "What a token costs, and what memory holds, in files of 100 to 100,000 rows.", OfTrainings, "hone bench rows", "hone bench rows --rows 100 1000 --steps 4 --json")
    {
        Options.Add(_sizes);
        Options.Add(_steps);
    }

    public override IEnumerable<string> UsageErrors(ParseResult parse)
    {
        if (parse.GetValue(_steps) < 1)
            yield return "--steps is 1 or more.";
        if (parse.GetValue(_sizes)?.Any(rows => rows is < 1 or > 10_000_000) == true)
            yield return "--rows takes numbers from 1 to 10,000,000.";
    }

    protected override IEnumerable<string> Own(ParseResult parse) =>
        ["--rows", .. parse.GetValue(_sizes)!.Select(Text), "--steps", Text(parse.GetValue(_steps))];

    protected override string Measure(string modelPath, int? threads, ParseResult parse)
        => JsonSerializer.Serialize(
            RowsBenchmark.Run(modelPath, parse.GetValue(_sizes)!, parse.GetValue(_steps), threads, Precision(parse), Console.Error.WriteLine), FiguresJson.Default.RowsFigures);

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);
}
