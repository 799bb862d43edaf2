using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Hone.Training.Benchmarks;

namespace Hone.Commands.Bench;

internal sealed class BenchTrainCommand : BenchCommand
{
    private readonly Option<FileInfo?> _rows = new("--rows") { Description = "Training rows. Default: those of the support triage example.", HelpName = "FILE" };
    private readonly Option<int> _steps = new("--steps") { Description = "Steps to measure.", HelpName = "N", DefaultValueFactory = _ => 16 };

    private readonly Option<bool> _profile = new("--profile") { Description = "Where a step's time goes, by operation, instead." };

    public BenchTrainCommand() : base("train", "Training speed beside the machine's rate of matrix products and beside padded batches, operation by operation: LoRA of rank 8 on all linear layers.", OfTrainings,
        "hone bench train --precision float32 --json", "hone bench train --profile")
    {
        Options.Add(_profile);
        Options.Add(_rows);
        Options.Add(_steps);
    }

    public override IEnumerable<string> UsageErrors(ParseResult parse)
    {
        if (parse.GetValue(_steps) < 1)
            yield return "--steps is 1 or more.";
        if (parse.GetValue(_rows) is { } rows && InputFile.Error(rows.FullName) is { } wrong)
            yield return $"--rows: {wrong}";
    }

    protected override IEnumerable<string> Own(ParseResult parse)
        => ["--rows", parse.GetValue(_rows)?.FullName ?? Quickstart.Examples.Open(null).Training, "--steps", parse.GetValue(_steps).ToString(CultureInfo.InvariantCulture), .. parse.GetValue(_profile) ? ["--profile"] : Array.Empty<string>()];

    protected override string Measure(string modelPath, int? threads, ParseResult parse)
    {
        string rows = parse.GetValue(_rows)!.FullName;
        int steps = parse.GetValue(_steps);
        return parse.GetValue(_profile)
            ? JsonSerializer.Serialize(TrainBenchmark.RunProfile(modelPath, rows, steps, threads, Precision(parse), Console.Error.WriteLine), FiguresJson.Default.ProfileFigures)
            : JsonSerializer.Serialize(TrainBenchmark.Run(modelPath, rows, steps, threads, Precision(parse), Console.Error.WriteLine), FiguresJson.Default.TrainFigures);
    }
}
