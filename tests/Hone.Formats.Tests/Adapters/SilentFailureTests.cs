using System.Text;
using System.Text.Json.Nodes;
using Hone.Formats.Adapters;
using Hone.Formats.Models;
using Hone.Formats.Safetensors;
using Hone.Formats.TrainingData;

namespace Hone.Formats.Tests.Adapters;

/// <summary>Adapters that other programs load and that do nothing, or something wrong; beside each the same done right, which passes unwarned.</summary>
public sealed class SilentFailureTests : IDisposable
{
    private const string Query = "model.layers.2.self_attn.q_proj", Value = "model.layers.1.self_attn.v_proj";
    private readonly SmallAdapter _adapter = new();

    public void Dispose() => _adapter.Dispose();

    [Fact]
    public void A1_AllOfLoraBZero_IsAnError()
    {
        _adapter.AssertPassesUnwarned();
        foreach (string name in _adapter.Tensors.Keys.Where(n => n.Contains("lora_B", StringComparison.Ordinal)))
            Array.Clear(_adapter.Tensors[name].Values);
        _adapter.AssertError("no effect", "lora_B", "all 6 modules");
    }

    [Fact]
    public void A1_OneLoraBZero_IsAWarning()
    {
        _adapter.AssertPassesUnwarned();
        Array.Clear(_adapter.Values(Value, isA: false));
        _adapter.AssertWarning(Value + ".lora_B.weight", "1 of 6 modules have no effect");
    }

    [Theory]
    [InlineData("lora_alpha", "0", "$.lora_alpha is 0")]
    [InlineData("lora_alpha", "-0", "$.lora_alpha")]
    [InlineData("lora_alpha", "1e-200", "$.lora_alpha")]
    [InlineData("alpha_pattern", """{"q_proj":0}""", "$.alpha_pattern['q_proj'] is 0")]
    public void A1_ScaleZero_IsAnError(string key, string value, string what)
    {
        _adapter.AssertPassesUnwarned();
        _adapter.Config[key] = JsonNode.Parse(value);
        _adapter.AssertError(what);
    }

    [Theory]
    [InlineData("""{"learning_rate":0}""", "$.learning_rate", """{"learning_rate":1e-4}""")]
    [InlineData("""{"learning_rate_multiplier":0}""", "$.learning_rate_multiplier", """{"learning_rate_multiplier":0.5}""")]
    [InlineData("""{"learning_rate":1e-60}""", "$.learning_rate", """{"learning_rate":1e-7}""")]
    [InlineData("""{"dropout":1}""", "$.dropout", """{"dropout":0.5}""")]
    [InlineData("""{"dropout":0.9999999999}""", "$.dropout", """{"dropout":0.9}""")]
    [InlineData("""{"alpha":0}""", "$.alpha", """{"alpha":1}""")]
    [InlineData("""{"target_modules":[]}""", "$.target_modules", """{"target_modules":["q_proj"]}""")]
    [InlineData("""{"layers_to_transform":[]}""", "$.layers_to_transform", """{"layers_to_transform":[0]}""")]
    public void A2_NothingTrainable_IsAnErrorWhenTheJobIsMade(string config, string path, string control)
    {
        Assert.Equal(path, Assert.Single(TrainingConfigParser.Parse(Encoding.UTF8.GetBytes(config)).Errors).Path);
        Assert.Empty(TrainingConfigParser.Parse(Encoding.UTF8.GetBytes(control)).Errors);
    }

    [Fact]
    public void A3_HalfOfTheTensorsRenamed_NamesBothSidesAndTheNearest()
    {
        _adapter.AssertPassesUnwarned();
        foreach (string name in _adapter.Tensors.Keys.Where(n => n.Contains("v_proj", StringComparison.Ordinal)).ToList())
            _adapter.Rename(name, name.Replace("v_proj", "v_porj", StringComparison.Ordinal));
        AdapterReport report = _adapter.Check();
        Assert.Contains(report.Errors, e => e.Contains("6 tensors match no module", StringComparison.Ordinal)
            && e.Contains("'base_model.model.model.layers.0.self_attn.v_porj.lora_A.weight' (nearest: 'base_model.model.model.layers.0.self_attn.v_proj.lora_A.weight')", StringComparison.Ordinal));
        Assert.Contains(report.Errors, e => e.Contains("3 modules that the config names have no tensors", StringComparison.Ordinal) && e.Contains("'model.layers.2.self_attn.v_proj'", StringComparison.Ordinal));
        Assert.Equal(2, report.Errors.Count);
    }

    [Fact]
    public void A3_NamesOfAModelInMemory_NamesTheFilesName()
    {
        _adapter.AssertPassesUnwarned();
        foreach (string name in _adapter.Tensors.Keys.ToList())
            _adapter.Rename(name, name.Replace(".weight", ".default.weight", StringComparison.Ordinal));
        _adapter.AssertError("12 tensors match no module", "lora_A.default.weight' (nearest: 'base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight')");
    }

