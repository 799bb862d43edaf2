using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Hone.Training.Benchmarks;

namespace Hone.Commands.Bench;

internal sealed class BenchTrainCommand : BenchCommand
{
    private readonly Option<FileInfo?> _rows = new("--rows") { Description = "Training rows. Default: those of the support triage example.", HelpName = "FILE" };
    private readonly Option<int> _steps = new("--steps") { Description = "Steps to measure.", HelpName = "N", DefaultValueFactory = _ => 40 };

    public BenchTrainCommand() : base("train", "Training speed beside the machine's rate of matrix products: LoRA of rank 8 on all linear layers, 4 rows a step.", computes: true, "float32",
        "hone bench train --steps 20 --json", "hone bench train --precision as_stored")
    {
        Options.Add(_rows);
        Options.Add(_steps);
        Validators.Add(result =>
        {
            if (result.GetResult(_steps)?.GetValueOrDefault<int>() < 1)
                result.AddError("--steps is 1 or more.");
            if (result.GetValue(_rows) is { Exists: false } missing)
                result.AddError($"--rows: {missing} does not exist.");
        });
    }

    protected override IEnumerable<string> Own(ParseResult parse)
        => ["--rows", parse.GetValue(_rows)?.FullName ?? Quickstart.Examples.Open(null).Training, "--steps", parse.GetValue(_steps).ToString(CultureInfo.InvariantCulture)];

    protected override string Measure(string modelPath, int? threads, ParseResult parse)
        => JsonSerializer.Serialize(
            TrainBenchmark.Run(modelPath, parse.GetValue(_rows)!.FullName, parse.GetValue(_steps), threads, AsStored(parse), Console.Error.WriteLine), FiguresJson.Default.TrainFigures);
}
