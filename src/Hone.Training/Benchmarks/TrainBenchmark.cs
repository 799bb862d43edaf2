using System.Diagnostics;
using System.Text.Json;
using System.Text.Json.Serialization;
using Hone.Formats.Models;
using Hone.Formats.TrainingData;
using Hone.Training.Devices;
using Hone.Training.Kernels;
using Hone.Training.Processes;
using static TorchSharp.torch;

namespace Hone.Training.Benchmarks;

/// <summary>
/// <c>hone bench train</c>: LoRA steps of rank 8 on all linear layers, beside this machine's rate of matrix products at the model's shapes and beside
/// <see cref="PlainTrainer"/>, all in turns in one run so that a noisy neighbour slows each of them.
/// </summary>
public static class TrainBenchmark
{
    private const int RowsPerStep = 4;
    private const int SharedRowsPerStep = 8;
    private const int LongRow = 256;
    private const int SharedPrompt = 400;
    private const int ProductTokens = 1024;
    private const int ProductRounds = 8;

    /// <summary>Of each kind of step, so many times fewer are measured than of the shortest.</summary>
    private const int LongShare = 4, PlainShare = 8, SharedPlainShare = 20;

    /// <summary>A round is everything once: products, and a share of each kind of step.</summary>
    private const int StepsPerRound = 10;

    public static TrainFigures Run(string modelPath, string rowsPath, int steps, int? threads, string precision, Action<string> log)
    {
        using var bench = new TrainBench(modelPath, rowsPath, threads, precision);
        log($"first step {bench.FirstStepSeconds:f2} s after the process began");
        EncodedRow[] rows = bench.Rows, own = LongRows(bench.Model.Config.VocabularySize), shared = Shared(rows, bench.Model.Config.VocabularySize);
        int rounds = Math.Max(1, steps / StepsPerRound);
        Timed triage = new(rows, RowsPerStep), whole = new(own, RowsPerStep), sharing = new(shared, SharedRowsPerStep), padded = new(rows, RowsPerStep), sharedPadded = new(shared, RowsPerStep);
        double products = 0, productSeconds = 0;
        whole.Run(bench.Step, 1, counts: false);
        sharing.Run(bench.Step, 1, counts: false);
        for (int round = 0; round < rounds; round++)
        {
            Products();
            triage.Run(bench.Step, Share(steps, 1));
            whole.Run(bench.Step, Share(steps, LongShare));
            Products();
            sharing.Run(bench.Step, Share(steps, LongShare));
            log($"round {round + 1} of {rounds}");
        }
        double peak = ChildLifetime.PeakMemoryMb();
        if (PlainTrainer.Takes(bench.Model.Config))
        {
            using var plain = new PlainTrainer(bench.Model.Config, bench.Model.ReadFloat32, bench.Adapter, bench.Settings);
            padded.Run(Plain, 1, counts: false);
            if (steps >= StepsPerRound)
                sharedPadded.Run(Plain, 1, counts: false);
            for (int round = 0; round < rounds; round++)
            {
                padded.Run(Plain, Share(steps, PlainShare));
                triage.Run(bench.Step, Share(steps, LongShare));
                sharedPadded.Run(Plain, Share(steps, SharedPlainShare));
                sharing.Run(bench.Step, Share(steps, PlainShare));
            }

            int Plain(int step, IReadOnlyList<EncodedRow> batch)
            {
                set_num_threads(Cores.Count);
                plain.Step(step, batch);
                set_num_threads(1);
                return batch.Count * batch.Max(r => r.Tokens.Length);
            }
        }
        TrainingDevice? place = TrainingDevice.Find();
        Timed deviceTriage = new(rows, RowsPerStep), deviceWhole = new(own, RowsPerStep), deviceSharing = new(shared, SharedRowsPerStep);
        if (place?.Device is { } device)
        {
            log($"{place.Name}: {place.Why}");
            using var there = new DeviceBench(bench, device, place.Precision.Precision);
            foreach ((Timed timed, int share) in new[] { (deviceTriage, 1), (deviceWhole, LongShare), (deviceSharing, LongShare) })
            {
                timed.Run(there.Step, 2, counts: false);
                timed.Run(there.Step, Math.Max(1, steps / share));
            }
        }
        else if (place is not null)
            log($"no device: {place.Why}");
        double gflops = products / productSeconds / 1e9;
        return new TrainFigures(gflops, 4.0 * bench.Model.Parameters * whole.TokensPerS / 1e9 / gflops, whole.TokensPerS, triage.RowsPerS, padded.Measured?.RowsPerS, triage.RowsPerS / padded.Measured?.RowsPerS,
            sharing.RowsPerS, sharedPadded.Measured?.RowsPerS, sharing.RowsPerS / sharedPadded.Measured?.RowsPerS, peak, bench.FirstStepSeconds, Cores.Count, steps)
        {
            Precision = bench.Precision.Name,
            Device = place?.Name ?? "cpu",
            DeviceTokensPerS = deviceWhole.Measured?.TokensPerS,
            DeviceRowsPerS = deviceTriage.Measured?.RowsPerS,
            DeviceSharedRowsPerS = deviceSharing.Measured?.RowsPerS,
        };

        int Share(int all, int share) => Math.Max(1, all / share / rounds);

        void Products()
        {
            (double flops, double seconds) = TrainBenchmark.Products(bench.Model.Config);
            products += flops;
            productSeconds += seconds;
        }
    }

