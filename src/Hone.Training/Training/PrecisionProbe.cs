using System.Diagnostics;
using System.Globalization;
using System.Security.Cryptography;
using System.Text.Json;
using System.Text.Json.Serialization;
using Hone.Formats.Files;
using Hone.Formats.Models;
using Hone.Formats.TrainingData;
using Hone.Training.Kernels;
using Hone.Training.Lora;
using Hone.Training.Model;
using static TorchSharp.torch;

namespace Hone.Training.Training;

/// <summary>
/// What <c>precision: auto</c> comes to: bfloat16 where (1) the training is long enough for a check to pay, (2) products at the model's shapes and the step's size are
/// faster in it, and (3) twenty short steps on the job's own rows are faster too and their losses lie within 1 % of float32's; else float32. Kept for the machine and
/// the model, so that later jobs pay nothing.
/// </summary>
internal static class PrecisionProbe
{
    private const int Steps = 20;
    private const int RowTokens = 64;

    /// <summary>A training that computes fewer tokens than this many checks is not probed.</summary>
    private const int Checks = 64;

    /// <summary>Products must be so much faster; and each loss must lie so near, relative to float32's.</summary>
    public const double Gain = 1.2, LossTolerance = 0.01;

    /// <summary>Products run in turns until both this many rounds and this time are over; the best round counts.</summary>
    private const int ProductRounds = 4;

    private const double ProductSeconds = 0.1;

    private const int MaxProductTokens = 1024;

    private static readonly BasePrecision s_brain = new(WeightForm.BFloat16);

    /// <param name="settings">Of the job; their precision is left to Hone.</param>
    /// <param name="cache">Where results are kept; null: nowhere.</param>
    /// <param name="checksLosses">Without, what products show is taken for the answer: an estimate.</param>
    public static PrecisionChoice Choose(BaseModel model, TrainSettings settings, EncodedRowFile rows, ProbeCache? cache, bool checksLosses, CancellationToken cancellation)
    {
        long tokens = rows.Tokens * settings.Epochs;
        if (tokens < (long)Checks * Steps * 2 * RowTokens * settings.RowsAnItem)
            return new PrecisionChoice(BasePrecision.Float32, string.Create(CultureInfo.InvariantCulture, $"the reference; {tokens:N0} tokens are too few for a check of bfloat16 to pay"));
        if (cache?.Find() is { } known)
            return known;
        PrecisionChoice choice = Choose(model, settings, rows, checksLosses, cancellation);
        if (checksLosses)
            cache?.Keep(choice);
        return choice;
    }

    private static PrecisionChoice Choose(BaseModel model, TrainSettings settings, EncodedRowFile rows, bool checksLosses, CancellationToken cancellation)
    {
        int step = (int)Math.Clamp(rows.Tokens / Math.Max(1, rows.Count) * settings.BatchSize * settings.RowsAnItem, 16, MaxProductTokens);
        (double single, double brain) = Products(model.Config, step);
        string products = string.Create(CultureInfo.InvariantCulture, $"products of {step} tokens run at {single:f0} GFLOP/s in float32 and {brain:f0} in bfloat16");
        if (brain < Gain * single)
            return new PrecisionChoice(BasePrecision.Float32, products);
        if (!checksLosses)
            return new PrecisionChoice(s_brain, products + "; a training checks its losses too");
        EncodedRow[] some = ShortRows(settings, rows);
        (double[] exact, double exactSeconds) = Train(model, settings, some, BasePrecision.Float32, cancellation);
        (double[] rounded, double roundedSeconds) = Train(model, settings, some, s_brain, cancellation);
        double difference = exact.Zip(rounded, (e, r) => double.IsFinite(r) ? Math.Abs(r - e) / Math.Abs(e) : double.PositiveInfinity).Max();
        string steps = string.Create(CultureInfo.InvariantCulture,
            $"{products}, a short step takes {exactSeconds * 1000:f0} and {roundedSeconds * 1000:f0} ms, and of {Steps} losses the farthest lies {100 * difference:f2} % off");
        return new PrecisionChoice(roundedSeconds < exactSeconds && difference <= LossTolerance ? s_brain : BasePrecision.Float32, steps);
    }

    /// <summary>An item a step, each row the part that ends with its last learnt token.</summary>
    private static EncodedRow[] ShortRows(TrainSettings settings, EncodedRowFile rows) =>
        [.. Enumerable.Range(0, Steps * settings.RowsAnItem).Select(i => rows[i % rows.Count]).Select(row =>
        {
            int end = row.Trained.AsSpan().LastIndexOf(true) + 1, start = Math.Max(0, end - RowTokens);
            bool[] trained = row.Trained[start..end];
            if (trained.Length > 0)
                trained[0] = false;
            return new EncodedRow(row.Line, row.Tokens[start..end], trained);
        })];

