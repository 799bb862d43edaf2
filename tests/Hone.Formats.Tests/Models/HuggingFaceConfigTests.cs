using System.Text.Json;
using System.Text.Json.Nodes;
using Hone.Formats.Models;

namespace Hone.Formats.Tests.Models;

public sealed class HuggingFaceConfigTests
{
    [Theory]
    [InlineData("llama", """{"model_type":"mamba"}""", "$.model_type is 'mamba'", "llama, mistral")]
    [InlineData("llama", """{"rope_scaling":{"rope_type":"spiral","factor":2.0}}""", "$.rope_scaling.rope_type is 'spiral'", "not known")]
    [InlineData("llama", """{"rope_scaling":{"type":"ntk","factor":2.0}}""", "$.rope_scaling.type is 'ntk'", "not known")]
    [InlineData("llama", """{"rope_scaling":{"rope_type":"linear"}}""", "$.rope_scaling.factor is missing", "config.json")]
    [InlineData("llama", """{"rope_scaling":{"rope_type":"linear","factor":0}}""", "$.rope_scaling.factor is 0", "above 0")]
    [InlineData("llama", """{"rope_scaling":{"rope_type":"linear","factor":2.0,"mrope_section":[8,8]}}""", "$.rope_scaling.mrope_section is an array of 2", "not understood")]
    [InlineData("llama", """{"rope_scaling":{"rope_type":"linear","factor":2.0},"rope_parameters":{"rope_type":"default"}}""", "$.rope_scaling", "beside rope_parameters")]
    [InlineData("llama", """{"partial_rotary_factor":0.5}""", "partial_rotary_factor", "llama")]
    [InlineData("llama", """{"hidden_act":"relu"}""", "$.hidden_act is 'relu'", "silu, gelu")]
    [InlineData("llama", """{"layer_types":["full_attention","linear_attention"]}""", "$.layer_types[1] is 'linear_attention'", "not known")]
    [InlineData("llama", """{"layer_types":["full_attention"]}""", "$.layer_types is an array of 1", "an array of 2")]
    [InlineData("llama", """{"layer_types":["full_attention","sliding_attention"]}""", "$.layer_types", "no window layers")]
    [InlineData("llama", """{"sliding_window":16}""", "$.sliding_window is 16", "not understood")]
    [InlineData("llama", """{"quantization_config":{"bits":4}}""", "$.quantization_config is an object", "before it was quantised")]
    [InlineData("llama", """{"model_type":"gemma3"}""", "$.model_type is 'gemma3'", "GGUF")]
    [InlineData("llama", """{"activation":"geglu"}""", "$.activation is 'geglu'", "another activation")]
    [InlineData("llama", """{"residual_multiplier":0.5}""", "$.residual_multiplier is 0.5", "not understood")]
    [InlineData("llama", """{"num_attention_heads":"4"}""", "$.num_attention_heads is '4'", "whole number")]
    [InlineData("llama", """{"num_key_value_heads":3}""", "$.num_key_value_heads", "no multiple")]
    [InlineData("llama", """{"rms_norm_eps":null}""", "$.rms_norm_eps is missing", "config.json")]
    [InlineData("llama", """{"tie_word_embeddings":"no"}""", "$.tie_word_embeddings is 'no'", "true or false")]
    [InlineData("mistral", """{"attention_bias":true}""", "$.attention_bias is true", "not understood")]
    [InlineData("qwen2", """{"use_sliding_window":true,"sliding_window":null,"max_window_layers":1,"layer_types":["full_attention","sliding_attention"]}""", "$.layer_types", "no width")]
    [InlineData("gemma2", """{"query_pre_attn_scalar":null}""", "$.query_pre_attn_scalar is missing", "config.json")]
    [InlineData("gemma3", """{"use_bidirectional_attention":true}""", "$.use_bidirectional_attention is true", "behind them")]
    [InlineData("phi3", """{"rope_scaling":{"type":"longrope","short_factor":[1,1,1],"long_factor":[1,1]}}""", "$.rope_scaling.long_factor is an array of 2", "an array of 3")]
    [InlineData("smollm3", """{"no_rope_layers":[1,0,2,0]}""", "$.no_rope_layers[2] is 2", "0 or 1")]
    [InlineData("mixtral", """{"num_experts_per_tok":5}""", "$.num_local_experts is 4", "5 serve a token")]
    [InlineData("qwen3_moe", """{"mlp_only_layers":[2]}""", "$.mlp_only_layers is 2", "0 to 1")]
    public void Read_WhatIsNotSupported_IsRefusedByItsKey(string model, string changes, string key, string why)
    {
        InvalidFileException e = Assert.Throws<InvalidFileException>(() => Read(model, changes));
        Assert.Contains(key, e.Message, StringComparison.Ordinal);
        Assert.Contains(why, e.Message, StringComparison.Ordinal);
        Read(model, "{}");
    }