    [Fact]
    public void A3_HalfOfAPairMissing_NamesTheMissingTensor()
    {
        _adapter.AssertPassesUnwarned();
        _adapter.Tensors.Remove(PeftNames.B("model.layers.1.self_attn.q_proj"));
        _adapter.AssertError("'base_model.model.model.layers.1.self_attn.q_proj.lora_B.weight' is missing");
    }

    [Fact]
    public void A3_TensorsBesideTheConfig_AreNamed()
    {
        _adapter.AssertPassesUnwarned();
        _adapter.Add(SmallAdapter.Places.Linear.Single(m => m.Name == "model.layers.1.mlp.down_proj"), 2);
        _adapter.AssertError("1 modules have tensors but are not named", "'model.layers.1.mlp.down_proj'");
        _adapter.Config["target_modules"] = JsonNode.Parse("""[ "q_proj", "v_proj", "layers.1.mlp.down_proj" ]""");
        _adapter.AssertPassesUnwarned();
    }

    [Fact]
    public void A3_WholeMatrixBesideTheConfig_IsNamed()
    {
        _adapter.Save(AdapterTensor.Whole, "lm_head", 12, 6);
        _adapter.AssertError("'base_model.model.lm_head.weight'", "not named by $.modules_to_save");
        _adapter.Config["modules_to_save"] = new JsonArray("lm_head");
        _adapter.AssertPassesUnwarned();
        _adapter.Tensors.Remove("base_model.model.lm_head.weight");
        _adapter.AssertError("'base_model.model.lm_head.weight' is missing");
    }

    [Theory]
    [InlineData("target_modules", """["q_proj","v_porj"]""", """["q_proj","v_proj"]""", "$.target_modules[1] 'v_porj' matches no module", "nearest: 'v_proj'")]
    [InlineData("target_modules", "\"q_porj|v_porj\"", "\".*(q_proj|v_proj)\"", "$.target_modules 'q_porj|v_porj' matches no module", "model.layers.0.self_attn.q_proj")]
    [InlineData("exclude_modules", """["down_porj"]""", """["down_proj"]""", "$.exclude_modules[0] 'down_porj'", "nearest: 'down_proj'")]
    [InlineData("rank_pattern", """{"self_attn.q_porj":2}""", """{"self_attn.q_proj":2}""", "$.rank_pattern['self_attn.q_porj']", "nearest: 'self_attn.q_proj'")]
    [InlineData("alpha_pattern", """{"v_porj":2}""", """{"v_proj":2}""", "$.alpha_pattern['v_porj']", "nearest: 'v_proj'")]
    [InlineData("layers_to_transform", "[0,1,2,3]", "[0,1,2]", "layers_to_transform names layer 3", "from 0 to 2")]
    [InlineData("modules_to_save", """["lm_haed"]""", "[]", "$.modules_to_save[0] 'lm_haed'", "nearest: 'lm_head'")]
    [InlineData("modules_to_save", """["norm"]""", "null", "$.modules_to_save[0] 'norm'", "model.embed_tokens and lm_head")]
    public void A4_NamesThatMatchNothing_AreErrorsWithTheNearest(string key, string value, string control, string what, string hint)
    {
        _adapter.Config[key] = JsonNode.Parse(control);
        _adapter.AssertPassesUnwarned();
        _adapter.Config[key] = JsonNode.Parse(value);
        _adapter.AssertError(what, hint);
    }

    [Fact]
    public void A5_NoAlpha_IsAnError()
    {
        _adapter.AssertPassesUnwarned();
        _adapter.Config.Remove("lora_alpha");
        _adapter.AssertError("$.lora_alpha is missing (PEFT would take 8)");
    }

    [Fact]
    public void A6_OtherBaseNamed_IsAWarning()
    {
        _adapter.AssertPassesUnwarned();
        _adapter.Config["base_model_name_or_path"] = "org/other-model";
        _adapter.AssertWarning("org/other-model", "@cf/org/tiny-llama");
    }

    [Fact]
    public void A6_OtherBaseByHash_IsAnError()
    {
        _adapter.Base = new AdapterBase(["tiny-llama"], "AA11");
        _adapter.Metadata[AdapterCheck.BaseHashKey] = "aa11";
        _adapter.AssertPassesUnwarned();
        _adapter.Metadata[AdapterCheck.BaseHashKey] = "bb22";
        _adapter.AssertError("another base model", "bb22", "AA11");
    }