    /// <summary>Where a step's time goes, on the calling thread: on the example's rows, and on rows of 256 tokens that share nothing.</summary>
    public static ProfileFigures RunProfile(string modelPath, string rowsPath, int steps, int? threads, string precision, Action<string> log)
    {
        using var bench = new TrainBench(modelPath, rowsPath, threads, precision);
        EncodedRow[] own = LongRows(bench.Model.Config.VocabularySize);
        int longSteps = Math.Max(1, steps / LongShare);
        IReadOnlyDictionary<Operation, double> triage = Of(new Timed(bench.Rows, RowsPerStep), steps);
        log("the example's rows are measured");
        IReadOnlyDictionary<Operation, double> whole = Of(new Timed(own, RowsPerStep), longSteps);
        return new ProfileFigures([.. triage.OrderByDescending(o => o.Value).Select(o => new OperationFigure(
            JsonNamingPolicy.SnakeCaseLower.ConvertName(o.Key.ToString()), 1000 * o.Value / steps, 100 * o.Value / triage.Values.Sum(), 1000 * whole[o.Key] / longSteps, 100 * whole[o.Key] / whole.Values.Sum()))]);

        IReadOnlyDictionary<Operation, double> Of(Timed timed, int count)
        {
            timed.Run(bench.Step, 2, counts: false);
            Profile.Start();
            timed.Run(bench.Step, count);
            return Profile.Stop();
        }
    }

    /// <summary>Rows of 256 random tokens, each of them learnt but the first.</summary>
    internal static EncodedRow[] LongRows(int vocabulary, int count = 64, int length = LongRow)
    {
        var random = new SplitMix64(1, "tokens");
        return [.. Enumerable.Range(1, count).Select(line => new EncodedRow(line, Tokens(length, vocabulary, ref random), [.. Enumerable.Range(0, length).Select(t => t > 0)]))];
    }

    /// <summary>The same rows with a system prompt of 400 tokens in the place of what they all begin with.</summary>
    internal static EncodedRow[] Shared(EncodedRow[] rows, int vocabulary)
    {
        int common = rows.Min(r => r.Tokens.AsSpan().CommonPrefixLength(rows[0].Tokens));
        var random = new SplitMix64(1, "system prompt");
        int[] prompt = Tokens(SharedPrompt, vocabulary, ref random);
        return [.. rows.Select(r => new EncodedRow(r.Line, [.. prompt, .. r.Tokens[common..]], [.. new bool[SharedPrompt], .. r.Trained[common..]]))];
    }

    private static int[] Tokens(int count, int vocabulary, ref SplitMix64 random)
    {
        int[] tokens = new int[count];
        for (int i = 0; i < count; i++)
            tokens[i] = random.NextInt(vocabulary);
        return tokens;
    }

