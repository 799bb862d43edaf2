using Hone.Formats.Models;
using Hone.Training.Lora;
using Hone.Training.Model;

namespace Hone.Training.Tests;

/// <summary>A tiny random model of the references, with room for an adapter on all its linear modules.</summary>
internal sealed class TinyModel : IDisposable
{
    public TinyModel(string folder, BasePrecision precision = default)
    {
        _weights = ModelWeights.Open(folder);
        Config = _weights.Config;
        Decoder = DecoderLoader.Load(_weights, precision);
    }

    private readonly ModelWeights _weights;

    public ModelWeights Weights => _weights;

    public ModelConfig Config { get; }

    public Decoder Decoder { get; }

    public static TinyModel Llama(BasePrecision precision = default) => new(Path.GetDirectoryName(Reference.Files("models/llama/reference.safetensors").First())!, precision);

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

    public void Dispose()
    {
        Decoder.Dispose();
        _weights.Dispose();
    }
}
