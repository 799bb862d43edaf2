using Hone.Formats.Adapters;
using Hone.Formats.Gguf;
using Hone.Formats.Models;
using Hone.Formats.Safetensors;

namespace Hone.Formats.Tests.Adapters;

public sealed class AdapterExportTests : IDisposable
{
    private const string Query = "model.layers.0.self_attn.q_proj", Down = "model.layers.3.mlp.down_proj";
    private readonly string _folder = Directory.CreateTempSubdirectory("hone-export").FullName;
    private readonly BaseModel _model = BaseModel.Open(References.EmbeddedBase);
    private readonly Dictionary<string, float[]> _written = [];

    public void Dispose()
    {
        _model.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    /// <summary>A file of the length that was said before.</summary>
    private string Write(AdapterExport export, string fileName)
    {
        string path = Path.Combine(_folder, fileName);
        using (export)
        using (FileStream stream = File.Create(path))
        {
            foreach (ReadOnlyMemory<byte> piece in export.Pieces)
                stream.Write(piece.Span);
            Assert.Equal(export.Length, stream.Length);
        }
        return path;
    }

    [Fact]
    public void OpenGguf_PatternsAndRslora_ScalesAndRowOrderOfLlamaCpp()
    {
        Adapter("""{"peft_type":"LORA","r":4,"lora_alpha":8,"use_rslora":true,"target_modules":["layers.0.self_attn.q_proj","layers.3.mlp.down_proj"],"rank_pattern":{"layers.3.mlp.down_proj":2},"alpha_pattern":{"layers.3.mlp.down_proj":5}}""", (Query, 4), (Down, 2));
        string path = Write(AdapterExport.OpenGguf(ConfigPath, WeightsPath, _model.Weights), AdapterExport.GgufFileName);

        using GgufFile file = GgufFile.Open(path);
        Assert.Equal(("adapter", "lora", "llama"), (file.Metadata.String("general.type"), file.Metadata.String("adapter.type"), file.Metadata.String("general.architecture")));
        Assert.Equal(4, file.Tensors.Count);
        Assert.Equal(_written[PeftNames.A(Query)], Read("blk.0.attn_q.weight.lora_a"));
        // alpha / r = 2 in llama.cpp; 8 / √4 = 4 in PEFT
        float[] b = Read("blk.0.attn_q.weight.lora_b"), original = _written[PeftNames.B(Query)];
        int half = _model.Config.HeadDim / 2;
        for (int row = 0; row < 576; row++)
        {
            int head = row / (2 * half), side = row / half % 2, i = row % half;
            for (int r = 0; r < 4; r++)
                Assert.Equal(2 * original[row * 4 + r], b[(head * 2 * half + i * 2 + side) * 4 + r]);
        }
        // 8 / 2 = 4 in llama.cpp; 5 / √2 in PEFT
        float factor = (float)(5 / Math.Sqrt(2) * 2 / 8);
        Assert.Equal(_written[PeftNames.B(Down)].Select(v => v * factor), Read("blk.3.ffn_down.weight.lora_b"));

        float[] Read(string name)
        {
            var values = new float[file.Find(name)!.Elements];
            file.ReadFloat32(name, values);
            return values;
        }
    }

    [Fact]
    [Trait("Category", "Slow")]
    public void OpenMerged_AddsTheProductToAdaptedWeightsAlone()
    {
        Adapter("""{"peft_type":"LORA","r":4,"lora_alpha":8,"target_modules":["q_proj"],"layers_to_transform":[0]}""", (Query, 4));
        string path = Write(AdapterExport.OpenMerged(ConfigPath, WeightsPath, _model.Weights), AdapterExport.MergedFileName);

        using SafetensorsFile file = SafetensorsFile.Open(path);
        Assert.Equal(_model.Tensors.Select(t => t.Name).Order(StringComparer.Ordinal), file.Tensors.Select(t => t.Name).Order(StringComparer.Ordinal));
        float[] a = _written[PeftNames.A(Query)], b = _written[PeftNames.B(Query)];
        float[] merged = Values(file.ReadFloat32, Query + ".weight", 576 * 576), before = Values(_model.ReadFloat32, Query + ".weight", 576 * 576);
        for (int row = 0; row < 576; row += 7)
        {
            for (int column = 0; column < 576; column++)
            {
                double sum = before[row * 576 + column];
                for (int r = 0; r < 4; r++)
                    sum += 2.0 * b[row * 4 + r] * a[r * 576 + column];
                Assert.Equal(sum, merged[row * 576 + column], 1e-5);
            }
        }
        const string Other = "model.layers.1.self_attn.q_proj.weight";
        Assert.Equal(Values(_model.ReadFloat32, Other, 576 * 576), Values(file.ReadFloat32, Other, 576 * 576));
    }

    private delegate void Reader(string name, Span<float> destination);

    private static float[] Values(Reader read, string name, int count)
    {
        var values = new float[count];
        read(name, values);
        return values;
    }

    private string ConfigPath => Path.Combine(_folder, AdapterConfig.FileName);

    private string WeightsPath => Path.Combine(_folder, AdapterConfig.WeightsFileName);

    private void Adapter(string config, params (string Module, int Rank)[] modules)
    {
        File.WriteAllText(ConfigPath, config);
        var random = new Random(3);
        foreach ((string name, int rank) in modules)
        {
            LinearModule module = _model.LinearModules.Single(m => m.Name == name);
            _written[PeftNames.A(name)] = [.. Enumerable.Range(0, rank * module.In).Select(_ => random.NextSingle() - 0.5f)];
            _written[PeftNames.B(name)] = [.. Enumerable.Range(0, rank * module.Out).Select(_ => random.NextSingle() - 0.5f)];
        }
        SafetensorsWriter.Write(WeightsPath, _written.Select(t => new SafetensorsData(t.Key,
            t.Key.Contains("lora_A", StringComparison.Ordinal) ? [Rank(t.Key), t.Value.Length / Rank(t.Key)] : [t.Value.Length / Rank(t.Key), Rank(t.Key)], t.Value)));

        int Rank(string tensor) => modules.Single(m => tensor.Contains(m.Module, StringComparison.Ordinal)).Rank;
    }
}
