using Hone.Formats.Jobs;
using Hone.Training.Devices;
using Hone.Training.Lora;
using Hone.Training.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace Hone.Training.Tests.Devices;

/// <summary>The library's operations and its tape beside the decoder's own kernels, which the references hold: whatever an adapter can be made of.</summary>
[Trait("Category", "Device")]
public sealed class DeviceDecoderTests
{
    private static readonly TrainingConfig s_plain = new() { Rank = 4, Alpha = 8, Seed = 1 };

    public static TheoryData<string, string> Forms => new()
    {
        { "llama", "everything" },
        { "gemma2", "whole" },       // tied, scaled embeddings, capped logits
        { "granite", "whole" },      // tied, with multipliers
        { "qwen2", "everything" },   // biases of the base, which DoRA does not scale
        { "phi3", "everything" },    // fused projections
        { "olmo3", "dropout" },
        { "mixtral", "everything" }, // frozen experts
        { "llama", "some" },         // nothing adapted in the first layer
    };

    [Theory]
    [MemberData(nameof(Forms))]
    public void ForwardBackward_EveryFormOfAdapter_EqualsOwnKernels(string family, string form)
    {
        if (!TestDevice.DrawsAsCpu)
            Assert.SkipWhen(form is "dropout" or "everything", "the device draws other masks");
        using TinyModel model = TinyModel.Of(family);
        TrainingConfig config = form switch
        {
            "whole" => s_plain with { LoraBias = true, ModulesToSave = ["embed_tokens", "lm_head"] },
            "dropout" => s_plain with { Dropout = 0.3, UseRslora = true },
            "some" => s_plain with { LayersToTransform = [1], TargetModules = ["q_proj", "v_proj", "down_proj"] },
            _ => s_plain with { UseDora = true, LoraBias = true, Dropout = 0.2, ModulesToSave = ["lm_head"] },
        };
        TrainSettings settings = TrainSettings.Resolve(config, model.Config, "job", 3, 9, preferencePairs: false);
        PackedBatch batch = TinyModel.Batch(4, model.Config.VocabularySize);
        using var device = new DeviceDecoder(model.Decoder, TestDevice.Device);
        using LoraAdapter own = Adapter(), other = Adapter();
        LabelLoss expected = model.Decoder.ForwardBackward(batch, own, batch.TotalWeight), actual = device.ForwardBackward(batch, other, batch.TotalWeight);
        Assert.Equal(expected.Loss, actual.Loss, 1e-5 * expected.Loss);
        Assert.Equal(expected.Correct, actual.Correct);
        Assert.All(expected.OfLabels.Zip(actual.OfLabels), pair => Assert.Equal(pair.First, pair.Second, 1e-5 * expected.Loss));
        foreach ((string name, Tensor e, Tensor a) in Gradients(own).Zip(Gradients(other), (e, a) => (e.Name, e.Gradient, a.Gradient)))
        {
            double length = e.norm().ToDouble(), difference = (e - a).norm().ToDouble();
            Assert.True(length > 0 && difference <= 2e-5 * length, $"{family} {name}: ‖Δ‖ {difference:g3}, ‖X‖ {length:g3}");
        }
        Assert.Equal(model.Decoder.Loss(batch, own, 1).Loss, device.Loss(batch, other, 1).Loss, 1e-5 * expected.Loss * batch.TotalWeight);

        LoraAdapter Adapter()
        {
            LoraAdapter adapter = PeftAdapter.Create(settings, model.Weights, model.Decoder);
            model.Decoder.Start(adapter, 3);
            adapter.DropoutSeed = 7;
            var random = new Random(4);
            foreach (ref float value in Reference.Floats(adapter.Parameters))
                value += (random.NextSingle() - 0.5f) * 0.1f;
            return adapter;
        }
    }

    private static IEnumerable<(string Name, Tensor Gradient)> Gradients(LoraAdapter adapter)
    {
        foreach (LoraMatrices module in adapter.Matrices())
        {
            foreach ((string kind, Tensor? gradient) in new[] { ("A", module.GradA), ("B", module.GradB), ("bias", module.GradBias), ("magnitude", module.GradMagnitude) })
            {
                if (gradient is not null)
                    yield return ($"{module.Name} {kind}", gradient);
            }
        }
        foreach (WholeMatrix whole in new[] { adapter.Embedding, adapter.Head }.OfType<WholeMatrix>())
            yield return (whole.Name, whole.Gradient!);
    }
}
