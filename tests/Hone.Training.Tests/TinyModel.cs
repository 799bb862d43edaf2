using System.Text.Json;
using Hone.Formats.Models;
using Hone.Formats.Safetensors;
using Hone.Training.Lora;
using Hone.Training.Model;

namespace Hone.Training.Tests;

/// <summary>A tiny random model of the references, with room for an adapter on all its linear modules.</summary>
internal sealed class TinyModel : IDisposable
{
    public TinyModel(string folder)
    {
        Config = ReadConfig(Path.Combine(folder, "config.json"));
        using SafetensorsFile weights = SafetensorsFile.Open(Path.Combine(folder, "model.safetensors"));
        Decoder = DecoderLoader.Load(Config, weights.ReadFloat32);
    }

    public ModelConfig Config { get; }

    public Decoder Decoder { get; }

    public static TinyModel Llama() => new(Path.GetDirectoryName(Reference.Files("models/llama/reference.safetensors").First())!);

    /// <summary>Both matrices random, so that every gradient is alive.</summary>
    public LoraAdapter Adapter(long seed, double dropout = 0)
    {
        var modules = Decoder.Projections.SelectMany(p => p.Modules.Select(m => (m.Name, new LoraModuleShape(p.In, m.Out, 4, 2.0)))).ToDictionary(m => m.Name, m => m.Item2);
        var adapter = new LoraAdapter(Decoder.Projections, modules, trainable: true) { Dropout = dropout };
        adapter.Initialize(seed);
        var random = new SplitMix64(seed, "b");
        foreach (LoraMatrices module in adapter.Matrices())
        {
            Span<float> b = Reference.Floats(module.B);
            for (int i = 0; i < b.Length; i++)
                b[i] = (float)(random.NextDouble() - 0.5) * 0.1f;
        }
        return adapter;
    }

    private static ModelConfig ReadConfig(string path)
    {
        using JsonDocument json = JsonDocument.Parse(File.ReadAllBytes(path));
        int Int(string key) => json.RootElement.GetProperty(key).GetInt32();
        return new ModelConfig
        {
            Architecture = "llama",
            Layers = Int("num_hidden_layers"),
            HiddenSize = Int("hidden_size"),
            Heads = Int("num_attention_heads"),
            KeyValueHeads = Int("num_key_value_heads"),
            HeadDim = Int("hidden_size") / Int("num_attention_heads"),
            IntermediateSize = Int("intermediate_size"),
            VocabularySize = Int("vocab_size"),
            RopeTheta = json.RootElement.GetProperty("rope_theta").GetDouble(),
            NormEpsilon = json.RootElement.GetProperty("rms_norm_eps").GetDouble(),
            ContextLength = Int("max_position_embeddings"),
            TiedEmbeddings = json.RootElement.GetProperty("tie_word_embeddings").GetBoolean(),
        };
    }

    public void Dispose() => Decoder.Dispose();
}