    [Fact]
    public void Bug_HalfASurrogatePairInAStringCrashes()
    {
        using var folder = new TemporaryFolder();
        InvalidFileException e = Assert.Throws<InvalidFileException>(() => HuggingFaceConfig.Read(folder.Write("config.json", """{"model_type":"llama","hidden_act":"\ud83d"}"""u8)));
        Assert.Contains("the string at byte 35 is not valid Unicode", e.Message, StringComparison.Ordinal);
        e = Assert.Throws<InvalidFileException>(() => HuggingFaceConfig.Read(folder.Write("config.json", [.. "{\"model_type\":\""u8, 0xFF, .. "\"}"u8])));
        Assert.Contains("the string at byte 14 is not valid Unicode", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Read_OldAndNewStyle_AreTheSame()
    {
        ModelConfig old = Read("llama", """{"rope_theta":20000.0,"rope_scaling":{"type":"yarn","factor":4.0,"original_max_position_embeddings":64},"torch_dtype":"float16"}""");
        ModelConfig current = Read("llama", """{"rope_theta":null,"rope_parameters":{"rope_type":"yarn","rope_theta":20000.0,"factor":4.0,"original_max_position_embeddings":64},"torch_dtype":null,"dtype":"float16"}""");
        Assert.Equal(old, current);
        Assert.Equal(0.1 * Math.Log(4) + 1, old.RopeScaling!.Magnitude);
        Assert.Equal(20_000, old.RopeTheta);
    }

    [Fact]
    public void Read_Gemma3_HasLocalAndGlobalRopeInBothStyles()
    {
        ModelConfig old = Read("gemma3", "{}");
        ModelConfig current = Read("gemma3", """
            {"rope_theta":null,"rope_local_base_freq":null,"rope_scaling":null,"sliding_window_pattern":null,
             "layer_types":["sliding_attention","sliding_attention","full_attention","sliding_attention"],
             "rope_parameters":{"full_attention":{"rope_type":"linear","rope_theta":1000000.0,"factor":8.0},"sliding_attention":{"rope_type":"default","rope_theta":10000.0}}}
            """);
        Assert.Equal(old with { SlidingLayers = [] }, current with { SlidingLayers = [] });
        Assert.Equal([true, true, false, true], old.SlidingLayers);
        Assert.Equal(old.SlidingLayers, current.SlidingLayers);
        Assert.Equal(new RopeConfig(10_000, null), old.RopeOf(0));
        Assert.Equal(new RopeConfig(1_000_000, new RopeScaling { Kind = RopeKind.Linear, Factor = 8 }), old.RopeOf(2));
    }

    [Fact]
    public void Read_Windows_FollowEachFamilysRule()
    {
        Assert.Equal([11, 11], Windows(Read("mistral", "{}")));
        Assert.Equal([4096, 4096], Windows(Read("mistral", """{"sliding_window":"absent"}""")));
        Assert.Equal([null, null], Windows(Read("mistral", """{"sliding_window":null}""")));
        Assert.Equal([null, null], Windows(Read("qwen2", "{}")));
        Assert.Equal([null, 32], Windows(Read("qwen2", """{"use_sliding_window":true,"max_window_layers":1}""")));
        Assert.Equal([9, null, 9, null], Windows(Read("gemma2", "{}")));
        Assert.Equal([9, 9, 9, null], Windows(Read("olmo3", """{"layer_types":null}""")));
        Assert.Equal([null, 5, null, 5], Windows(Read("smollm3", """{"use_sliding_window":true,"sliding_window":5}""")));

        static int?[] Windows(ModelConfig config) => [.. Enumerable.Range(0, config.Layers).Select(config.WindowOf)];
    }

    [Fact]
    public void Read_LongRope_TakesItsMagnitudeFromTheContexts()
    {
        ModelConfig config = Read("phi3", """{"max_position_embeddings":4096,"rope_scaling":{"type":"su","short_factor":[1,1,1],"long_factor":[2,3,4]}}""");
        Assert.Equal(RopeKind.LongRope, config.RopeScaling!.Kind);
        Assert.Equal(256, config.RopeScaling.OriginalContext);
        Assert.Equal(Math.Sqrt(1 + Math.Log(16) / Math.Log(256)), config.RopeScaling.Magnitude);
        Assert.Equal(6, config.RotaryDim);
    }

    private static ModelConfig Read(string model, string changes)
    {
        JsonObject config = JsonNode.Parse(File.ReadAllBytes(Path.Combine(References.Own("models"), model, "config.json")))!.AsObject();
        foreach ((string key, JsonNode? value) in JsonNode.Parse(changes)!.AsObject())
        {
            config.Remove(key);
            if (value?.ToJsonString() != "\"absent\"")
                config[key] = value?.DeepClone();
        }
        using JsonDocument document = JsonDocument.Parse(config.ToJsonString());
        return HuggingFaceConfig.Read("config.json", document.RootElement);
    }
}
