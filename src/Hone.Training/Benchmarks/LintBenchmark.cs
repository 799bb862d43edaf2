using System.Diagnostics;
using System.Globalization;
using System.Text;
using Hone.Formats.Models;
using Hone.Formats.TrainingData;
using Hone.Training.Processes;

namespace Hone.Training.Benchmarks;

/// <summary>
/// <c>hone bench lint</c>: the lint of a file of chat rows, all different, of 200 bytes to 5 KB; first of their form alone, then of a smaller file with the base's tokens.
/// </summary>
public static class LintBenchmark
{
    private const int WarmMegabytes = 8;
    private const int TokenMegabytes = 4;

    private static readonly string[] s_words = ["delivery", "the", "order", "please", "tomorrow", "a", "window", "café", "refund", "of", "and", "Straße", "invoice", "不", "to", "shipping", "\\\"quoted\\\"", "line\\nbreak", "was", "I"];

    public static LintFigures Run(string modelPath, int megabytes)
    {
        string folder = Directory.CreateTempSubdirectory("hone-bench-").FullName;
        try
        {
            string warm = Path.Combine(folder, "warm.jsonl"), whole = Path.Combine(folder, "rows.jsonl"), small = Path.Combine(folder, "small.jsonl");
            Write(warm, WarmMegabytes);
            Write(whole, megabytes);
            Write(small, TokenMegabytes);
            Lint(warm, null);
            (LintReport form, double seconds, double coreSeconds) = Lint(whole, null);
            double peak = ChildLifetime.PeakMemoryMb();
            using BaseModel model = BaseModel.Open(modelPath);
            (LintReport tokens, double tokenSeconds, double tokenCoreSeconds) = Lint(small, model);
            return new LintFigures(form.Stats.Bytes / 1e6 / seconds, form.Stats.Bytes / 1e6 / coreSeconds, peak, form.Stats.Bytes / 1e6, (double)form.Stats.Bytes / form.Stats.Rows,
                tokens.Stats.Bytes / 1e6 / tokenSeconds, tokens.Stats.Bytes / 1e6 / tokenCoreSeconds, tokens.Stats.Tokens!.Tokens / tokenCoreSeconds);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static (LintReport Report, double Seconds, double CoreSeconds) Lint(string path, BaseModel? model)
    {
        TimeSpan before = Environment.CpuUsage.TotalTime;
        long began = Stopwatch.GetTimestamp();
        LintReport report = Linter.Lint(new LintRequest { TrainingPath = path, Model = model });
        double seconds = Stopwatch.GetElapsedTime(began).TotalSeconds;
        if (!report.Ok)
            throw new InvalidOperationException(report.Errors[0].ToString());
        return (report, seconds, (Environment.CpuUsage.TotalTime - before).TotalSeconds);
    }

    private static void Write(string path, int megabytes)
    {
        var random = new SplitMix64(1, "lint");
        using var file = new StreamWriter(path, false, new UTF8Encoding(false), 1 << 16);
        long bytes = megabytes * 1_000_000L;
        var row = new StringBuilder();
        for (int number = 0; file.BaseStream.Position < bytes; number++)
        {
            row.Clear().Append("{\"messages\":[");
            if (random.NextDouble() < 0.3)
                row.Append("{\"role\":\"system\",\"content\":\"You answer a shop's customers in a sentence or two.\"},");
            for (int turn = random.NextDouble() < 0.7 ? 1 : 3; turn > 0; turn--)
            {
                row.Append(CultureInfo.InvariantCulture, $"{{\"role\":\"user\",\"content\":\"{number} ");
                Words(row, 8 + (int)(random.NextDouble() * random.NextDouble() * 120), ref random);
                row.Append("\"},{\"role\":\"assistant\",\"content\":\"");
                Words(row, 6 + (int)(random.NextDouble() * random.NextDouble() * 120), ref random);
                row.Append(turn > 1 ? "\"}," : "\"}]}\n");
            }
            file.Write(row);
        }
    }

    private static void Words(StringBuilder to, int count, ref SplitMix64 random)
    {
        for (int i = 0; i < count; i++)
            to.Append(i > 0 ? " " : "").Append(s_words[(int)(random.NextDouble() * s_words.Length)]);
    }
}

/// <param name="MbPerS">Form alone, on one core, 10⁶ bytes a second of the clock.</param>
/// <param name="MbPerCoreS">The same over processor time, the collector's threads included.</param>
/// <param name="PeakMb">Peak resident memory, MiB, of the whole process after that lint.</param>
/// <param name="WithTokensMbPerS">With chat template and tokenizer, on a file of 4 MB.</param>
public sealed record LintFigures(double MbPerS, double MbPerCoreS, double PeakMb, double FileMb, double BytesPerRow, double WithTokensMbPerS, double WithTokensMbPerCoreS, double TokensPerCoreS);
