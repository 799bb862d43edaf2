using System.Text;
using System.Text.Json.Nodes;
using Hone.Formats.Adapters;
using Hone.Formats.Models;
using Hone.Formats.Safetensors;

namespace Hone.Formats.Tests.Adapters;

/// <summary>The faults of an adapter that its files show, each against the same adapter without the fault, which passes without a word.</summary>
public sealed class AdapterCheckTests : IDisposable
{
    private static readonly LinearModule[] s_modules =
    [
        .. Enumerable.Range(0, 3).SelectMany(layer => new LinearModule[]
        {
            new($"model.layers.{layer}.self_attn.q_proj", 6, 8), new($"model.layers.{layer}.self_attn.v_proj", 6, 4), new($"model.layers.{layer}.mlp.down_proj", 10, 6),
        }),
    ];

    private readonly TemporaryFolder _folder = new();
    private readonly JsonObject _config = JsonNode.Parse("""{"peft_type":"LORA","r":2,"lora_alpha":4,"target_modules":["q_proj","v_proj"],"base_model_name_or_path":"org/Tiny-Llama"}""")!.AsObject();
    private readonly Dictionary<string, (long[] Shape, float[] Values)> _tensors = new(StringComparer.Ordinal);
    private AdapterLimits _limits = new();
    private AdapterBase? _base = new(["@cf/org/tiny-llama"]);
    private Dictionary<string, string> _metadata = new() { ["format"] = "pt" };

    public AdapterCheckTests()
    {
        foreach (LinearModule module in s_modules.Where(m => !m.Name.EndsWith("down_proj", StringComparison.Ordinal)))
            Add(module, 2);
    }

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Check_RightAdapter_PassesWithoutAWord()
    {
        AdapterReport report = Check();
        Assert.Empty(report.Errors);
        Assert.Empty(report.Warnings);
        Assert.True(report.Ok);
        Assert.Equal(2, report.Config!.ScaleOf("model.layers.0.self_attn.q_proj"));
    }

    [Fact]
    public void Check_A1AllOfLoraBZero_IsAnError()
    {
        foreach (string name in _tensors.Keys.Where(n => n.Contains("lora_B", StringComparison.Ordinal)))
            Array.Clear(_tensors[name].Values);
        AssertError("no effect", "lora_B", "all 6 modules");
    }

