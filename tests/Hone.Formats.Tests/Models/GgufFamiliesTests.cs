using System.Runtime.InteropServices;
using Hone.Formats.Gguf;
using Hone.Formats.Models;
using Hone.Formats.Tests.Gguf;

namespace Hone.Formats.Tests.Models;

/// <summary>A model of each family as a converter would store it, and the same model from its Hugging Face folder.</summary>
public sealed class GgufFamiliesTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("llama", "llama")]
    [InlineData("llama3", "llama")]
    [InlineData("qwen2", "qwen2")]
    [InlineData("qwen3", "qwen3")]
    [InlineData("gemma", "gemma")]
    [InlineData("gemma2", "gemma2")]
    [InlineData("gemma3", "gemma3")]
    [InlineData("phi3", "phi3")]
    [InlineData("smollm3", "smollm3")]
    [InlineData("olmo2", "olmo2")]
    [InlineData("granite", "granite")]
    public void Open_ConvertedModel_EqualsItsFolder(string model, string architecture)
    {
        using ModelWeights source = ModelWeights.Open(Path.Combine(References.Own("models"), model));
        ModelConfig config = source.Config;
        string path = _folder.Write("model.gguf", Convert(source, architecture).Build());
        using ModelWeights converted = ModelWeights.Open(path);

        // What the files do not say, llama.cpp knows by family: these small models differ there.
        ModelConfig expected = config with
        {
            SlidingLayers = converted.Config.SlidingLayers,
            RotaryLayers = converted.Config.RotaryLayers,
            AttentionMultiplier = converted.Config.AttentionMultiplier,
            Activation = converted.Config.Activation,
            RopeScaling = model == "llama3" ? converted.Config.RopeScaling : config.RopeScaling,
        };
        Assert.Equal(expected, converted.Config);
        Assert.Equal(config.RopeOf(0)!.Frequencies(config.RotaryDim, config.ContextLength, 10), converted.Config.RopeOf(0)!.Frequencies(config.RotaryDim, config.ContextLength, 10), (a, b) => Math.Abs(a - b) <= 1e-6f * a);
        Assert.Equal(source.Tensors.Select(t => t.Name), converted.Tensors.Select(t => t.Name));
        foreach (NamedShape tensor in source.Tensors)
        {
            Assert.Equal(ModelWeightsTests.Values(source, tensor), ModelWeightsTests.Values(converted, tensor), (a, b) => Math.Abs(a - b) <= 1e-6f);
            Assert.Equal(ModelWeightsTests.Values(converted, tensor), ModelWeightsTests.InParts(converted, tensor));
        }
    }

    [Fact]
    public void Open_Gemma3WithItsOwnPattern_HasEverySixthLayerGlobal()
    {
        using ModelWeights source = ModelWeights.Open(Path.Combine(References.Own("models"), "gemma3"));
        using ModelWeights converted = ModelWeights.Open(_folder.Write("model.gguf", Convert(source, "gemma3").Build()));
        Assert.Equal(new int?[] { 7, 7, 7, 7 }, Enumerable.Range(0, 4).Select(converted.Config.WindowOf));
        Assert.Equal(0.25, converted.Config.AttentionScale);
        Assert.Equal(Activation.GeluTanh, converted.Config.Activation);
    }

    [Theory]
    [InlineData("llama.rope.scaling.type", "spiral", "rotary scaling 'spiral' (llama.rope.scaling.type)")]
    [InlineData("llama.attention.sliding_window", 16u, "a sliding window (llama.attention.sliding_window)")]
    [InlineData("llama.attention.scale", 0.3f, "a factor that llama models do not have (llama.attention.scale)")]
    [InlineData("llama.final_logit_softcapping", 30f, "a factor that llama models do not have (llama.final_logit_softcapping)")]
    [InlineData("llama.attention.causal", false, "tokens that see those behind them (llama.attention.causal)")]
    [InlineData("llama.expert_count", 8u, "a mixture of experts")]
    [InlineData("general.architecture", "mamba", "the architecture 'mamba'")]
    public void Open_WhatIsNotSupported_IsRefusedByItsKey(string key, object value, string message)
    {
        string path = _folder.Write("model.gguf", GgufBuilder.TinyLlama().Set(key, value).Build());
        Assert.Contains(message, Assert.Throws<InvalidFileException>(() => ModelWeights.Open(path)).Message, StringComparison.Ordinal);
    }

    /// <summary>The converters' changes: query and key rows of llama in neighbouring pairs, 1 added to gemma's norms, rotary factors as a table.</summary>
    private static GgufBuilder Convert(ModelWeights source, string architecture)
    {
        ModelConfig config = source.Config;
        GgufBuilder builder = new GgufBuilder()
            .Set("general.architecture", architecture)
            .Set($"{architecture}.block_count", (uint)config.Layers)
            .Set($"{architecture}.context_length", (uint)config.ContextLength)
            .Set($"{architecture}.embedding_length", (uint)config.HiddenSize)
            .Set($"{architecture}.feed_forward_length", (uint)config.IntermediateSize)
            .Set($"{architecture}.attention.head_count", (uint)config.Heads)
            .Set($"{architecture}.attention.head_count_kv", (uint)config.KeyValueHeads)
            .Set($"{architecture}.attention.key_length", (uint)config.HeadDim)
            .Set($"{architecture}.attention.value_length", (uint)config.HeadDim)
            .Set($"{architecture}.rope.dimension_count", (uint)config.RotaryDim)
            .Set($"{architecture}.rope.freq_base", (float)config.RopeTheta)
            .Set($"{architecture}.attention.layer_norm_rms_epsilon", (float)config.NormEpsilon);
        if (config.SlidingWindow is { } window)
            builder.Set($"{architecture}.attention.sliding_window", (uint)window);
        if (config.AttentionSoftcap is { } attentionCap)
            builder.Set($"{architecture}.attn_logit_softcapping", (float)attentionCap);
        if (config.LogitSoftcap is { } logitCap)
            builder.Set($"{architecture}.final_logit_softcapping", (float)logitCap);
        if (config.RopeScaling is { Kind: RopeKind.Linear } linear)
            builder.Set($"{architecture}.rope.scaling.type", "linear").Set($"{architecture}.rope.scaling.factor", (float)linear.Factor);
        if (config.RopeScaling is { Kind: RopeKind.Llama3 } llama3)
        {
            float[] plain = new RopeConfig(config.RopeTheta, null).Frequencies(config.RotaryDim, config.ContextLength, 1), scaled = new RopeConfig(config.RopeTheta, llama3).Frequencies(config.RotaryDim, config.ContextLength, 1);
            Add("rope_freqs.weight", [plain.Length], [.. plain.Zip(scaled, (p, s) => p / s)]);
        }
        if (architecture == "granite")
        {
            builder.Set("granite.attention.scale", (float)config.AttentionMultiplier!.Value).Set("granite.embedding_scale", (float)config.EmbeddingMultiplier)
                .Set("granite.residual_scale", (float)config.ResidualMultiplier).Set("granite.logit_scale", (float)(1 / config.LogitMultiplier));
        }
        foreach (ModelTensor tensor in ModelTensors.Of(config))
        {
            float[] values = ModelWeightsTests.Values(source, new NamedShape(tensor.Name, tensor.Shape));
            if (architecture.StartsWith("gemma", StringComparison.Ordinal) && tensor.Norm)
                values = Array.ConvertAll(values, v => v + 1);
            if (tensor.PermutedHeads > 0)
                values = Permuted(values, tensor.PermutedHeads, (int)tensor.Shape[0], values.Length / (int)tensor.Shape[0]);
            Add(tensor.GgufName!, tensor.Shape, values);
        }
        return builder;

        void Add(string name, long[] shape, float[] values) =>
            builder.Tensor(name, (uint)GgmlType.F32, [.. shape.Reverse().Select(s => (ulong)s)], MemoryMarshal.AsBytes(values.AsSpan()).ToArray());
    }

    private static float[] Permuted(float[] values, int heads, int rows, int width)
    {
        var result = new float[values.Length];
        int half = rows / heads / 2;
        for (int head = 0; head < heads; head++)
        {
            for (int part = 0; part < 2; part++)
            {
                for (int pair = 0; pair < half; pair++)
                    values.AsSpan(((head * 2 + part) * half + pair) * width, width).CopyTo(result.AsSpan((head * 2 * half + pair * 2 + part) * width));
            }
        }
        return result;
    }
}
