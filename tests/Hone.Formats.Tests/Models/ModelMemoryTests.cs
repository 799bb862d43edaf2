using Hone.Formats.Models;

namespace Hone.Formats.Tests.Models;

public sealed class ModelMemoryTests
{
    /// <summary>D 48, F 80, H 4, K 2, d 12, V 160, two layers.</summary>
    private static ModelConfig Small => new()
    {
        Architecture = "llama",
        Layers = 2,
        HiddenSize = 48,
        Heads = 4,
        KeyValueHeads = 2,
        HeadDim = 12,
        IntermediateSize = 80,
        VocabularySize = 160,
        RopeTheta = 10_000,
        NormEpsilon = 1e-5,
        ContextLength = 256,
        TiedEmbeddings = true,
    };

    private static readonly LinearModule[] s_adapted = [new("model.layers.0.self_attn.q_proj", 48, 48), new("model.layers.1.mlp.down_proj", 80, 48)];

    private static readonly AdapterSize s_adapter = new(s_adapted, 8, false, []);

    private static readonly PassSize s_pass = new(100, 20, 100 * 50, 100);

    [Fact]
    public void OfTraining_SmallModel_FollowsTheShapes()
    {
        MemoryUse use = Of(Small, file: 1_000);
        long layer = 48 * 48 * 2 + 24 * 48 * 2 + 3 * 80 * 48 + 2 * 48;
        Assert.Equal(4 * (160 * 48 + 2 * layer + 48), use.Weights);
        Assert.Equal(1_000, use.File);
        Assert.Equal(8 * (48 + 48) + 8 * (80 + 48), ModelMemory.TrainableParameters(s_adapted, 8));
        Assert.Equal(4 * 4 * (8 * 96 + 8 * 128), use.Adapter);
        Assert.Equal(4 * (100 * (48 + 96 + 48 + 48 + 160 + 16) + 2 * 4 * 100 * 50), use.Tokens);
        Assert.Equal(4 * (100 * (4 * 80 + 7 * 48 + 48 + 96) + 2 * 24 * 100), use.Work); // of the first layer
        long ofLast = 100 * (48 + 96) + 90 * (48 + 48 + 160), through = 100 * (3 * 48 + 48 + 96) + 2 * 24 * 100 + 90 * 4 * (80 + 48);
        Assert.Equal(4 * (ofLast + through), Of(Small, s_pass with { Labels = 90 }).Work); // of the last one, which keeps some of its own
        Assert.Equal(4 * 1_000 * (3 * 80 + 5 * 48 + 48 + 96), Of(Small, evaluated: 1_000) is var evaluated ? evaluated.Work + evaluated.Tokens : 0);
        Assert.Equal(use.Weights + use.File + use.Adapter + use.Tokens + use.Work + ModelMemory.Runtime, use.Total);
    }

    [Fact]
    public void OfTraining_WhatFamiliesAndSettingsAdd_IsCounted()
    {
        MemoryUse plain = Of(Small), many = Of(Small, s_pass with { Labels = 5_000 });
        Assert.Equal(4 * 100 * 2 * 48, Of(Small with { BlockNorms = BlockNorms.Both }).Tokens - plain.Tokens);
        Assert.Equal(4 * (100 * (2 * 48 + 96 + 48 + 160) + ModelMemory.ChunkLabels * 160 + 4 * 5_000 * 48), many.Work); // more than a layer's backward pass
        Assert.Equal(4 * ModelMemory.ChunkLabels * 160, Of(Small with { LogitSoftcap = 30 }, s_pass with { Labels = 5_000 }).Work - many.Work);
        Assert.Equal(4 * 160 * 48, Of(Small with { TiedEmbeddings = false }).Weights - plain.Weights);
        Assert.Equal(4 * 100 * (48 + 48), Of(Small, adapter: s_adapter with { Dora = true }).Tokens - plain.Tokens);
        Assert.Equal(4 * 4 * (48 + 48), Of(Small, adapter: s_adapter with { Dora = true }).Adapter - plain.Adapter);
        Assert.Equal(4 * 4 * 160 * 48, Of(Small, adapter: s_adapter with { Whole = [new("lm_head", 48, 160)] }).Adapter - plain.Adapter);
        Assert.Equal(4 * 2 * 80 * 48, Of(Small, precision: "as_stored").Weights);
        Assert.Equal(0, Of(Small, precision: "as_stored", hasParts: true).Weights);
        Assert.Equal(4 * 2 * 80 * 48, Of(Small, adapter: s_adapter with { Dora = true }, precision: "as_stored", hasParts: true).Weights);
        var experts = new ExpertConfig { Count = 4, PerToken = 2, IntermediateSize = 30, Normalize = true, Module = "mlp", Names = ["gate_proj", "up_proj", "down_proj"], Layers = [true, false] };
        Assert.Equal(4 * 100 * 2 * 80, plain.Tokens - Of(Small with { Experts = experts }).Tokens); // experts keep nothing
    }

    [Fact]
    public void OfTraining_PrecisionsAndRecomputing_FollowTheShapes()
    {
        long linear = 2 * (48 * 48 * 2 + 24 * 48 * 2 + 3 * 80 * 48), others = 160 * 48 + 5 * 48, blocks = linear / 64;
        Assert.Equal(4 * (linear + others), Of(Small, precision: "float32").Weights);
        Assert.Equal(2 * linear + 4 * others, Of(Small, precision: "bfloat16").Weights);
        Assert.Equal(linear / 2 + 4 * blocks, Of(Small, precision: "nf4").Weights);
        Assert.Equal(linear / 2 + blocks + 4 * blocks / 256, Of(Small, precision: "fp4", doubleQuant: true).Weights);
        MemoryUse plain = Of(Small, precision: "float32"), recomputed = Of(Small, precision: "float32", recompute: true);
        Assert.Equal(plain with { Tokens = 4 * 100 * 48, Work = plain.Work + plain.Tokens }, recomputed);
    }

    [Fact]
    public void PassSize_Rows_MeetTheirOwnKeysBlockByBlock() => Assert.Equal(new PassSize(600, 7, 2 * (256 * 256 + 44 * 300), 2 * (256 + 300)), PassSize.Of(2, 300, 7));

    [Fact]
    public void OfServing_Cache_IsOfWholePages()
    {
        MemoryUse use = ModelMemory.OfServing(Small, 0, [], 0, answers: 3, tokens: 130, hasParts: true);
        Assert.Equal(ModelMemory.KeptBeginnings + 4 * 3 * 160 * 2 * 2 * 2 * 12, use.Tokens);
        Assert.Equal(0, use.Adapter);
        Assert.Equal(4 * (8 * 96 + 8 * 128), ModelMemory.OfServing(Small, 0, s_adapted, 8, 1, 100, hasParts: true).Adapter);
    }

    private static MemoryUse Of(
        ModelConfig config, PassSize? pass = null, AdapterSize? adapter = null, long file = 0, string precision = "float32", bool doubleQuant = false, bool recompute = false,
        bool hasParts = false, int evaluated = 0) => ModelMemory.OfTraining(config, file, adapter ?? s_adapter, pass ?? s_pass, evaluated, BasePrecision.Of(precision, doubleQuant), recompute, hasParts);
}
