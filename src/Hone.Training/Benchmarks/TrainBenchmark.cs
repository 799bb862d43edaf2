using System.Diagnostics;
using Hone.Formats.Jobs;
using Hone.Formats.Models;
using Hone.Formats.TrainingData;
using Hone.Training.Kernels;
using Hone.Training.Lora;
using Hone.Training.Model;
using Hone.Training.Processes;
using Hone.Training.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace Hone.Training.Benchmarks;

/// <summary>
/// <c>hone bench train</c>: LoRA steps of rank 8 on all linear layers, 4 rows a step, beside this machine's rate of matrix products at the model's shapes,
/// measured in turns in one run so that a noisy neighbour slows both.
/// </summary>
public static class TrainBenchmark
{
    private const int RowsPerStep = 4;
    private const int ProductTokens = 1024;
    private const int ProductRounds = 8;

    public static TrainFigures Run(string modelPath, string rowsPath, int steps, int? threads, bool asStored, Action<string> log)
    {
        Cores.Use(threads ?? Environment.ProcessorCount);
        using BaseModel model = BaseModel.Open(modelPath);
        RowEncoder encoder = RowEncoder.For(model, new TrainingConfig());
        EncodedRow[] rows = [.. RowReader.Read(rowsPath).SelectMany(r => encoder.Encode(r).Rows)];
        using Decoder decoder = DecoderLoader.Load(model, asStored);
        TrainSettings settings = TrainSettings.Resolve(
            new TrainingConfig { Rank = 8, Alpha = 16, BatchSize = RowsPerStep, LearningRate = 1e-4, Seed = 1 }, model.Config, "bench", rows.Length, rows.Sum(r => (long)r.TrainedTokens), false);
        using LoraAdapter adapter = PeftAdapter.Create(settings, model, decoder);
        adapter.Initialize(1);
        using var optimizer = new AdamW(adapter.Parameters.numel(), settings.WeightDecay);
        var trainer = new Trainer(decoder, adapter, optimizer, settings, rows, []);
        trainer.Step(1, trainer.RowsOf(1));
        double firstStep = (TimeProvider.System.GetUtcNow().UtcDateTime - Process.GetCurrentProcess().StartTime.ToUniversalTime()).TotalSeconds;
        log($"first step {firstStep:f2} s after the process began");

        double products = 0, productSeconds = 0, trainSeconds = 0;
        long tokens = 0, trainedRows = 0;
        for (int step = 2; step <= steps + 1; step++)
        {
            if ((step - 2) % 5 == 0)
            {
                (double flops, double seconds) = Products(model.Config);
                products += flops;
                productSeconds += seconds;
            }
            IReadOnlyList<EncodedRow> batch = trainer.RowsOf((step - 1) % settings.Steps + 1);
            long began = Stopwatch.GetTimestamp();
            int computed = trainer.Step(step, batch).Tokens;
            trainSeconds += Stopwatch.GetElapsedTime(began).TotalSeconds;
            tokens += computed;
            trainedRows += batch.Count;
        }
        double gflops = products / productSeconds / 1e9, rate = tokens / trainSeconds;
        return new TrainFigures(
            gflops, rate, trainedRows / trainSeconds, 4.0 * model.Parameters * rate / 1e9 / gflops, ChildLifetime.PeakMemoryMb(), firstStep, Cores.Count, steps);
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
/// <param name="TokensPerS">Tokens computed: a prefix that rows of a step share counts once.</param>
/// <param name="Efficiency">(4 × parameters × tokens a second) ÷ GEMM rate.</param>
/// <param name="FirstStepS">From the process's start to the end of the first step.</param>
public sealed record TrainFigures(double GemmGflops, double TokensPerS, double RowsPerS, double Efficiency, double PeakMb, double FirstStepS, int Threads, int Steps);