    [Fact]
    public void A7_UnknownKeyWithoutEffect_IsAWarning()
    {
        _adapter.Config["use_qalora"] = false;
        _adapter.AssertPassesUnwarned();
        _adapter.Config["note"] = "made on Monday";
        _adapter.AssertWarning("$.note is unknown and ignored");
    }

    [Theory]
    [InlineData("use_rsloar", "true", "$.use_rsloar is no key of PEFT. Perhaps 'use_rslora' is meant.")]
    [InlineData("use_new_thing", "true", "$.use_new_thing is true")]
    [InlineData("use_qalora", "true", "QALoRA")]
    [InlineData("use_bdlora", """{"nblocks":2}""", "block-diagonal")]
    [InlineData("init_lora_weights", "\"corda\"", "$.init_lora_weights is 'corda'")]
    [InlineData("init_lora_weights", "\"loftq\"", "$.init_lora_weights is 'loftq'")]
    [InlineData("init_lora_weights", "\"olora\"", "$.init_lora_weights is 'olora'")]
    [InlineData("init_lora_weights", "\"pissa_niter_4\"", "$.init_lora_weights is 'pissa_niter_4'")]
    [InlineData("layer_replication", "[[0,2],[1,3]]", "$.layer_replication is an array of 2")]
    [InlineData("alora_invocation_tokens", "[5,6]", "$.alora_invocation_tokens")]
    [InlineData("trainable_token_indices", """{"embed_tokens":[1,2]}""", "$.trainable_token_indices")]
    [InlineData("target_parameters", """["mlp.experts.gate_up_proj"]""", "$.target_parameters")]
    [InlineData("megatron_config", """{"tensor_parallel":2}""", "$.megatron_config is an object")]
    [InlineData("arrow_config", """{"top_k":2}""", "$.arrow_config")]
    [InlineData("bias", "\"lora_only\"", "$.bias is 'lora_only'")]
    public void A7_KeyThatChangesTheResult_IsAnErrorByName(string key, string value, string what)
    {
        _adapter.AssertPassesUnwarned();
        _adapter.Config[key] = JsonNode.Parse(value);
        _adapter.AssertError(what);
    }

    [Fact]
    public void A7_WeightTyingBesideModulesToSave_IsAnError()
    {
        _adapter.Save(AdapterTensor.Whole, "lm_head", 12, 6);
        _adapter.Config["modules_to_save"] = new JsonArray("lm_head");
        _adapter.AssertPassesUnwarned();
        _adapter.Config["ensure_weight_tying"] = true;
        _adapter.AssertError("$.ensure_weight_tying is true");
    }

    [Fact]
    public void A7_StartWithoutEffectOnTheBase_PassesUnwarned()
    {
        foreach (string start in new[] { "true", "false", "\"gaussian\"", "\"eva\"", "\"orthogonal\"" })
        {
            _adapter.Config["init_lora_weights"] = JsonNode.Parse(start);
            _adapter.AssertPassesUnwarned();
        }
    }

    [Fact]
    public void A8_RankOtherThanTheTensors_IsOneLine()
    {
        _adapter.AssertPassesUnwarned();
        _adapter.Config["r"] = 4;
        _adapter.AssertError("12 tensors have another rank", "lora_A.weight' has rank 2 where the config says 4");
        Assert.Single(_adapter.Check().Errors);
    }

    [Theory]
    [InlineData(float.NaN, "NaN")]
    [InlineData(float.PositiveInfinity, "Infinity")]
    [InlineData(float.NegativeInfinity, "-Infinity")]
    public void A9_NotFinite_NamesTensorAndElement(float value, string shown)
    {
        _adapter.AssertPassesUnwarned();
        _adapter.Values(Query, isA: true)[7] = value;
        _adapter.AssertError("'base_model.model.model.layers.2.self_attn.q_proj.lora_A.weight' holds " + shown + " at element 7");
    }

    [Fact]
    public void A9_NotFiniteInAWholeMatrix_NamesTensorAndElement()
    {
        _adapter.Save(AdapterTensor.Whole, AdapterPlaces.Embedding, 12, 6);
        _adapter.Config["modules_to_save"] = new JsonArray("embed_tokens");
        _adapter.AssertPassesUnwarned();
        _adapter.Tensors["base_model.model.model.embed_tokens.weight"].Values[70] = float.NaN;
        _adapter.AssertError("'base_model.model.model.embed_tokens.weight' holds NaN at element 70");
    }

