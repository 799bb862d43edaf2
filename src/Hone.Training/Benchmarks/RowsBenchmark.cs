using System.Diagnostics;
using System.Globalization;
using System.Text;
using Hone.Formats.Jobs;
using Hone.Formats.Models;
using Hone.Training.Kernels;
using Hone.Training.Lora;
using Hone.Training.Model;
using Hone.Training.Processes;
using Hone.Training.Training;
using Decoder = Hone.Training.Model.Decoder;

namespace Hone.Training.Benchmarks;

/// <summary>
/// <c>hone bench rows</c>: files of ever more rows of the same kind. Each is encoded, opened again from the cache, and trained on at places spread over an epoch, all sizes
/// in turns: a token should cost the same in each.
/// </summary>
public static class RowsBenchmark
{
    private const int RowsPerStep = 8;

    private static readonly string[] s_words = ["delivery", "the", "order", "please", "tomorrow", "a", "window", "refund", "of", "and", "invoice", "to", "shipping", "was", "late", "customer", "parcel", "I"];

    public static RowsFigures Run(string modelPath, IReadOnlyList<int> sizes, int steps, int? threads, string precision, Action<string> log)
    {
        Cores.Use(threads ?? Environment.ProcessorCount);
        string folder = Directory.CreateTempSubdirectory("hone-bench-").FullName;
        var opened = new List<TrainingRows>();
        try
        {
            using BaseModel model = BaseModel.Open(modelPath);
            JobSpec[] jobs = [.. sizes.Select(size => Job(folder, size, modelPath))];
            var encoded = new List<(double Seconds, double PeakMb)>();
            Encode(Job(folder, 50, modelPath), model); // compiled from here on
            foreach (JobSpec job in jobs)
            {
                encoded.Add((Encode(job, model), ChildLifetime.PeakMemoryMb()));
                log($"{job.Name} rows encoded");
            }
            using Decoder decoder = DecoderLoader.Load(model.Weights, TrainBench.PrecisionOf(model, precision));
            TrainSettings Settings(TrainingRows rows) => TrainSettings.Resolve(
                new TrainingConfig { Rank = 8, Alpha = 16, BatchSize = RowsPerStep, NEpochs = 1, LearningRate = 1e-4, Seed = 1 }, model.Config, "bench", rows.Rows.Count, rows.Rows.TrainedTokens, false);
            using TrainingRows first = TrainingRows.Read(folder, jobs[0], model, _ => { });
            using LoraAdapter adapter = PeftAdapter.Create(Settings(first), model, decoder);
            adapter.Initialize(1);
            using var optimizer = new AdamW(adapter.Parameters.numel(), 0.01);
            var trainers = new List<(Trainer Trainer, TrainSettings Settings)>();
            var held = new List<(double OpenSeconds, double Mb)>();
            foreach (JobSpec job in jobs)
            {
                long before = GC.GetTotalMemory(forceFullCollection: true), began = Stopwatch.GetTimestamp();
                TrainingRows rows = TrainingRows.Read(folder, job, model, _ => { });
                double seconds = Stopwatch.GetElapsedTime(began).TotalSeconds;
                opened.Add(rows);
                var trainer = new Trainer(decoder, adapter, optimizer, Settings(rows), rows.Rows, []);
                trainer.RowsOf(1);
                trainers.Add((trainer, Settings(rows)));
                held.Add((seconds, (GC.GetTotalMemory(forceFullCollection: true) - before) / (1024.0 * 1024)));
            }
            trainers[0].Trainer.Step(1, trainers[0].Trainer.RowsOf(1));
            var cost = new (double Seconds, long Tokens)[jobs.Length];
            for (int round = 0; round < steps; round++)
            {
                for (int i = 0; i < jobs.Length; i++)
                {
                    long began = Stopwatch.GetTimestamp();
                    int step = 1 + (int)((long)round * trainers[i].Settings.Steps / steps);
                    int tokens = trainers[i].Trainer.Step(round + 2, trainers[i].Trainer.RowsOf(step)).Tokens;
                    cost[i] = (cost[i].Seconds + Stopwatch.GetElapsedTime(began).TotalSeconds, cost[i].Tokens + tokens);
                }
            }
            return new RowsFigures([.. jobs.Select((_, i) => new RowsFigure(
                sizes[i], opened[i].Rows.Tokens, opened[i].Rows.Tokens / encoded[i].Seconds, encoded[i].PeakMb, held[i].OpenSeconds * 1000, held[i].Mb, 1000 * cost[i].Seconds / cost[i].Tokens,
                cost[i].Seconds / cost[i].Tokens / (cost[0].Seconds / cost[0].Tokens)))]);
        }
        finally
        {
            foreach (TrainingRows rows in opened)
                rows.Dispose();
            Directory.Delete(folder, recursive: true);
        }
    }

    /// <returns>Seconds.</returns>
    private static double Encode(JobSpec job, BaseModel model)
    {
        long began = Stopwatch.GetTimestamp();
        TrainingRows.Read("", job, model, _ => { }).Dispose();
        return Stopwatch.GetElapsedTime(began).TotalSeconds;
    }

    private static JobSpec Job(string folder, int rows, string modelPath)
    {
        string path = Path.Combine(folder, $"{rows}.jsonl");
        var random = new SplitMix64(1, "rows");
        using var file = new StreamWriter(path, false, new UTF8Encoding(false), 1 << 16);
        for (int row = 0; row < rows; row++)
            file.Write($$"""{"messages":[{"role":"user","content":"{{row}} {{Words(6 + random.NextInt(10), ref random)}}"},{"role":"assistant","content":"{{Words(3 + random.NextInt(6), ref random)}}"}]}{{'\n'}}""");
        string name = rows.ToString(CultureInfo.InvariantCulture);
        return new JobSpec
        {
            JobId = "bench",
            Fence = 1,
            Name = name,
            ModelId = "bench",
            ModelPath = modelPath,
            ModelSha256 = "bench",
            TrainingData = path,
            Config = new TrainingConfig(),
            CacheFolder = Path.Combine(folder, "cache"),
        };
    }

    private static string Words(int count, ref SplitMix64 random)
    {
        var words = new StringBuilder();
        for (int i = 0; i < count; i++)
            words.Append(i > 0 ? " " : "").Append(s_words[random.NextInt(s_words.Length)]);
        return words.ToString();
    }
}

public sealed record RowsFigures(IReadOnlyList<RowsFigure> Sizes);

/// <param name="EncodePeakMb">Peak resident memory, MiB, of the process so far, before the model's weights are read.</param>
/// <param name="OpenMs">Opening the same rows again from the cache; the file and what was kept are read and hashed.</param>
/// <param name="HeldMb">Managed memory, MiB, of the open rows and of an epoch's order.</param>
/// <param name="MsPerToken">Of training steps spread over an epoch.</param>
/// <param name="CostRatio">That beside the smallest file's.</param>
public sealed record RowsFigure(int Rows, long Tokens, double EncodeTokensPerS, double EncodePeakMb, double OpenMs, double HeldMb, double MsPerToken, double CostRatio);
