using Hone.Formats.Models;
using Hone.Training.Lora;
using Hone.Training.Model;
using Hone.Training.Training;

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
        using TinyModel widened = TinyModel.Of(name);
        using TinyModel stored = TinyModel.Of(name, BasePrecision.AsStored);
        PackedBatch batch = TinyModel.Batch(5, widened.Config.VocabularySize);
        Assert.Equal(TinyModel.LossAndGradients(widened.Decoder, widened.Adapter(3), batch), TinyModel.LossAndGradients(stored.Decoder, stored.Adapter(3), batch));
    }

    /// <summary>Blocks of a GGUF file, rotary rows in llama.cpp's order, a head that is widened in several blocks; less memory held.</summary>
    [Fact]
    [Trait("Category", "Slow")]
    public void ForwardBackward_EmbeddedBaseAsStored_SameBits()
    {
        using BaseModel model = BaseModel.Open(Reference.EmbeddedBase);
        PackedBatch batch = TinyModel.Batch(3, model.Config.VocabularySize);
        float[][] results = [.. new[] { false, true }.Select(asStored =>
        {
            using Decoder decoder = DecoderLoader.Load(model, asStored);
            var modules = decoder.Projections.SelectMany(p => p.Modules.Select(m => (m.Name, Shape: new LoraModuleShape(p.In, m.Out, 4, 2.0)))).ToDictionary(m => m.Name, m => m.Shape);
            var adapter = new LoraAdapter(decoder.Projections, modules, trainable: true);
            adapter.Initialize(5);
            return TinyModel.LossAndGradients(decoder, adapter, batch);
        })];
        Assert.Equal(results[0], results[1]);
    }
}