    [Fact]
    public void Check_A1OneLoraBZero_IsAWarning()
    {
        Array.Clear(Values("model.layers.1.self_attn.v_proj", isA: false));
        AdapterReport report = Check();
        Assert.Empty(report.Errors);
        Assert.Contains("model.layers.1.self_attn.v_proj.lora_B.weight", Assert.Single(report.Warnings), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("0")]
    [InlineData("0.0")]
    [InlineData("-0")]
    [InlineData("1e-200")]
    public void Check_A1AlphaZero_IsAnError(string alpha)
    {
        _config["lora_alpha"] = JsonNode.Parse(alpha);
        AssertError("$.lora_alpha", "no effect");
    }

    [Fact]
    public void Check_A3HalfOfTheTensorsRenamed_NamesBothSidesAndTheNearest()
    {
        foreach (string name in _tensors.Keys.Where(n => n.Contains("v_proj", StringComparison.Ordinal)).ToList())
            Rename(name, name.Replace("v_proj", "v_porj", StringComparison.Ordinal));
        AdapterReport report = Check();
        Assert.Contains(report.Errors, e => e.Contains("6 tensors match no module", StringComparison.Ordinal)
            && e.Contains("'base_model.model.model.layers.0.self_attn.v_porj.lora_A.weight' (nearest: 'base_model.model.model.layers.0.self_attn.v_proj.lora_A.weight')", StringComparison.Ordinal));
        Assert.Contains(report.Errors, e => e.Contains("3 modules that the config names have no tensors", StringComparison.Ordinal) && e.Contains("'model.layers.2.self_attn.v_proj'", StringComparison.Ordinal));
        Assert.Equal(2, report.Errors.Count);
    }

    [Fact]
    public void Check_A3NamesOfAModelInMemory_NamesTheFilesName()
    {
        foreach (string name in _tensors.Keys.ToList())
            Rename(name, name.Replace(".weight", ".default.weight", StringComparison.Ordinal));
        AssertError("12 tensors match no module", "lora_A.default.weight' (nearest: 'base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight')");
    }

    [Fact]
    public void Check_A3HalfOfAPairMissing_NamesTheMissingTensor()
    {
        _tensors.Remove(PeftNames.B("model.layers.1.self_attn.q_proj"));
        AssertError("'base_model.model.model.layers.1.self_attn.q_proj.lora_B.weight' is missing");
    }

    [Fact]
    public void Check_A3TensorsBesideTheConfig_AreNamed()
    {
        Add(s_modules.Single(m => m.Name == "model.layers.1.mlp.down_proj"), 2);
        AssertError("1 modules have tensors but are not named", "'model.layers.1.mlp.down_proj'");
    }

    [Theory]
    [InlineData("target_modules", """["q_proj","v_porj"]""", "$.target_modules[1] 'v_porj' matches no module", "nearest: 'v_proj'")]
    [InlineData("target_modules", "\"q_porj|v_porj\"", "$.target_modules 'q_porj|v_porj' matches no module", "model.layers.0.self_attn.q_proj")]
    [InlineData("exclude_modules", """["down_porj"]""", "$.exclude_modules[0] 'down_porj'", "nearest: 'down_proj'")]
    [InlineData("rank_pattern", """{"self_attn.q_porj":2}""", "$.rank_pattern['self_attn.q_porj']", "nearest: 'self_attn.q_proj'")]
    [InlineData("alpha_pattern", """{"v_porj":2}""", "$.alpha_pattern['v_porj']", "nearest: 'v_proj'")]
    [InlineData("layers_to_transform", "[0,1,2,3]", "layers_to_transform names layer 3", "from 0 to 2")]
    [InlineData("modules_to_save", """["lm_head"]""", "$.modules_to_save", "not supported")]
    public void Check_A4NamesThatMatchNothing_AreErrorsWithTheNearest(string key, string value, string what, string hint)
    {
        _config[key] = JsonNode.Parse(value);
        AssertError(what, hint);
    }

    [Fact]
    public void Check_A5NoAlpha_IsAnError()
    {
        _config.Remove("lora_alpha");
        AssertError("$.lora_alpha is missing");
    }

    [Fact]
    public void Check_A6OtherBaseNamed_IsAWarning()
    {
        _config["base_model_name_or_path"] = "org/other-model";
        AdapterReport report = Check();
        Assert.Empty(report.Errors);
        string warning = Assert.Single(report.Warnings);
        Assert.Contains("org/other-model", warning, StringComparison.Ordinal);
        Assert.Contains("@cf/org/tiny-llama", warning, StringComparison.Ordinal);
    }

    [Fact]
    public void Check_A6OtherBaseByHash_IsAnError()
    {
        _base = new AdapterBase(["tiny-llama"], "AA11");
        _metadata = new() { [AdapterCheck.BaseHashKey] = "aa11" };
        Assert.Empty(Check().Errors);
        _metadata[AdapterCheck.BaseHashKey] = "bb22";
        AssertError("another base model", "bb22", "AA11");
    }

    [Fact]
    public void Check_A7UnknownKeys_AreErrorsWhereTheyChangeTheResult()
    {
        _config["note"] = "made on Monday";
        _config["use_qalora"] = false;
        AdapterReport report = Check();
        Assert.Empty(report.Errors);
        Assert.Contains("$.note is unknown and ignored", Assert.Single(report.Warnings), StringComparison.Ordinal);

        _config["use_rsloar"] = true;
        _config["use_qalora"] = true;
        _config["use_new_thing"] = true;
        report = Check();
        Assert.Contains(report.Errors, e => e.Contains("$.use_rsloar is no key of PEFT. Perhaps 'use_rslora' is meant.", StringComparison.Ordinal));
        Assert.Contains(report.Errors, e => e.Contains("$.use_qalora is true: QALoRA", StringComparison.Ordinal));
        Assert.Contains(report.Errors, e => e.Contains("$.use_new_thing is true", StringComparison.Ordinal));
        Assert.Equal(3, report.Errors.Count);
    }

    [Fact]
    public void Check_DoraMagnitudes_FitConfigAndModule()
    {
        foreach (LinearModule module in s_modules.Where(m => !m.Name.EndsWith("down_proj", StringComparison.Ordinal)))
            _tensors[PeftNames.Magnitude(module.Name)] = ([module.Out], [.. Enumerable.Repeat(1.5f, module.Out)]);
        AssertError("but use_dora is not set");
        _config["use_dora"] = true;
        Assert.Empty(Check().Errors);

        string first = PeftNames.Magnitude(s_modules[0].Name);
        _tensors[first] = ([7], new float[7]);
        AssertError($"'{first}' is [7] instead of [8]");
        _tensors.Remove(first);
        AssertError($"'{first}' is missing");
    }

    [Fact]
    public void Check_A8RankOtherThanTheTensors_IsOneLine()
    {
        _config["r"] = 4;
        AssertError("12 tensors have another rank", "lora_A.weight' has rank 2 where the config says 4");
    }

    [Fact]
    public void Check_RankPatternWithoutItsRank_NamesTheModule()
    {
        _config["rank_pattern"] = JsonNode.Parse("""{"layers.1.self_attn.q_proj":3}""");
        AssertError("2 tensors have another rank", "'base_model.model.model.layers.1.self_attn.q_proj.lora_A.weight' has rank 2 where the config says 3");
    }

    [Theory]
    [InlineData(float.NaN, "NaN")]
    [InlineData(float.PositiveInfinity, "Infinity")]
    [InlineData(float.NegativeInfinity, "-Infinity")]
    public void Check_A9NotFinite_NamesTensorAndElement(float value, string shown)
    {
        Values("model.layers.2.self_attn.q_proj", isA: true)[7] = value;
        AssertError("'base_model.model.model.layers.2.self_attn.q_proj.lora_A.weight' holds " + shown + " at element 7");
    }

    [Theory]
    [InlineData(0)]
    [InlineData(8_191)]
    [InlineData(66_000)] // in the second run
    [InlineData(79_998)]
    public void Check_A9NotFiniteAnywhereInALongTensor_IsFound(int element)
    {
        LinearModule module = new("model.layers.0.self_attn.q_proj", 40_000, 8);
        _tensors.Clear();
        Add(module, 2);
        _config["target_modules"] = new JsonArray("q_proj");
        Values(module.Name, isA: true)[element] = float.PositiveInfinity;
        AdapterReport report = Check([module]);
        Assert.Contains($"holds Infinity at element {element}", Assert.Single(report.Errors), StringComparison.Ordinal);
    }

    [Fact]
    public void Check_ShapeOfAnotherBase_NamesWhatIsWanted()
    {
        _tensors[PeftNames.B("model.layers.0.self_attn.q_proj")] = ([9, 2], new float[18]);
        AdapterReport report = Check();
        Assert.Contains("lora_B.weight' is [9, 2] instead of [8, r]", Assert.Single(report.Errors), StringComparison.Ordinal);
    }

    [Fact]
    public void Check_Limits_AreKept()
    {
        _limits = new AdapterLimits { MaxRank = 1 };
        AssertError("$.r is 2; at most 1");
        _limits = new AdapterLimits { MaxBytes = 100 };
        AssertError("fewer than 100 are accepted");
        _limits = new AdapterLimits { ModelTypes = AdapterLimits.OriginalModelTypes };
        AssertError("$.model_type is missing. Give one of mistral, gemma, llama");
        _config["model_type"] = "llama";
        Assert.Empty(Check().Errors);
    }

    [Fact]
    public void Check_SeveralFaults_AreToldTogether()
    {
        _config.Remove("lora_alpha");
        _config["r"] = -1;
        _config["target_modules"] = JsonNode.Parse("""["q_proj",5]""");
        Values("model.layers.0.self_attn.q_proj", isA: true)[0] = float.NaN;
        _tensors.Remove(PeftNames.A("model.layers.1.self_attn.v_proj"));
        AdapterReport report = Check();
        Assert.Null(report.Config);
        Assert.Contains(report.Errors, e => e.Contains("$.lora_alpha is missing", StringComparison.Ordinal));
        Assert.Contains(report.Errors, e => e.Contains("$.r is -1", StringComparison.Ordinal));
        Assert.Contains(report.Errors, e => e.Contains("$.target_modules[1] is 5", StringComparison.Ordinal));
        Assert.Contains(report.Errors, e => e.Contains("holds NaN at element 0", StringComparison.Ordinal));
        Assert.Contains(report.Errors, e => e.Contains("v_proj.lora_A.weight' is missing", StringComparison.Ordinal));
    }

    [Fact]
    public void Check_WeightsThatAreNoSafetensors_IsAnErrorWithoutThePath()
    {
        AdapterReport report = AdapterCheck.Check(_folder.Write("c", Encoding.UTF8.GetBytes(_config.ToJsonString())), _folder.Write("w", "PK\u0003\u0004 a zip file of tensors"u8), s_modules, _limits, null, TestContext.Current.CancellationToken);
        string error = Assert.Single(report.Errors);
        Assert.StartsWith("adapter_model.safetensors: ", error, StringComparison.Ordinal);
        Assert.DoesNotContain(_folder.Path, error, StringComparison.Ordinal);
    }

    [Fact]
    public void Check_PatternThatBacktracksForEver_IsRefusedSoon()
    {
        _config["target_modules"] = "(([a-z_.0-9]+)+)+!";
        AssertError("takes too long");
    }

    [Fact]
    [Trait("Category", "Slow")]
    public void Check_AlmostTooLargeAdapter_TakesLittleMemory()
    {
        LinearModule[] modules = [.. Enumerable.Range(0, 8).Select(i => new LinearModule($"model.layers.{i}.self_attn.q_proj", 1 << 18, 1 << 18))];
        long offset = 0;
        string Entry(string name, string shape) => $$"""
            "{{name}}":{"dtype":"F16","shape":{{shape}},"data_offsets":[{{offset}},{{offset += 1 << 24}}]}
            """;
        byte[] header = Encoding.UTF8.GetBytes("{" + string.Join(',', modules.SelectMany(m => new[] { Entry(PeftNames.A(m.Name), "[32,262144]"), Entry(PeftNames.B(m.Name), "[262144,32]") })) + "}");
        string weights = _folder.File("large");
        using (FileStream stream = File.Create(weights))
        {
            stream.Write(BitConverter.GetBytes((ulong)header.Length));
            stream.Write(header);
            stream.SetLength(8 + header.Length + offset); // sparse: takes no space
        }
        string config = _folder.Write("config", """{"peft_type":"LORA","r":32,"lora_alpha":4,"target_modules":["q_proj"]}"""u8);
        long before = GC.GetAllocatedBytesForCurrentThread();
        AdapterReport report = AdapterCheck.Check(config, weights, modules, _limits, null, TestContext.Current.CancellationToken);
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 4 << 20);
        Assert.Contains("of all 8 modules is zero", Assert.Single(report.Errors), StringComparison.Ordinal);
    }