    /// <returns>The loss of each step, and the seconds of a middling one.</returns>
    private static (double[] Losses, double Seconds) Train(BaseModel model, TrainSettings settings, EncodedRow[] rows, BasePrecision precision, CancellationToken cancellation)
    {
        using Decoder decoder = DecoderLoader.Load(model.Weights, precision);
        using LoraAdapter adapter = PeftAdapter.Create(settings, model, decoder);
        decoder.Start(adapter, settings.Seed);
        using var optimizer = new AdamW(adapter.Parameters.numel(), settings.WeightDecay);
        var trainer = new Trainer(decoder, adapter, optimizer, settings, rows, []);
        double[] losses = new double[Steps], seconds = new double[Steps];
        for (int step = 0; step < Steps; step++)
        {
            cancellation.ThrowIfCancellationRequested();
            long began = Stopwatch.GetTimestamp();
            losses[step] = trainer.Step(step + 1, rows[(step * settings.RowsAnItem)..((step + 1) * settings.RowsAnItem)]).Loss;
            seconds[step] = Stopwatch.GetElapsedTime(began).TotalSeconds;
        }
        return (losses, seconds.Order().ElementAt(Steps / 2));
    }

    /// <summary>10⁹ operations a second of a layer's products, forward and back, in float32 and in bfloat16.</summary>
    public static (double Float32, double BFloat16) Products(ModelConfig config, int tokens)
    {
        using var scope = NewDisposeScope();
        int width = (config.Heads + 2 * config.KeyValueHeads) * config.HeadDim;
        (int In, int Out)[] shapes = [(config.HiddenSize, width), (config.HiddenSize, 2 * config.IntermediateSize), (config.IntermediateSize, config.HiddenSize)];
        double flops = 0, single = 0, brain = 0;
        foreach ((int input, int output) in shapes)
        {
            Tensor x = rand(tokens, input), w = rand(output, input), y = rand(tokens, output);
            using var rounded = new BrainMatrix(w.to(bfloat16));
            flops += 4e-9 * tokens * input * output;
            (double bestSingle, double bestBrain) = (double.PositiveInfinity, double.PositiveInfinity);
            long began = Stopwatch.GetTimestamp();
            // In turns, so that a noisy neighbour slows both; the first round warms up.
            for (int round = 0; round <= ProductRounds || Stopwatch.GetElapsedTime(began).TotalSeconds < ProductSeconds; round++)
            {
                (double ofSingle, double ofBrain) = (Seconds(x, Matrix.Of(w), y), Seconds(x, rounded, y));
                if (round > 0)
                    (bestSingle, bestBrain) = (Math.Min(bestSingle, ofSingle), Math.Min(bestBrain, ofBrain));
            }
            single += bestSingle;
            brain += bestBrain;
        }
        return (flops / single, flops / brain);
    }

    private static double Seconds(Tensor x, Operand weight, Tensor y)
    {
        long began = Stopwatch.GetTimestamp();
        MatrixProduct.Run(Matrix.Of(y), false, new ProductTerm(Matrix.Of(x), weight, Transposed: true));
        MatrixProduct.Run(Matrix.Of(x), false, new ProductTerm(Matrix.Of(y), weight, Transposed: false, 1e-6f));
        return Stopwatch.GetElapsedTime(began).TotalSeconds;
    }
}

/// <summary>Probes' results in a folder, each named by the model, the processor, its threads, the library and the code.</summary>
internal sealed class ProbeCache
{
    private readonly string _path;

    private ProbeCache(string path) => _path = path;

    /// <returns>Null where nothing is kept, or the model's content is not known.</returns>
    public static ProbeCache? Of(string? folder, string? modelSha256) => folder is null || modelSha256 is null ? null : new ProbeCache(Path.Combine(folder, $"{NameOf(modelSha256)}.precision.json"));

    public PrecisionChoice? Find()
    {
        try
        {
            return JsonSerializer.Deserialize(File.ReadAllBytes(_path), ProbeJson.Default.ProbeResult) is { } result && BasePrecision.Names.Contains(result.Precision)
                ? new PrecisionChoice(BasePrecision.Of(result.Precision), $"{result.Why}, as an earlier job found")
                : null;
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException or JsonException)
        {
            return null; // a damaged file is made again
        }
    }

    public void Keep(PrecisionChoice choice)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(_path)!);
        AtomicFile.WriteAllBytes(_path, JsonSerializer.SerializeToUtf8Bytes(new ProbeResult(choice.Precision.Name, choice.Why), ProbeJson.Default.ProbeResult));
    }

    private static string NameOf(string modelSha256)
    {
        string what = $"{modelSha256} {Processor()} {Cores.Count} {__version__} {typeof(PrecisionProbe).Assembly.ManifestModule.ModuleVersionId}";
        return Convert.ToHexStringLower(SHA256.HashData(System.Text.Encoding.UTF8.GetBytes(what)))[..32];
    }

    private static string Processor() => File.Exists("/proc/cpuinfo")
        ? string.Join(' ', File.ReadLines("/proc/cpuinfo").TakeWhile(line => line.Length > 0).Where(line => line.StartsWith("model name", StringComparison.Ordinal) || line.StartsWith("flags", StringComparison.Ordinal)))
        : System.Runtime.InteropServices.RuntimeInformation.ProcessArchitecture.ToString();
}

internal sealed record ProbeResult(string Precision, string Why);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower)]
[JsonSerializable(typeof(ProbeResult))]
internal sealed partial class ProbeJson : JsonSerializerContext;
