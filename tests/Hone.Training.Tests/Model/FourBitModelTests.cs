using Hone.Formats.Models;
using Hone.Training.Kernels;
using Hone.Training.Model;
using Hone.Training.Training;

namespace Hone.Training.Tests.Model;

/// <summary>A base in four-bit blocks computes what an ordinary model with the blocks' values computes, bit for bit; and only linear layers are rounded.</summary>
public sealed class FourBitModelTests
{
    [Theory]
    [InlineData("llama", "nf4", false)]
    [InlineData("llama", "nf4", true)]
    [InlineData("llama", "fp4", true)]
    [InlineData("gemma", "nf4", true)]      // tied
    [InlineData("phi3", "nf4", false)]      // fused projections
    [InlineData("qwen2", "nf4", false)]     // biases
    [InlineData("mistral-nemo", "nf4", true)]
    [InlineData("mixtral", "nf4", false)]   // experts
    public void ForwardBackward_InBlocks_SameBitsAsTheirValues(string name, string precision, bool doubleQuant)
    {
        using TinyModel rounded = TinyModel.Of(name, BasePrecision.Of(precision, doubleQuant));
        var blocks = new FourBitWeights(rounded.Weights, BasePrecision.Of(precision, doubleQuant));
        using Decoder values = DecoderLoader.Load(rounded.Config, blocks.Read);
        using Decoder original = DecoderLoader.Load(rounded.Weights, BasePrecision.Float32);
        PackedBatch batch = TinyModel.Batch(5, rounded.Config.VocabularySize);
        float[] expected = TinyModel.LossAndGradients(values, rounded.Adapter(3), batch);
        Assert.Equal(expected, TinyModel.LossAndGradients(rounded.Decoder, rounded.Adapter(3), batch));
        Assert.NotEqual(expected, TinyModel.LossAndGradients(original, rounded.Adapter(3), batch));
    }

    /// <summary>As Transformers has it: every nn.Linear of the blocks; not the head, not the embedding.</summary>
    [Fact]
    public void NamesOf_Llama_AreTheLayersLinearWeights()
    {
        using TinyModel model = TinyModel.Llama();
        string[] names = [.. FourBitWeights.NamesOf(model.Weights)];
        Assert.Equal(7 * model.Config.Layers, names.Length);
        Assert.All(names, n => Assert.Matches(@"^model\.layers\.\d+\.(self_attn\.[qkvo]_proj|mlp\.(gate|up|down)_proj)\.weight$", n));
    }

    /// <summary>Also row by row, as answers are computed.</summary>
    [Fact]
    public void Logits_RowByRow_SameBitsAsTheirValues()
    {
        BasePrecision nf4 = BasePrecision.Of("nf4", true);
        using TinyModel rounded = TinyModel.Llama(nf4);
        using Decoder values = DecoderLoader.Load(rounded.Config, new FourBitWeights(rounded.Weights, nf4).Read);
        PackedBatch batch = TinyModel.Batch(1, rounded.Config.VocabularySize);
        using RowProduct.Use use = RowProduct.Begin();
        Assert.Equal(Reference.Floats(values.Forward(batch, null)).ToArray(), Reference.Floats(rounded.Decoder.Forward(batch, null)).ToArray());
    }
}