    private void Add(LinearModule module, int rank)
    {
        _tensors[PeftNames.A(module.Name)] = ([rank, module.In], Ramp(rank * module.In));
        _tensors[PeftNames.B(module.Name)] = ([module.Out, rank], Ramp(rank * module.Out));
    }

    private static float[] Ramp(int count) => [.. Enumerable.Range(0, count).Select(i => i * 0.25f - 1)];

    private float[] Values(string module, bool isA) => _tensors[isA ? PeftNames.A(module) : PeftNames.B(module)].Values;

    private void Rename(string from, string to)
    {
        Assert.True(_tensors.Remove(from, out (long[], float[]) tensor));
        _tensors[to] = tensor;
    }

    private AdapterReport Check(LinearModule[]? modules = null)
    {
        string config = _folder.Write("adapter_config.json", Encoding.UTF8.GetBytes(_config.ToJsonString()));
        string weights = _folder.File("adapter_model.safetensors");
        SafetensorsWriter.Write(weights, _tensors.Select(t => new SafetensorsData(t.Key, t.Value.Shape, t.Value.Values)), _metadata);
        return AdapterCheck.Check(config, weights, modules ?? s_modules, _limits, _base, TestContext.Current.CancellationToken);
    }

    /// <summary>One of the errors has all the parts, and each error ends in what to do.</summary>
    private void AssertError(params string[] parts)
    {
        AdapterReport report = Check();
        Assert.True(report.Errors.Any(e => parts.All(part => e.Contains(part, StringComparison.Ordinal))), $"No error says {string.Join(", ", parts)}: {string.Join("\n", report.Errors)}");
        Assert.All(report.Errors, e => Assert.EndsWith(".", e, StringComparison.Ordinal));
    }
}
