using System.Runtime.InteropServices;
using Hone.Formats.Jobs;
using Hone.Formats.Safetensors;
using Hone.Formats.TrainingData;
using Hone.Training.Lora;
using Hone.Training.Training;
using static TorchSharp.torch;

namespace Hone.Training.Tests.Model;

[Trait("Category", "Reference")]
[Trait("Category", "Slow")]
public sealed class SmolLm2Tests(EmbeddedBaseFixture fixture) : IClassFixture<EmbeddedBaseFixture>
{
    [Fact]
    public void Logits_Prompts_EqualReference()
    {
        foreach (string path in Reference.Existing("smollm2/logits.safetensors"))
        {
            using SafetensorsFile file = SafetensorsFile.Open(path);
            for (int k = 0; file.Find($"prompt.{k}.ids") is not null; k++)
            {
                using var scope = NewDisposeScope();
                int[] ids = [.. Reference.ReadInt64(file, $"prompt.{k}.ids").Select(i => (int)i)];
                var batch = PackedBatch.Pack([new EncodedRow(1, ids, new bool[ids.Length])]);
                Tensor logits = fixture.Decoder.Logits(fixture.Decoder.Forward(batch, null).narrow(0, ids.Length - 2, 2));
                Reference.AssertClose(
                    Reference.Read(file, $"prompt.{k}.logits"), MemoryMarshal.Cast<byte, float>(logits.bytes), Reference.Read(file, $"prompt.{k}.noise")[0], $"prompt {k}");
            }
        }
    }

    [Fact]
    public void Train_FifteenSteps_EqualReference()
    {
        foreach (string path in Reference.Existing("smollm2/train.safetensors"))
        {
            using SafetensorsFile file = SafetensorsFile.Open(path);
            float[] losses = Reference.Read(file, "loss"), norms = Reference.Read(file, "grad_norm");
            TrainSettings settings = TrainSettings.Resolve(
                new TrainingConfig { Rank = 8, Alpha = 16, TargetModules = ["q_proj", "v_proj"], LearningRate = 1e-3, LrScheduler = "constant", WarmupRatio = 0, WeightDecay = 0.01, MaxGradNorm = 1 },
                fixture.Model.Config, "job", 20, 100, false);
            using LoraAdapter adapter = PeftAdapter.Create(settings, fixture.Model, fixture.Decoder);
            foreach (LoraMatrices module in adapter.Matrices())
            {
                Load(module.A, $"adapter.0.base_model.model.{module.Name}.lora_A.weight");
                Load(module.B, $"adapter.0.base_model.model.{module.Name}.lora_B.weight");
            }
            using var optimizer = new AdamW(adapter.Parameters.numel(), settings.WeightDecay);
            var trainer = new Trainer(fixture.Decoder, adapter, optimizer, settings, [], []);
            double lossNoise = Reference.Read(file, "noise.loss")[0], normNoise = Reference.Read(file, "noise.grad_norm")[0];
            for (int step = 1; step <= losses.Length; step++)
            {
                StepResult result = trainer.Step(step, Reference.Rows(file, $"batch.{(step - 1) % 5}."));
                Reference.AssertClose([losses[step - 1]], [(float)result.Loss], lossNoise, $"loss of step {step}");
                Reference.AssertClose([norms[step - 1]], [(float)result.GradNorm], normNoise, $"gradient norm of step {step}");
            }
            foreach (LoraMatrices module in adapter.Matrices())
            {
                Compare(module.A, $"adapter.{losses.Length}.base_model.model.{module.Name}.lora_A.weight");
                Compare(module.B, $"adapter.{losses.Length}.base_model.model.{module.Name}.lora_B.weight");
            }

            void Load(Tensor target, string name) => Reference.Read(file, name).CopyTo(MemoryMarshal.Cast<byte, float>(target.bytes));

            void Compare(Tensor actual, string name) => Reference.AssertClose(
                Reference.Read(file, name), MemoryMarshal.Cast<byte, float>(actual.bytes), Reference.Read(file, "noise." + name)[0], name, k: 24);
        }
    }
}
