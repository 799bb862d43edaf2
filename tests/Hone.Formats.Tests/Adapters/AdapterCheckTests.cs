using System.Text;
using System.Text.Json.Nodes;
using Hone.Formats.Adapters;
using Hone.Formats.Models;

namespace Hone.Formats.Tests.Adapters;

/// <summary>The faults of an adapter that its files show, beside those of <see cref="SilentFailureTests"/>.</summary>
public sealed class AdapterCheckTests : IDisposable
{
    private readonly SmallAdapter _adapter = new();

    public void Dispose() => _adapter.Dispose();

    [Fact]
    public void Check_RightAdapter_PassesWithoutAWord()
    {
        AdapterReport report = _adapter.Check();
        Assert.Empty(report.Errors);
        Assert.Empty(report.Warnings);
        Assert.True(report.Ok);
        Assert.Equal(2, report.Config!.ScaleOf("model.layers.0.self_attn.q_proj"));
    }

    [Fact]
    public void Check_DoraMagnitudes_FitConfigAndModule()
    {
        foreach (LinearModule module in SmallAdapter.Adapted)
            _adapter.Tensors[PeftNames.Magnitude(module.Name)] = ([module.Out], [.. Enumerable.Repeat(1.5f, module.Out)]);
        _adapter.AssertError("but use_dora is not set");
        _adapter.Config["use_dora"] = true;
        Assert.Empty(_adapter.Check().Errors);

        string first = PeftNames.Magnitude(SmallAdapter.Places.Linear[0].Name);
        _adapter.Tensors[first] = ([7], new float[7]);
        _adapter.AssertError($"'{first}' is [7] instead of [8]");
        _adapter.Tensors.Remove(first);
        _adapter.AssertError($"'{first}' is missing");
    }

    [Fact]
    public void Check_BiasesOfLoraB_FitConfigAndModule()
    {
        foreach (LinearModule module in SmallAdapter.Adapted)
            _adapter.Save(AdapterTensor.Bias, module.Name, module.Out);
        _adapter.AssertError("but lora_bias is not set");
        _adapter.Config["lora_bias"] = true;
        _adapter.AssertPassesUnwarned();

        string first = PeftNames.Of(AdapterTensor.Bias, SmallAdapter.Places.Linear[0].Name);
        _adapter.Tensors[first] = ([7], new float[7]);
        _adapter.AssertError($"'{first}' is [7] instead of [8]");
        _adapter.Tensors.Remove(first);
        _adapter.AssertError($"'{first}' is missing");
    }

    [Fact]
    public void Check_WholeMatrixOfAnotherBase_NamesWhatIsWanted()
    {
        _adapter.Config["modules_to_save"] = new JsonArray("lm_head", "embed_tokens");
        _adapter.Save(AdapterTensor.Whole, AdapterPlaces.Embedding, 12, 6);
        _adapter.Save(AdapterTensor.Whole, AdapterPlaces.Head, 13, 6);
        _adapter.AssertError("'base_model.model.lm_head.weight' is [13, 6] instead of [12, 6]");
        Assert.Single(_adapter.Check().Errors);
    }

    [Fact]
    public void Check_RankPatternWithoutItsRank_NamesTheModule()
    {
        _adapter.Config["rank_pattern"] = JsonNode.Parse("""{"layers.1.self_attn.q_proj":3}""");
        _adapter.AssertError("2 tensors have another rank", "'base_model.model.model.layers.1.self_attn.q_proj.lora_A.weight' has rank 2 where the config says 3");
    }

    [Fact]
    public void Check_ShapeOfAnotherBase_NamesWhatIsWanted()
    {
        _adapter.Tensors[PeftNames.B("model.layers.0.self_attn.q_proj")] = ([9, 2], new float[18]);
        AdapterReport report = _adapter.Check();
        Assert.Contains("lora_B.weight' is [9, 2] instead of [8, r]", Assert.Single(report.Errors), StringComparison.Ordinal);
    }

    [Fact]
    public void Check_Limits_AreKept()
    {
        _adapter.Limits = new AdapterLimits { MaxRank = 1 };
        _adapter.AssertError("$.r is 2; at most 1");
        _adapter.Limits = new AdapterLimits { MaxBytes = 100 };
        _adapter.AssertError("fewer than 100 are accepted");
        _adapter.Limits = new AdapterLimits { ModelTypes = ["mistral", "gemma", "llama"] };
        _adapter.AssertError("$.model_type is missing. Give one of mistral, gemma, llama");
        _adapter.Config["model_type"] = "llama";
        Assert.Empty(_adapter.Check().Errors);
    }

    [Fact]
    public void Check_SeveralFaults_AreToldTogether()
    {
        _adapter.Config.Remove("lora_alpha");
        _adapter.Config["r"] = -1;
        _adapter.Config["target_modules"] = JsonNode.Parse("""["q_proj",5]""");
        _adapter.Values("model.layers.0.self_attn.q_proj", isA: true)[0] = float.NaN;
        _adapter.Tensors.Remove(PeftNames.A("model.layers.1.self_attn.v_proj"));
        AdapterReport report = _adapter.Check();
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
        AdapterReport report = AdapterCheck.Check(_adapter.Folder.Write("c", Encoding.UTF8.GetBytes(_adapter.Config.ToJsonString())), _adapter.Folder.Write("w", "PK\u0003\u0004 a zip file of tensors"u8), SmallAdapter.Places, _adapter.Limits, null, TestContext.Current.CancellationToken);
        string error = Assert.Single(report.Errors);
        Assert.StartsWith("adapter_model.safetensors: ", error, StringComparison.Ordinal);
        Assert.DoesNotContain(_adapter.Folder.Path, error, StringComparison.Ordinal);
    }

    [Fact]
    public void Check_PatternThatBacktracksForEver_IsRefusedSoon()
    {
        _adapter.Config["target_modules"] = "(([a-z_.0-9]+)+)+!";
        _adapter.AssertError("takes too long");
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
        string weights = _adapter.Folder.File("large");
        using (FileStream stream = File.Create(weights))
        {
            stream.Write(BitConverter.GetBytes((ulong)header.Length));
            stream.Write(header);
            stream.SetLength(8 + header.Length + offset); // sparse: takes no space
        }
        string config = _adapter.Folder.Write("config", """{"peft_type":"LORA","r":32,"lora_alpha":4,"target_modules":["q_proj"]}"""u8);
        long before = GC.GetAllocatedBytesForCurrentThread();
        AdapterReport report = AdapterCheck.Check(config, weights, new AdapterPlaces(modules, []), _adapter.Limits, null, TestContext.Current.CancellationToken);
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 4 << 20);
        Assert.Contains("of all 8 modules is zero", Assert.Single(report.Errors), StringComparison.Ordinal);
    }
}
