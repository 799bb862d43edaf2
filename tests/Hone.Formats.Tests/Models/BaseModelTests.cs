using System.Diagnostics;
using Hone.Formats.Gguf;
using Hone.Formats.Models;

namespace Hone.Formats.Tests.Models;

public sealed class BaseModelTests
{
    [Fact]
    public void Open_EmbeddedBase_HasConfigNamesAndShapes()
    {
        using BaseModel model = BaseModel.Open(References.EmbeddedBase);
        Assert.Equal(
            new ModelConfig
            {
                Architecture = "llama",
                Layers = 30,
                HiddenSize = 576,
                Heads = 9,
                KeyValueHeads = 3,
                HeadDim = 64,
                IntermediateSize = 1536,
                VocabularySize = 49152,
                RopeTheta = 100_000,
                NormEpsilon = 1e-5,
                ContextLength = 8192,
                TiedEmbeddings = true,
            },
            model.Config);
        Assert.Equal("Q4_1", model.Quantization);
        Assert.Equal(134_515_008, model.Parameters); // as Transformers counts
        Assert.Equal("<|im_start|>", model.BosToken);
        Assert.Equal("<|im_end|>", model.EosToken);
        Assert.Equal([2], model.StopTokens);
        Assert.Equal(272, model.Tensors.Count);
        Assert.Equal(210, model.LinearModules.Count);
        Assert.Contains(new LinearModule("model.layers.29.self_attn.k_proj", 576, 192), model.LinearModules);
        Assert.Contains(new LinearModule("model.layers.0.mlp.down_proj", 1536, 576), model.LinearModules);
    }

    [Fact]
    public void ReadFloat32_QueryRows_ComeInHuggingFaceOrder()
    {
        using BaseModel model = BaseModel.Open(References.EmbeddedBase);
        using GgufFile file = GgufFile.Open(References.EmbeddedBase);
        foreach ((string name, string stored, int heads) in new[] { ("q", "q", 9), ("k", "k", 3) })
        {
            var expected = new float[heads * 64 * 576];
            var values = new float[expected.Length];
            file.ReadFloat32($"blk.3.attn_{stored}.weight", values);
            for (int head = 0; head < heads; head++)
            {
                for (int pair = 0; pair < 32; pair++)
                {
                    for (int part = 0; part < 2; part++)
                        values.AsSpan((head * 64 + pair * 2 + part) * 576, 576).CopyTo(expected.AsSpan((head * 64 + part * 32 + pair) * 576));
                }
            }
            model.ReadFloat32($"model.layers.3.self_attn.{name}_proj.weight", values);
            Assert.Equal(expected, values);
        }
    }

    [Fact]
    [Trait("Category", "Slow")]
    public void ReadFloat32_WholeModel_IsFiniteAndFast()
    {
        using BaseModel model = BaseModel.Open(References.EmbeddedBase);
        var buffers = model.Tensors.Select(t => (t.Name, Values: new float[t.Shape.Aggregate(1L, (a, b) => a * b)])).ToList();
        var best = TimeSpan.MaxValue;
        for (int run = 0; run < 3; run++)
        {
            long start = Stopwatch.GetTimestamp();
            foreach ((string name, float[] values) in buffers)
                model.ReadFloat32(name, values);
            TimeSpan elapsed = Stopwatch.GetElapsedTime(start);
            best = elapsed < best ? elapsed : best;
        }
        TestContext.Current.TestOutputHelper!.WriteLine($"whole model: {best.TotalMilliseconds:0} ms");
        Assert.All(buffers, b => Assert.True(Array.TrueForAll(b.Values, float.IsFinite), b.Name));
        Assert.True(best < TimeSpan.FromSeconds(3), $"{best.TotalSeconds:0.00} s"); // 0.1 s where the machine is quiet
    }
}
