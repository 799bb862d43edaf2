using Hone.Formats.Models;
using Hone.Formats.TrainingData;
using Hone.Training.Kernels;
using Hone.Training.Lora;
using Hone.Training.Model;
using Hone.Training.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace Hone.Training.Devices;

/// <summary>Whether a device computes what Hone's own kernels do: one backward pass of a tiny model of random numbers, with shared prefixes and a window.</summary>
internal static class DeviceProbe
{
    /// <summary>‖Δ‖ / ‖X‖ of the gradients. Two roundings to bfloat16 lie about 0.03 apart.</summary>
    public const double Float32Tolerance = 1e-3, BFloat16Tolerance = 0.1;

    private static readonly ModelConfig s_config = new()
    {
        Architecture = "llama",
        Layers = 2,
        HiddenSize = 128,
        Heads = 4,
        KeyValueHeads = 2,
        HeadDim = 64,
        IntermediateSize = 256,
        VocabularySize = 320,
        RopeTheta = 10_000,
        NormEpsilon = 1e-5,
        ContextLength = 128,
        TiedEmbeddings = true,
        SlidingWindow = 8,
        SlidingLayers = [false, true],
    };

    /// <summary>‖Δ‖ / ‖X‖ of the gradients on the device; infinite where they are not numbers.</summary>
    public static double Difference(Device device, WeightForm form)
    {
        using var scope = NewDisposeScope();
        using Decoder decoder = DecoderLoader.Load(s_config, Read, brain: form == WeightForm.BFloat16);
        using var other = new DeviceDecoder(decoder, device);
        PackedBatch batch = PackedBatch.Pack([.. Enumerable.Range(0, 4).Select(Row)]);
        Tensor expected = Gradients(decoder, decoder.Projections, batch), difference = Gradients(other, decoder.Projections, batch) - expected;
        double share = difference.norm().ToDouble() / expected.norm().ToDouble();
        return double.IsNaN(share) ? double.PositiveInfinity : share;
    }

    /// <summary>Of an adapter of random numbers [P].</summary>
    private static Tensor Gradients(TrainingDecoder decoder, IReadOnlyList<ProjectionShape> projections, PackedBatch batch)
    {
        var modules = projections.SelectMany(p => p.Modules.Select(m => (m.Name, Shape: new LoraModuleShape(p.In, m.Out, 4, 2)))).ToDictionary(m => m.Name, m => m.Shape);
        using var adapter = new LoraAdapter(projections, modules, trainable: true);
        var random = new SplitMix64(1, "adapter");
        foreach (ref float value in Matrix.Of(adapter.Parameters).All())
            value = (float)(random.NextDouble() - 0.5) * 0.2f;
        decoder.ForwardBackward(batch, adapter, batch.TotalWeight);
        return adapter.Gradients!.clone();
    }

    private static EncodedRow Row(int line)
    {
        var random = new SplitMix64(line, "row");
        int[] tokens = [.. Enumerable.Range(1, 12 + line), .. Enumerable.Range(0, 10 + 3 * line).Select(_ => random.NextInt(s_config.VocabularySize))];
        return new EncodedRow(line + 1, tokens, [.. tokens.Select((_, t) => t > 8)]);
    }

    /// <summary>Norms are 1, all else lies within ±0.1.</summary>
    private static void Read(string name, long start, Span<float> destination)
    {
        bool isNorm = name.Contains("norm", StringComparison.Ordinal);
        for (int i = 0; i < destination.Length; i++)
            destination[i] = isNorm ? 1 : (float)(new SplitMix64(start + i, name).NextDouble() - 0.5) * 0.2f;
    }
}