    /// <summary>
    /// Products of a few layers' shapes as a forward pass calls them, by the vendor's library on all cores and by Hone's own kernel: the faster one is the machine's rate.
    /// </summary>
    private static (double Flops, double Seconds) Products(ModelConfig config)
    {
        using var scope = NewDisposeScope();
        int heads = (config.Heads + 2 * config.KeyValueHeads) * config.HeadDim;
        (int In, int Out)[] shapes = [(config.HiddenSize, heads), (config.Heads * config.HeadDim, config.HiddenSize), (config.HiddenSize, 2 * config.IntermediateSize), (config.IntermediateSize, config.HiddenSize)];
        var products = shapes.Select(s => (X: rand(ProductTokens, s.In), W: rand(s.Out, s.In), Y: empty(ProductTokens, s.Out))).ToArray();
        double flops = shapes.Sum(s => 2.0 * ProductTokens * s.In * s.Out) * ProductRounds;
        set_num_threads(Cores.Count);
        double vendor = Seconds(p => nn.functional.linear(p.X, p.W).Dispose());
        set_num_threads(1);
        double own = Seconds(p => MatrixProduct.Run(Matrix.Of(p.Y), false, new ProductTerm(Matrix.Of(p.X), Matrix.Of(p.W), Transposed: true)));
        return (flops, Math.Min(vendor, own));

        double Seconds(Action<(Tensor X, Tensor W, Tensor Y)> product)
        {
            foreach (var p in products)
                product(p);
            long began = Stopwatch.GetTimestamp();
            for (int round = 0; round < ProductRounds; round++)
            {
                foreach (var p in products)
                    product(p);
            }
            return Stopwatch.GetElapsedTime(began).TotalSeconds;
        }
    }
}

/// <param name="GemmGflops">float32 matrix products at the model's shapes with 1,024 tokens, 10⁹ operations a second.</param>
/// <param name="Efficiency">(4 × parameters × tokens a second) ÷ GEMM rate, on 4 rows of 256 tokens that share nothing and are learnt whole.</param>
/// <param name="TokensPerS">On these rows.</param>
/// <param name="RowsPerS">On the example's rows with the model's default system prompt, 4 rows a step.</param>
/// <param name="PaddedRowsPerS"><see cref="PlainTrainer"/> on the same steps; null for a family that it does not know.</param>
/// <param name="SharedRowsPerS">On rows that share a system prompt of 400 tokens, 8 rows a step.</param>
/// <param name="SharedPaddedRowsPerS"><see cref="PlainTrainer"/> on these rows, 4 a step: a padded row costs the same beside any others, and 8 of them with all logits take 10 GB.</param>
/// <param name="PeakMb">Of Hone's own steps.</param>
/// <param name="FirstStepS">From the process's start to the end of the first step.</param>
/// <param name="Steps">Measured of the shortest kind; of longer ones fewer.</param>
public sealed record TrainFigures(
    double GemmGflops, double Efficiency, double TokensPerS, double RowsPerS, double? PaddedRowsPerS, double? RowsRatio, double SharedRowsPerS, double? SharedPaddedRowsPerS, double? SharedRowsRatio,
    double PeakMb, double FirstStepS, int Threads, int Steps)
{
    /// <summary>How the base lay in memory.</summary>
    public required string Precision { get; init; }

    /// <summary>What trainings here run on; the other figures are the CPU's all the same.</summary>
    public required string Device { get; init; }

    /// <summary><see cref="TokensPerS"/> there, in the precision that trainings get there.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public double? DeviceTokensPerS { get; init; }

    /// <summary><see cref="RowsPerS"/> there.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public double? DeviceRowsPerS { get; init; }

    /// <summary><see cref="SharedRowsPerS"/> there.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public double? DeviceSharedRowsPerS { get; init; }
}

public sealed record ProfileFigures(IReadOnlyList<OperationFigure> Operations);

/// <param name="Ms">Of a step of 4 of the example's rows.</param>
/// <param name="LongMs">Of a step of 4 rows of 256 tokens.</param>
public sealed record OperationFigure(string Operation, double Ms, double Percent, double LongMs, double LongPercent);
