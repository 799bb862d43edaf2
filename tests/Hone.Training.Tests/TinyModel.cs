using Hone.Formats.Adapters;
using Hone.Formats.Models;
using Hone.Formats.Safetensors;
using Hone.Formats.TrainingData;
using Hone.Training.Lora;
using Hone.Training.Model;
using Hone.Training.Training;

namespace Hone.Training.Tests;

/// <summary>A tiny random model of the references, with room for an adapter on all its linear modules.</summary>
internal sealed class TinyModel : IDisposable
{
    public TinyModel(string folder, BasePrecision precision = default)
    {
        _folder = folder;
        _weights = ModelWeights.Open(folder);
        Config = _weights.Config;
        Decoder = DecoderLoader.Load(_weights, precision);
    }

    private readonly string _folder;
    private readonly ModelWeights _weights;

    public ModelWeights Weights => _weights;

    public ModelConfig Config { get; }

    public Decoder Decoder { get; }

    public static TinyModel Llama(BasePrecision precision = default) => Of("llama", precision);

    public static TinyModel Of(string name, BasePrecision precision = default) => new(Path.GetDirectoryName(Reference.Existing($"models/{name}/reference.safetensors")[0])!, precision);

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

    /// <summary>The adapter that the references begin with.</summary>
    public LoraAdapter ReferenceAdapter(SafetensorsFile file)
    {
        AdapterConfig config = AdapterConfig.Parse(File.ReadAllBytes(Path.Combine(_folder, "adapter", "adapter_config.json"))).Config!;
        var modules = Decoder.Projections.SelectMany(p => p.Modules.Select(m => (m.Name, m.Out, p.In))).Where(m => config.Targets(m.Name))
            .ToDictionary(m => m.Name, m => new LoraModuleShape(m.In, m.Out, config.RankOf(m.Name), config.ScaleOf(m.Name), config.UseDora));
        Assert.Equal(file.Tensors.Count(t => t.Name.StartsWith("adapter.0.", StringComparison.Ordinal)), modules.Count * (config.UseDora ? 3 : 2));
        var adapter = new LoraAdapter(Decoder.Projections, modules, trainable: true);
        foreach (LoraMatrices module in adapter.Matrices())
        {
            string name = $"adapter.0.base_model.model.{module.Name}.";
            Reference.Read(file, name + "lora_A.weight").CopyTo(Reference.Floats(module.A));
            Reference.Read(file, name + "lora_B.weight").CopyTo(Reference.Floats(module.B));
            if (module.Magnitude is not null)
                Reference.Read(file, name + "lora_magnitude_vector.weight").CopyTo(Reference.Floats(module.Magnitude));
        }
        return adapter;
    }

    /// <summary>Random rows of growing length with the same beginning.</summary>
    public static PackedBatch Batch(int rows, int vocabulary) => PackedBatch.Pack([.. Enumerable.Range(0, rows).Select(i =>
    {
        var random = new SplitMix64(i, "row");
        int[] tokens = [1, 2, 3, .. Enumerable.Range(0, 6 + i).Select(_ => random.NextInt(vocabulary))];
        return new EncodedRow(i + 1, tokens, [.. tokens.Select((_, t) => t > 2)]);
    })]);

    /// <summary>The loss, then every gradient.</summary>
    /// <param name="adapter">Disposed of.</param>
    public static float[] LossAndGradients(TrainingDecoder decoder, LoraAdapter adapter, PackedBatch batch)
    {
        using (adapter)
        {
            adapter.Gradients!.zero_();
            LabelLoss loss = decoder.ForwardBackward(batch, adapter, batch.TotalWeight);
            return [(float)loss.Loss, .. Reference.Floats(adapter.Gradients)];
        }
    }

    public void Dispose()
    {
        Decoder.Dispose();
        _weights.Dispose();
    }
}