    [Theory]
    [InlineData(0)]
    [InlineData(8_191)]
    [InlineData(66_000)] // in the second run
    [InlineData(79_998)]
    public void A9_NotFiniteAnywhereInALongTensor_IsFound(int element)
    {
        LinearModule module = new("model.layers.0.self_attn.q_proj", 40_000, 8);
        _adapter.Tensors.Clear();
        _adapter.Add(module, 2);
        _adapter.Config["target_modules"] = new JsonArray("q_proj");
        Assert.Empty(_adapter.Check(new AdapterPlaces([module], [])).Errors);
        _adapter.Values(module.Name, isA: true)[element] = float.PositiveInfinity;
        AdapterReport report = _adapter.Check(new AdapterPlaces([module], []));
        Assert.Contains($"holds Infinity at element {element}", Assert.Single(report.Errors), StringComparison.Ordinal);
    }

    [Fact]
    public void A9_NotFinite_IsAnErrorOnMerge()
    {
        using var real = new LlamaAdapter();
        real.Merge();
        real.Write(values => values[3] = float.NaN);
        string error = Assert.Throws<InvalidFileException>(real.Merge).Message;
        Assert.Contains($"'{real.Damaged}' holds NaN at element 3", error, StringComparison.Ordinal);
        Assert.Contains("holds NaN at element 3", Assert.Throws<InvalidFileException>(real.WriteGguf).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("lora_alpha", "8", "$.lora_alpha is 8, but the adapter was trained with 4")]
    [InlineData("use_rslora", "true", "$.use_rslora is true, but the adapter was trained with false")]
    [InlineData("alpha_pattern", """{"q_proj":16}""", "$.alpha_pattern is {")]
    public void A10_OtherValueThanTrainedWith_IsAnError(string key, string value, string what)
    {
        _adapter.Metadata[TrainedWith.Key] = TrainedWith.Of(AdapterConfig.Parse(Encoding.UTF8.GetBytes(_adapter.Config.ToJsonString())).Config!);
        _adapter.AssertPassesUnwarned();
        _adapter.Config[key] = JsonNode.Parse(value);
        _adapter.AssertError(what, "'trained_with'");
        _adapter.Metadata.Remove(TrainedWith.Key);
        _adapter.AssertPassesUnwarned(); // another program's adapter: no file shows it
    }

    [Fact]
    public void A10_OtherValueThanTrainedWith_IsAnErrorOnMerge()
    {
        using var real = new LlamaAdapter();
        real.Write(_ => { });
        real.Merge();
        real.SetConfig("lora_alpha", 12);
        Assert.Contains("$.lora_alpha is 12, but the adapter was trained with 8", Assert.Throws<InvalidFileException>(real.Merge).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A10_MetadataThatAreNoJson_AreAnError()
    {
        _adapter.Metadata[TrainedWith.Key] = "{";
        _adapter.AssertError("'trained_with' of its metadata is no JSON object");
    }

    /// <summary>A copy of an adapter that PEFT has written, and its base.</summary>
    private sealed class LlamaAdapter : IDisposable
    {
        private readonly TemporaryFolder _folder = new();
        private readonly ModelWeights _base = ModelWeights.Open(Path.Combine(References.Own("models"), "llama"));

        public LlamaAdapter()
        {
            string source = Path.Combine(References.Own("models"), "llama", "adapter");
            File.Copy(Path.Combine(source, AdapterConfig.FileName), ConfigPath);
            File.Copy(Path.Combine(source, AdapterConfig.WeightsFileName), WeightsPath);
        }

        public string Damaged { get; } = PeftNames.B("model.layers.1.mlp.up_proj");

        private string ConfigPath => _folder.File(AdapterConfig.FileName);

        private string WeightsPath => _folder.File(AdapterConfig.WeightsFileName);

        /// <summary>The weights as Hone writes them, one tensor changed.</summary>
        public void Write(Action<float[]> damage)
        {
            SafetensorsData[] tensors;
            using (SafetensorsFile file = SafetensorsFile.Open(WeightsPath))
            {
                tensors = [.. file.Tensors.Select(t =>
                {
                    var values = new float[t.Elements];
                    file.ReadFloat32(t.Name, values);
                    if (t.Name == Damaged)
                        damage(values);
                    return new SafetensorsData(t.Name, t.Shape, values);
                })];
            }
            SafetensorsWriter.Write(WeightsPath, tensors, new Dictionary<string, string> { [TrainedWith.Key] = TrainedWith.Of(AdapterConfig.Parse(File.ReadAllBytes(ConfigPath)).Config!) });
        }

        public void SetConfig(string key, JsonNode value)
        {
            JsonObject config = JsonNode.Parse(File.ReadAllText(ConfigPath))!.AsObject();
            config[key] = value;
            File.WriteAllText(ConfigPath, config.ToJsonString());
        }

        public void Merge() => AdapterExport.OpenMerged(ConfigPath, WeightsPath, _base).Dispose();

        public void WriteGguf() => AdapterExport.OpenGguf(ConfigPath, WeightsPath, _base).Dispose();

        public void Dispose()
        {
            _base.Dispose();
            _folder.Dispose();
        }
    }
}
