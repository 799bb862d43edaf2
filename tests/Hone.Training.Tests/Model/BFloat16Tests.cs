using Hone.Formats.Jobs;
using Hone.Formats.Models;
using Hone.Formats.Safetensors;
using Hone.Formats.TrainingData;
using Hone.Training.Kernels;
using Hone.Training.Lora;
using Hone.Training.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace Hone.Training.Tests.Model;

/// <summary>
/// Products in bfloat16 beside PyTorch's float64 numbers, within bfloat16's own tolerance: 8 bits of mantissa are a relative error of 2⁻⁹ for each rounding.
/// </summary>
[Trait("Category", "Reference")]
public sealed class BFloat16Tests
{
    /// <summary>‖Δ‖ / ‖X‖ of logits and of all gradients together; of each of ten losses.</summary>
    private const double LogitTolerance = 0.02, GradientTolerance = 0.04, LossTolerance = 0.005;

    [Theory]
    [Trait("Category", "Device")]
    [InlineData("llama")]
    [InlineData("llama-dora")]
    [InlineData("gemma2")]
    [InlineData("qwen2")]
    [InlineData("qwen3")]
    [InlineData("phi3")]
    [InlineData("olmo2")]
    [InlineData("llama-dora", true)]
    [InlineData("gemma2", true)]
    [InlineData("qwen3_moe", true)]
    public void Train_TenSteps_StaysNearReference(string name, bool onDevice = false)
    {
        foreach (string path in Reference.Existing($"models/{name}/reference.safetensors"))
        {
            using SafetensorsFile file = SafetensorsFile.Open(path);
            using var model = new TinyModel(Path.GetDirectoryName(path)!, BasePrecision.Of("bfloat16"));
            using TestDecoder decoder = TestDecoder.Of(model, onDevice);
            using LoraAdapter adapter = model.ReferenceAdapter(file);
            EncodedRow[] rows = Reference.Rows(file, "");
            PackedBatch batch = PackedBatch.Pack(rows);
            float[] expected = Reference.Read(file, "lora.logits"), actual = Reference.Floats(decoder.Logits(batch, adapter)).ToArray();
            int width = model.Config.VocabularySize, length = expected.Length / width / rows.Length;
            var places = rows.SelectMany((row, r) => row.Tokens.Select((_, t) => (Expected: (r * length + t) * width, Actual: batch.RowTokens[r][t] * width))).ToArray();
            Near([.. places.SelectMany(p => expected[p.Expected..(p.Expected + width)])], [.. places.SelectMany(p => actual[p.Actual..(p.Actual + width)])], LogitTolerance, $"{name}: logits");

            adapter.Gradients!.zero_();
            decoder.Training.ForwardBackward(batch, adapter, batch.TotalWeight);
            LoraMatrices[] matrices = [.. adapter.Matrices()];
            Near(
                [.. matrices.SelectMany(m => Reference.Read(file, $"grad.base_model.model.{m.Name}.lora_A.weight").Concat(Reference.Read(file, $"grad.base_model.model.{m.Name}.lora_B.weight")))],
                [.. matrices.SelectMany(m => Reference.Floats(m.GradA!).ToArray().Concat(Reference.Floats(m.GradB!).ToArray()))], GradientTolerance, $"{name}: gradients");

            float[] losses = Reference.Read(file, "train.loss"), rates = Reference.Read(file, "train.learning_rate");
            using var optimizer = new AdamW(adapter.Parameters.numel(), 0.01);
            for (int step = 1; step <= losses.Length; step++)
            {
                TrainSettings settings = TrainSettings.Resolve(
                    new TrainingConfig { LearningRate = rates[step - 1], LrScheduler = "constant", WarmupRatio = 0, WeightDecay = 0.01, MaxGradNorm = 1 }, model.Config, "job", 3, 1, false);
                double loss = new Trainer(decoder.Training, adapter, optimizer, settings, [], []).Step(step, rows).Loss;
                Assert.True(Math.Abs(loss - losses[step - 1]) <= LossTolerance * losses[step - 1], $"{name}: the loss of step {step} is {loss}, the reference has {losses[step - 1]}");
            }
        }
    }

    /// <summary>Rounded to the nearest, ties to even, as PyTorch does; and widened back exactly.</summary>
    [Fact]
    public unsafe void Round_AnyFloat_IsTheLibrarysBFloat16()
    {
        var random = new Random(3);
        float[] values = [0, -0f, 1, 1.00390625f, 1.01171875f, -1.00390625f, float.MaxValue, float.Epsilon, float.NaN, float.PositiveInfinity, .. Enumerable.Range(0, 500).Select(_ => BitConverter.Int32BitsToSingle(random.Next())).Where(float.IsFinite)];
        int nan = Array.IndexOf(values, float.NaN);
        using Tensor expected = tensor(values).to(bfloat16), rounded = empty(values.Length, dtype: bfloat16), back = expected.to(float32);
        BrainProduct.Round(values, (ushort*)Matrix.AddressOf(rounded));
        byte[] bytes = expected.bytes.ToArray(), own = rounded.bytes.ToArray();
        Assert.Equal(bytes[..(2 * nan)], own[..(2 * nan)]);
        Assert.Equal(bytes[(2 * nan + 2)..], own[(2 * nan + 2)..]);
        var widened = new float[values.Length];
        BrainProduct.Widen((ushort*)Matrix.AddressOf(rounded), widened);
        Assert.True(float.IsNaN(widened[nan]));
        Assert.Equal(Reference.Floats(back).ToArray(), widened);
    }

    [Theory]
    [InlineData(1, 96, 160)]
    [InlineData(57, 64, 33)]
    [InlineData(217, 576, 960)]
    public void Run_AnyShape_IsTheProductOfTheRoundedValues(int rows, int depth, int columns)
    {
        Cores.Use(3);
        using var scope = NewDisposeScope();
        using var generator = new Generator(3);
        Tensor x = randn([rows, depth], generator: generator), w = randn([columns, depth], generator: generator), dy = randn([rows, columns], generator: generator);
        using var brain = new BrainMatrix(w.to(bfloat16));
        Tensor wide = brain.Values.to(float64), y = ones(rows, columns), dx = empty(rows, depth);
        MatrixProduct.Run(Matrix.Of(y), true, new ProductTerm(Matrix.Of(x), brain, Transposed: true, 0.5f));
        MatrixProduct.Run(Matrix.Of(dx), false, new ProductTerm(Matrix.Of(dy), brain, Transposed: false));
        Assert.InRange((x.to(bfloat16).to(float64).matmul(wide.t()).Times(0.5).PlusInPlace(1) - y).norm().ToDouble(), 0, 4e-3 * y.norm().ToDouble());
        Assert.InRange((dy.to(bfloat16).to(float64).matmul(wide) - dx).norm().ToDouble(), 0, 4e-3 * dx.norm().ToDouble());
    }

    private static void Near(float[] expected, float[] actual, double tolerance, string what)
    {
        double difference = 0, norm = 0;
        for (int i = 0; i < expected.Length; i++)
        {
            difference += Math.Pow((double)expected[i] - actual[i], 2);
            norm += Math.Pow(expected[i], 2);
        }
        double share = Math.Sqrt(difference / norm);
        Assert.True(share <= tolerance, $"{what}: ‖Δ‖ / ‖X‖ is {share:g3}, allowed is {tolerance}");
        Assert.True(share > 1e-5, $"{what}: ‖Δ‖ / ‖X‖ is {share:g3}: these are not bfloat16 products");
    }
}
