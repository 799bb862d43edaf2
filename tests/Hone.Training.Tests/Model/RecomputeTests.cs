using Hone.Formats.TrainingData;
using Hone.Training.Lora;
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
    public void ForwardBackward_Recomputing_SameBits(string name, double dropout)
    {
        string folder = Path.GetDirectoryName(Reference.Existing($"models/{name}/reference.safetensors")[0])!;
        using var model = new TinyModel(folder);
        PackedBatch batch = PackedBatch.Pack([.. Enumerable.Range(0, 5).Select(i => Row(i, model.Config.VocabularySize))]);
        float[] kept = Run(model, batch, dropout, recomputes: false);
        Assert.Equal(kept, Run(model, batch, dropout, recomputes: true));
        Assert.Contains(kept, g => g != 0);
    }

    private static float[] Run(TinyModel model, PackedBatch batch, double dropout, bool recomputes)
    {
        using LoraAdapter adapter = model.Adapter(3, dropout);
        adapter.DropoutSeed = 5;
        adapter.Gradients!.zero_();
        model.Decoder.Recomputes = recomputes;
        LabelLoss loss = model.Decoder.ForwardBackward(batch, adapter, batch.TotalWeight);
        return [(float)loss.Loss, .. Reference.Floats(adapter.Gradients)];
    }

    private static EncodedRow Row(int index, int vocabulary)
    {
        var random = new SplitMix64(index, "row");
        int[] tokens = [1, 2, 3, .. Enumerable.Range(0, 6 + index).Select(_ => random.NextInt(vocabulary))];
        return new EncodedRow(index + 1, tokens, [.. tokens.Select((_, i) => i > 2)]);
    }
}
