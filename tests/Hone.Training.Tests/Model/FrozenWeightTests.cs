using Hone.Formats.Models;
using Hone.Formats.TrainingData;
using Hone.Training.Lora;
using Hone.Training.Model;
using Hone.Training.Training;
using static TorchSharp.torch;

namespace Hone.Training.Tests.Model;

/// <summary>A base that stays as its file stores it gives the numbers of one that is widened, bit for bit.</summary>
public sealed class FrozenWeightTests
{
    [Theory]
    [InlineData("llama")]            // F32
    [InlineData("llama-v5-config")]  // F16
    [InlineData("mistral-nemo")]     // BF16
    [InlineData("gemma")]            // tied, embedding scaled
    [InlineData("phi3")]             // fused projections
    [InlineData("qwen2")]            // biases
    [InlineData("mixtral")]          // experts
    [InlineData("qwen3_moe")]
    public void ForwardBackward_AsStored_SameBits(string name)
    {
        string folder = Path.GetDirectoryName(Reference.Existing($"models/{name}/reference.safetensors")[0])!;
        using var widened = new TinyModel(folder);
        using var stored = new TinyModel(folder, BasePrecision.AsStored);
        PackedBatch batch = PackedBatch.Pack([.. Enumerable.Range(0, 5).Select(i => Row(i, widened.Config.VocabularySize))]);
        Assert.Equal(Run(widened.Decoder, widened.Adapter(3), batch), Run(stored.Decoder, stored.Adapter(3), batch));
    }

    /// <summary>Blocks of a GGUF file, rotary rows in llama.cpp's order, a head that is widened in several blocks; less memory held.</summary>
    [Fact]
    [Trait("Category", "Slow")]
    public void ForwardBackward_EmbeddedBaseAsStored_SameBits()
    {
        using BaseModel model = BaseModel.Open(Reference.EmbeddedBase);
        PackedBatch batch = PackedBatch.Pack([.. Enumerable.Range(0, 3).Select(i => Row(i, model.Config.VocabularySize))]);
        float[][] results = [.. new[] { false, true }.Select(asStored =>
        {
            using Decoder decoder = DecoderLoader.Load(model, asStored);
            var modules = decoder.Projections.SelectMany(p => p.Modules.Select(m => (m.Name, Shape: new LoraModuleShape(p.In, m.Out, 4, 2.0)))).ToDictionary(m => m.Name, m => m.Shape);
            var adapter = new LoraAdapter(decoder.Projections, modules, trainable: true);
            adapter.Initialize(5);
            return Run(decoder, adapter, batch);
        })];
        Assert.Equal(results[0], results[1]);
    }

    /// <summary>The loss, then every gradient.</summary>
    private static float[] Run(Decoder decoder, LoraAdapter adapter, PackedBatch batch)
    {
        using (adapter)
        {
            adapter.Gradients!.zero_();
            LabelLoss loss = decoder.ForwardBackward(batch, adapter, batch.TotalWeight);
            return [(float)loss.Loss, .. Reference.Floats(adapter.Gradients)];
        }
    }

    private static EncodedRow Row(int index, int vocabulary)
    {
        var random = new SplitMix64(index, "row");
        int[] tokens = [1, 2, 3, .. Enumerable.Range(0, 6 + index).Select(_ => random.NextInt(vocabulary))];
        return new EncodedRow(index + 1, tokens, [.. tokens.Select((_, i) => i > 2)]);
    }
}
