using Hone.Training.Lora;
using Hone.Training.Model;
using Hone.Training.Training;

namespace Hone.Training.Tests.Model;

/// <summary>What the backward pass computes again is what the forward pass had: loss and gradients are the same bits.</summary>
public sealed class RecomputeTests
{
    [Theory]
    [InlineData("llama", 0)]
    [InlineData("llama", 0.2)]
    [InlineData("gemma2", 0)]        // norms behind the halves, soft caps, windows
    [InlineData("qwen3", 0)]         // head norms
    [InlineData("phi3", 0.1)]        // fused projections
    [InlineData("qwen3_moe", 0)]     // experts
    [InlineData("llama", 0.2, true)]
    [InlineData("qwen3_moe", 0, true)]
    public void ForwardBackward_Recomputing_SameBits(string name, double dropout, bool onDevice = false)
    {
        using TinyModel model = TinyModel.Of(name);
        using TestDecoder decoder = TestDecoder.Of(model, onDevice);
        PackedBatch batch = TinyModel.Batch(5, model.Config.VocabularySize);
        float[] kept = Run(model, decoder.Training, batch, dropout, recomputes: false);
        Assert.Equal(kept, Run(model, decoder.Training, batch, dropout, recomputes: true));
        Assert.Contains(kept, g => g != 0);
    }

    private static float[] Run(TinyModel model, TrainingDecoder decoder, PackedBatch batch, double dropout, bool recomputes)
    {
        LoraAdapter adapter = model.Adapter(3, dropout);
        adapter.DropoutSeed = 5;
        decoder.Recomputes = recomputes;
        return TinyModel.LossAndGradients(decoder, adapter, batch);
    }
}
