using System.Text;
using System.Text.Json;
using Hone.Formats.Adapters;

namespace Hone.Formats.Tests.Adapters;

public sealed class AdapterConfigTests
{
    private const string Whole = """{"peft_type":"LORA","r":8,"lora_alpha":16,"target_modules":["q_proj"]}""";

    [Fact]
    public void Write_ThenParse_GivesTheSameConfig()
    {
        var config = new AdapterConfig
        {
            BaseModel = "org/model",
            ModelType = "llama",
            Rank = 8,
            Alpha = 12.5,
            Dropout = 0.05,
            UseRslora = true,
            LoraBias = true,
            ModulesToSave = ["embed_tokens", "lm_head"],
            TargetModules = ["q_proj", "mlp.up_proj"],
            ExcludeModules = ["layers.3.self_attn.q_proj"],
            LayersToTransform = [1, 3],
            LayersPattern = ["layers"],
            RankPattern = [new("layers.1.self_attn.q_proj", 4)],
            AlphaPattern = [new("up_proj", 3)],
        };
        byte[] json = config.Write();
        AdapterConfigResult result = AdapterConfig.Parse(json);
        Assert.Empty(result.Errors);
        Assert.Empty(result.Warnings);
        Assert.Equal(json, result.Config!.Write());
        Assert.Equal(12.5 / Math.Sqrt(4), result.Config.ScaleOf("model.layers.1.self_attn.q_proj"));
        Assert.Equal(3 / Math.Sqrt(8), result.Config.ScaleOf("model.layers.1.mlp.up_proj"));
        Assert.True(result.Config.LoraBias);
        Assert.True(result.Config.Saves("lm_head") && result.Config.Saves("model.embed_tokens") && !result.Config.Saves("model.norm"));
        Assert.True(result.Config.Targets("model.layers.1.mlp.up_proj"));
        Assert.False(result.Config.Targets("model.layers.2.mlp.up_proj")); // another layer
        Assert.False(result.Config.Targets("model.layers.3.self_attn.q_proj")); // excluded
        Assert.False(result.Config.Targets("model.layers.1.mlp.xup_proj")); // not behind a dot
    }

    [Fact]
    public void Write_PlainConfig_HasEveryKeyOfPeft()
    {
        string reference = Path.Combine(References.Own("models"), "llama", "adapter", AdapterConfig.FileName);
        using JsonDocument peft = JsonDocument.Parse(File.ReadAllBytes(reference));
        using JsonDocument own = JsonDocument.Parse(new AdapterConfig { Rank = 8, Alpha = 16, TargetModules = ["q_proj"] }.Write());
        Assert.Equal(peft.RootElement.EnumerateObject().Select(p => p.Name), own.RootElement.EnumerateObject().Select(p => p.Name));
    }

