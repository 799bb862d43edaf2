using Hone.Formats.TrainingData;

namespace Hone.Training.Benchmarks;

/// <summary><c>hone bench scale</c>: what a token costs in rows of several lengths, and with adapters of several ranks; about as many tokens a step each.</summary>
public static class ScaleBenchmark
{
    private const int StepTokens = 1024;
    private const int UsualRank = 8, UsualLength = 256;

    public static ScaleFigures Run(string modelPath, string rowsPath, IReadOnlyList<int> lengths, IReadOnlyList<int> ranks, int steps, int? threads, string precision, Action<string> log)
    {
        var figures = new List<ScaleFigure>();
        using (var bench = new TrainBench(modelPath, rowsPath, threads, precision))
        {
            foreach (int length in lengths)
                Measure(bench, length, UsualRank);
        }
        foreach (int rank in ranks)
        {
            using var bench = new TrainBench(modelPath, rowsPath, threads, precision, rank);
            Measure(bench, UsualLength, rank);
        }
        return new ScaleFigures(figures);

        void Measure(TrainBench bench, int length, int rank)
        {
            int rows = Math.Max(1, StepTokens / length);
            EncodedRow[] data = TrainBenchmark.LongRows(bench.Model.Config.VocabularySize, 4 * rows, length);
            var timed = new Timed(data, rows);
            timed.Run(bench.Step, 1, counts: false);
            timed.Run(bench.Step, steps);
            figures.Add(new ScaleFigure(length, rank, rows, timed.TokensPerS, 1000 / timed.TokensPerS));
            log($"{length} tokens a row, rank {rank}: {timed.TokensPerS:f0} tokens a second");
        }
    }
}

public sealed record ScaleFigures(IReadOnlyList<ScaleFigure> Costs);

/// <param name="Length">Tokens of a row, all of them learnt but the first.</param>
/// <param name="Rows">Of a step.</param>
public sealed record ScaleFigure(int Length, int Rank, int Rows, double TokensPerS, double MsPerToken);
