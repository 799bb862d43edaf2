using System.CommandLine;

namespace Hone.Commands.Bench;

internal static class BenchGroup
{
    public static Command Create() => new CommandGroup("bench", "Measures this machine: training, decoding, schemas, lint, the size of a file, lengths and ranks on the embedded base, and the API.",
        ["hone bench train", "hone bench serve --json"],
        new BenchTrainCommand(), new BenchServeCommand(), new BenchGrammarCommand(), new BenchLintCommand(), new BenchRowsCommand(), new BenchScaleCommand(), new BenchApiCommand());
}
