using Hone.Formats.Jobs;
using Hone.Formats.Models;
using Hone.Formats.Safetensors;
using Hone.Formats.TrainingData;
using Hone.Training.Lora;
using Hone.Training.Training;
using static TorchSharp.torch;

namespace Hone.Training.Tests.Model;

/// <summary>Tiny random models: logits, loss, every gradient and ten AdamW steps against PyTorch and PEFT.</summary>
[Trait("Category", "Reference")]
public sealed class TinyModelTests
{
    /// <summary>Every folder of references.</summary>
    public static TheoryData<string> Models =>
        [.. Reference.Folders("models").SelectMany(Directory.GetDirectories).Where(f => File.Exists(Path.Combine(f, "reference.safetensors"))).Select(f => Path.GetFileName(f)!).Distinct().Order(StringComparer.Ordinal)];

    [Theory]
    [MemberData(nameof(Models))]
    public void Train_TenSteps_EqualReference(string name) => Compare(name, BasePrecision.Float32);

    /// <summary>The same through the library's operations and its tape, as a device computes them.</summary>
    [Theory]
    [Trait("Category", "Device")]
    [MemberData(nameof(Models))]
    public void Train_TenStepsOnDevice_EqualReference(string name) => Compare(name, BasePrecision.Float32, onDevice: true);

    /// <summary>A model whose linear weights are four-bit values already: rounding them again changes nothing.</summary>
    [Fact]
    public void Train_TenStepsInFourBitBlocks_EqualReference() => Compare("llama-qlora", BasePrecision.Of("nf4"));

    private static void Compare(string name, BasePrecision precision, bool onDevice = false)
    {
        foreach (string path in Reference.Files($"models/{name}/reference.safetensors"))
        {
            using SafetensorsFile file = SafetensorsFile.Open(path);
            using var model = new TinyModel(Path.GetDirectoryName(path)!, precision);
            using TestDecoder decoder = TestDecoder.Of(model, onDevice);
            const string Prefix = "base_model.model.";
            using LoraAdapter adapter = model.ReferenceAdapter(file);
            EncodedRow[] rows = Reference.Rows(file, "");
            CompareLogits(null, "logits");
            CompareLogits(adapter, "lora.logits");

            PackedBatch batch = PackedBatch.Pack(rows);
            LabelLoss first = decoder.Training.ForwardBackward(batch, adapter, batch.TotalWeight);
            float[] losses = Reference.Read(file, "train.loss"), norms = Reference.Read(file, "train.grad_norm"), rates = Reference.Read(file, "train.learning_rate");
            Reference.AssertClose([losses[0]], [(float)first.Loss], Noise("train.loss"), "loss");
            foreach (LoraMatrices module in adapter.Matrices())
            {
                Compare(module.GradA!, $"grad.{Prefix}{module.Name}.lora_A.weight");
                Compare(module.GradB!, $"grad.{Prefix}{module.Name}.lora_B.weight");
                if (module.GradMagnitude is not null)
                    Compare(module.GradMagnitude, $"grad.{Prefix}{module.Name}.lora_magnitude_vector.weight");
            }

            using var optimizer = new AdamW(adapter.Parameters.numel(), 0.01);
            for (int step = 1; step <= losses.Length; step++)
            {
                TrainSettings settings = TrainSettings.Resolve(
                    new TrainingConfig { LearningRate = rates[step - 1], LrScheduler = "constant", WarmupRatio = 0, WeightDecay = 0.01, MaxGradNorm = 1 }, model.Config, "job", 3, 1, false);
                StepResult result = new Trainer(decoder.Training, adapter, optimizer, settings, [], []).Step(step, rows);
                Reference.AssertClose([losses[step - 1]], [(float)result.Loss], Noise("train.loss"), $"loss of step {step}");
                Reference.AssertClose([norms[step - 1]], [(float)result.GradNorm], Noise("train.grad_norm"), $"gradient norm of step {step}");
            }
            foreach (LoraMatrices module in adapter.Matrices())
            {
                Compare(module.A, $"adapter.10.{Prefix}{module.Name}.lora_A.weight", 24);
                Compare(module.B, $"adapter.10.{Prefix}{module.Name}.lora_B.weight", 24);
                if (module.Magnitude is not null)
                    Compare(module.Magnitude, $"adapter.10.{Prefix}{module.Name}.lora_magnitude_vector.weight", 24);
            }
            CompareLogits(adapter, "trained.logits", 24);

            double Noise(string tensor) => Reference.Read(file, "noise." + tensor)[0];

            void Compare(Tensor actual, string tensor, double k = 8) => Reference.AssertClose(Reference.Read(file, tensor), Reference.Floats(actual), Noise(tensor), $"{name} {tensor}", k);

            void CompareLogits(LoraAdapter? with, string tensor, double k = 8)
            {
                using var scope = NewDisposeScope();
                float[] expected = Reference.Read(file, tensor);
                PackedBatch packed = PackedBatch.Pack(rows);
                float[] actual = Reference.Floats(decoder.Logits(packed, with)).ToArray();
                int width = model.Config.VocabularySize, length = expected.Length / width / rows.Length;
                for (int r = 0; r < rows.Length; r++)
                {
                    for (int t = 0; t < rows[r].Tokens.Length; t++)
                    {
                        Reference.AssertClose(
                            expected.AsSpan((r * length + t) * width, width), actual.AsSpan(packed.RowTokens[r][t] * width, width), Noise(tensor), $"{name} {tensor} row {r} token {t}", k);
                    }
                }
            }
        }
    }
}
