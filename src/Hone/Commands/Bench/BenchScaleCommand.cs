using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Hone.Training.Benchmarks;

namespace Hone.Commands.Bench;

internal sealed class BenchScaleCommand : BenchCommand
{
    private readonly Option<int[]> _lengths = Numbers("--lengths", "Tokens of a row.", [64, 256, 1024, 4096]);
    private readonly Option<int[]> _ranks = Numbers("--ranks", "Ranks of the adapter.", [1, 8, 32, 128]);
    private readonly Option<int> _steps = new("--steps") { Description = "Steps to measure of each.", HelpName = "N", DefaultValueFactory = _ => 2 };

    public BenchScaleCommand() : base("scale", "What a token costs in rows of several lengths, and with adapters of several ranks.", OfTrainings,
        "hone bench scale", "hone bench scale --lengths 128 512 --ranks 8 --steps 1 --json")
    {
        Options.Add(_lengths);
        Options.Add(_ranks);
        Options.Add(_steps);
    }

    public override IEnumerable<string> UsageErrors(ParseResult parse)
    {
        if (parse.GetValue(_steps) < 1)
            yield return "--steps is 1 or more.";
        if (parse.GetValue(_lengths)?.Any(length => length is < 2 or > 8192) == true)
            yield return "--lengths takes numbers from 2 to 8,192.";
        if (parse.GetValue(_ranks)?.Any(rank => rank is < 1 or > 512) == true)
            yield return "--ranks takes numbers from 1 to 512.";
    }

    protected override IEnumerable<string> Own(ParseResult parse) =>
        ["--lengths", .. parse.GetValue(_lengths)!.Select(Text), "--ranks", .. parse.GetValue(_ranks)!.Select(Text), "--steps", Text(parse.GetValue(_steps))];

    protected override string Measure(string modelPath, int? threads, ParseResult parse) => JsonSerializer.Serialize(
        ScaleBenchmark.Run(modelPath, Quickstart.Examples.Open(null).Training, parse.GetValue(_lengths)!, parse.GetValue(_ranks)!, parse.GetValue(_steps), threads, Precision(parse), Console.Error.WriteLine),
        FiguresJson.Default.ScaleFigures);

    private static Option<int[]> Numbers(string name, string description, int[] usual) =>
        new(name) { Description = description, HelpName = "N", AllowMultipleArgumentsPerToken = true, DefaultValueFactory = _ => usual };

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);
}