    [Theory]
    [InlineData("", "no valid JSON")]
    [InlineData("[]", "$ is an array of 0; wanted is an object")]
    [InlineData("""{"r":8,"r":16}""", "no valid JSON")]
    [InlineData("""{"r":8,}""", "comma before the closing bracket. Take the comma out. Write")]
    [InlineData("""{"r":"8","lora_alpha":true,"target_modules":{}}""", "$.r is '8'", "$.lora_alpha is true", "$.target_modules is an object")]
    [InlineData("""{"r":8.5,"lora_alpha":1e999,"target_modules":[]}""", "$.r is 8.5", "$.lora_alpha is 1e999", "$.target_modules is empty")]
    [InlineData("""{"r":99999999999,"lora_alpha":null}""", "$.r is 99999999999", "$.lora_alpha is missing", "$.target_modules is missing")]
    [InlineData("""{"r":8,"lora_alpha":8,"target_modules":"(q_proj"}""", "$.target_modules is no valid regular expression")]
    [InlineData("""{"r":8,"lora_alpha":8,"target_modules":"q_proj","layers_to_transform":[0,-1]}""", "$.layers_to_transform[1] is -1", "cannot stand beside a target_modules that is a string")]
    [InlineData("""{"r":8,"lora_alpha":8,"target_modules":["a"],"peft_type":"IA3","bias":"all","task_type":"SEQ_CLS"}""", "$.peft_type is 'IA3'", "$.bias is 'all'", "$.task_type is 'SEQ_CLS'")]
    [InlineData("""{"r":8,"lora_alpha":8,"target_modules":["a"],"init_lora_weights":"pissa"}""", "$.init_lora_weights is 'pissa'", "path_initial_model_for_weight_conversion")]
    [InlineData("""{"r":8,"lora_alpha":8,"target_modules":["a"],"rank_pattern":{"a":0,"[":2},"alpha_pattern":[1]}""", "$.rank_pattern['a'] is 0", "$.rank_pattern['['] is no valid", "$.alpha_pattern is an array of 1")]
    [InlineData("""{"r":8,"lora_alpha":8,"target_modules":["a"],"trainable_token_indices":[1],"layer_replication":[[0,1]],"use_qalora":true,"lora_bias":true,"use_dora":true}""", "$.trainable_token_indices", "$.layer_replication", "$.use_qalora", "$.lora_bias cannot stand beside use_dora")]
    [InlineData("""{"r":8,"lora_alpha":8,"target_modules":["a"],"modules_to_save":"lm_head","lora_bias":1}""", "$.modules_to_save is 'lm_head'", "$.lora_bias is 1")]
    [InlineData("""{"r":8,"lora_alpha":8,"target_modules":["\ud800"]}""", "not valid Unicode")]
    public void Parse_Wrong_TellsEveryErrorWithItsPath(string json, params string[] parts)
    {
        AdapterConfigResult result = AdapterConfig.Parse(Encoding.UTF8.GetBytes(json));
        Assert.Null(result.Config);
        Assert.Equal(parts.Length, result.Errors.Count == 1 ? parts.Length : result.Errors.Count);
        Assert.All(parts, part => Assert.Contains(result.Errors, e => e.Contains(part, StringComparison.Ordinal)));
        Assert.All(result.Errors, e => Assert.StartsWith("adapter_config.json: ", e, StringComparison.Ordinal));
    }

    [Fact]
    public void Parse_DeepOrLongOrBrokenBytes_IsRefused()
    {
        Assert.Contains("no valid JSON", Assert.Single(AdapterConfig.Parse(Encoding.UTF8.GetBytes(string.Concat(Enumerable.Repeat("{\"a\":", 100_000)))).Errors), StringComparison.Ordinal);
        Assert.Contains("at most", Assert.Single(AdapterConfig.Parse(new byte[2_000_000]).Errors), StringComparison.Ordinal);
        Assert.Single(AdapterConfig.Parse("{\"r\":8,\"lora_alpha\":8,\"target_modules\":[\"\u00ff\"]}"u8.ToArray().Select(b => b == 0xC3 ? (byte)0xFF : b).ToArray()).Errors);
    }

    [Fact]
    public void Parse_Minimal_WarnsOfWhatPeftNeeds()
    {
        Assert.Empty(AdapterConfig.Parse(Encoding.UTF8.GetBytes(Whole)).Warnings);
        AdapterConfigResult result = AdapterConfig.Parse(Encoding.UTF8.GetBytes(Whole.Replace("\"peft_type\":\"LORA\",", "", StringComparison.Ordinal)));
        Assert.Empty(result.Errors);
        Assert.Contains("$.peft_type is missing", Assert.Single(result.Warnings), StringComparison.Ordinal);
        Assert.Equal(2, result.Config!.ScaleOf("model.layers.0.self_attn.q_proj"));
    }

    [Fact]
    public void Bug_HalfASurrogatePairInAKeptKeyCrashesTheWriter()
    {
        AdapterConfigResult result = AdapterConfig.Parse(Encoding.UTF8.GetBytes(Whole[..^1] + ""","corda_config":"\ud83d"}"""));
        Assert.Null(result.Config);
        Assert.Contains("is not valid Unicode", Assert.Single(result.Errors), StringComparison.Ordinal);
    }
}
