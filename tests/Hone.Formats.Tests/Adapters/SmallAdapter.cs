using System.Text;
using System.Text.Json.Nodes;
using Hone.Formats.Adapters;
using Hone.Formats.Models;
using Hone.Formats.Safetensors;

namespace Hone.Formats.Tests.Adapters;

/// <summary>A right adapter of rank 2 on the queries and values of a base of three layers, in memory until it is checked; tests damage it.</summary>
internal sealed class SmallAdapter : IDisposable
{
    public static readonly AdapterPlaces Places = new(
        [
            .. Enumerable.Range(0, 3).SelectMany(layer => new LinearModule[]
            {
                new($"model.layers.{layer}.self_attn.q_proj", 6, 8), new($"model.layers.{layer}.self_attn.v_proj", 6, 4), new($"model.layers.{layer}.mlp.down_proj", 10, 6),
            }),
        ],
        [new(AdapterPlaces.Embedding, 6, 12), new(AdapterPlaces.Head, 6, 12)]);

    public SmallAdapter()
    {
        foreach (LinearModule module in Adapted)
            Add(module, 2);
    }

    public TemporaryFolder Folder { get; } = new();

    public JsonObject Config { get; } = JsonNode.Parse("""{"peft_type":"LORA","r":2,"lora_alpha":4,"target_modules":["q_proj","v_proj"],"base_model_name_or_path":"org/Tiny-Llama"}""")!.AsObject();

    public Dictionary<string, (long[] Shape, float[] Values)> Tensors { get; } = new(StringComparer.Ordinal);

    public Dictionary<string, string> Metadata { get; } = new() { ["format"] = "pt" };

    public AdapterLimits Limits { get; set; } = new();

    public AdapterBase? Base { get; set; } = new(["@cf/org/tiny-llama"]);

    /// <summary>The modules that the config targets.</summary>
    public static IEnumerable<LinearModule> Adapted => Places.Linear.Where(m => !m.Name.EndsWith("down_proj", StringComparison.Ordinal));

    public void Add(LinearModule module, int rank)
    {
        Tensors[PeftNames.A(module.Name)] = ([rank, module.In], Ramp(rank * module.In));
        Tensors[PeftNames.B(module.Name)] = ([module.Out, rank], Ramp(rank * module.Out));
    }

    public void Save(AdapterTensor tensor, string module, params long[] shape) =>
        Tensors[PeftNames.Of(tensor, module)] = (shape, Ramp((int)shape.Aggregate((a, b) => a * b)));

    public float[] Values(string module, bool isA) => Tensors[isA ? PeftNames.A(module) : PeftNames.B(module)].Values;

    public void Rename(string from, string to)
    {
        Assert.True(Tensors.Remove(from, out (long[], float[]) tensor));
        Tensors[to] = tensor;
    }

    public AdapterReport Check(AdapterPlaces? places = null)
    {
        string config = Folder.Write("adapter_config.json", Encoding.UTF8.GetBytes(Config.ToJsonString()));
        string weights = Folder.File("adapter_model.safetensors");
        SafetensorsWriter.Write(weights, Tensors.Select(t => new SafetensorsData(t.Key, t.Value.Shape, t.Value.Values)), Metadata);
        return AdapterCheck.Check(config, weights, places ?? Places, Limits, Base, TestContext.Current.CancellationToken);
    }

    public void AssertPassesUnwarned()
    {
        AdapterReport report = Check();
        Assert.Empty(report.Errors);
        Assert.Empty(report.Warnings);
    }

    /// <summary>One of the errors has all the parts, and each error ends in what to do.</summary>
    public void AssertError(params string[] parts)
    {
        AdapterReport report = Check();
        Assert.True(report.Errors.Any(e => parts.All(part => e.Contains(part, StringComparison.Ordinal))), $"No error says {string.Join(", ", parts)}: {string.Join("\n", report.Errors)}");
        Assert.All(report.Errors, e => Assert.EndsWith(".", e, StringComparison.Ordinal));
    }

    public void AssertWarning(params string[] parts)
    {
        AdapterReport report = Check();
        Assert.Empty(report.Errors);
        string warning = Assert.Single(report.Warnings);
        Assert.All(parts, part => Assert.Contains(part, warning, StringComparison.Ordinal));
    }

    public void Dispose() => Folder.Dispose();

    private static float[] Ramp(int count) => [.. Enumerable.Range(0, count).Select(i => i * 0.25f - 1)];
}
