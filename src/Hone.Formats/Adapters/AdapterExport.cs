using System.Numerics;
using Hone.Formats.Gguf;
using Hone.Formats.Models;
using Hone.Formats.Safetensors;

namespace Hone.Formats.Adapters;

/// <summary>A PEFT adapter in other programs' forms: llama.cpp's GGUF adapter, and the base model with the adapter added to its weights.</summary>
public static class AdapterExport
{
    public const string GgufFileName = "adapter.gguf";
    public const string MergedFileName = "merged.safetensors";
    private const string WeightSuffix = ".weight";
    private const string BiasSuffix = ".bias";

    /// <summary>
    /// llama.cpp's adapter: <c>general.type = adapter</c>, <c>adapter.type = lora</c>, <c>blk.N.….weight.lora_a</c> [r, in] and <c>.lora_b</c> [out, r], the query and
    /// key rows in the base's order. llama.cpp scales every module by alpha / rank; what a module's scale differs from that is in its lora_b.
    /// </summary>
    /// <exception cref="InvalidFileException">The files do not fit, or llama.cpp has no such model or no such adapter.</exception>
    public static void WriteGguf(Stream stream, string configPath, string weightsPath, ModelWeights model)
    {
        string architecture = ModelTensors.GgufArchitecture(model.Config.Architecture)
            ?? throw new InvalidFileException($"A GGUF adapter cannot be made for the architecture {model.Config.Architecture}. Take the PEFT files, or the merged weights.");
        using var adapter = AdapterFiles.Open(configPath, weightsPath, model.Config);
        if (adapter.Config.UseDora)
            throw new InvalidFileException("llama.cpp has no DoRA. Take the merged weights.");
        if (adapter.Config.LoraBias)
            throw new InvalidFileException("llama.cpp has no biases on adapters (lora_bias). Take the merged weights.");
        if (adapter.Whole.Count > 0)
            throw new InvalidFileException($"llama.cpp's adapters cannot replace {string.Join(" and ", adapter.Whole.Select(m => m.Name))} (modules_to_save). Take the merged weights.");
        Dictionary<string, ModelTensor> places = ModelTensors.Of(model.Config).Where(t => t.Linear).ToDictionary(t => t.Name[..^WeightSuffix.Length]);
        var tensors = new List<GgufData>();
        foreach (LinearModule module in adapter.Modules)
        {
            ModelTensor place = places[module.Name];
            float[] b = adapter.Read(AdapterTensor.B, module.Name);
            int rank = adapter.Config.RankOf(module.Name);
            float factor = (float)(adapter.Config.ScaleOf(module.Name) * rank / adapter.Config.Alpha);
            if (factor != 1)
                b = Array.ConvertAll(b, value => value * factor);
            if (place.PermutedHeads > 0)
                b = Permute(b, place.PermutedHeads, rank);
            tensors.Add(new GgufData($"{place.GgufName}.lora_a", [rank, module.In], adapter.Read(AdapterTensor.A, module.Name)));
            tensors.Add(new GgufData($"{place.GgufName}.lora_b", [module.Out, rank], b));
        }
        GgufWriter.Write(stream,
        [
            new("general.architecture", architecture),
            new("general.type", "adapter"),
            new("general.name", adapter.Config.BaseModel ?? "adapter"),
            new("adapter.type", "lora"),
            new("adapter.lora.alpha", (float)adapter.Config.Alpha),
        ], tensors);
    }

    /// <summary>
    /// W + s · B A for every adapted module, the adapter's own matrices where it replaces some, all other tensors as they are: float32, by Hugging Face's names. One
    /// tensor at a time is in memory. Where a tied base's embedding or output matrix is replaced, the two part: both are written, and the metadata's
    /// <c>tie_word_embeddings</c> tells what the model's config must say.
    /// </summary>
    /// <exception cref="InvalidFileException">The files do not fit, or the model has no place for what they hold.</exception>
    public static void WriteMerged(Stream stream, string configPath, string weightsPath, ModelWeights model)
    {
        using var adapter = AdapterFiles.Open(configPath, weightsPath, model.Config);
        HashSet<string> adapted = [.. adapter.Modules.Select(m => m.Name)], whole = [.. adapter.Whole.Select(m => m.Name)];
        if (adapter.Config.LoraBias && adapted.FirstOrDefault(m => !model.Tensors.Any(t => t.Name == m + BiasSuffix)) is { } bare)
            throw new InvalidFileException($"The adapter has a bias for '{bare}' (lora_bias), and the base model has none to add it to: the two cannot be merged. Take the PEFT files.");
        bool untied = model.Config.TiedEmbeddings && whole.Count > 0;
        var metadata = new Dictionary<string, string> { ["format"] = "pt" };
        IEnumerable<NamedShape> tensors = model.Tensors;
        if (untied)
        {
            metadata["tie_word_embeddings"] = "false";
            tensors = tensors.Append(new NamedShape(AdapterPlaces.Head + WeightSuffix, [model.Config.VocabularySize, model.Config.HiddenSize]));
        }
        SafetensorsWriter.Write(stream, tensors.Select(t => new SafetensorsTensorSource(t.Name, t.Shape, () => Merged(t))), metadata);

        ReadOnlyMemory<float> Merged(NamedShape tensor)
        {
            bool isWeight = tensor.Name.EndsWith(WeightSuffix, StringComparison.Ordinal);
            string module = tensor.Name[..tensor.Name.LastIndexOf('.')];
            if (isWeight && whole.Contains(module))
                return adapter.Read(AdapterTensor.Whole, module);
            var values = new float[tensor.Shape.Aggregate(1L, (product, size) => product * size)];
            model.ReadFloat32(untied && module == AdapterPlaces.Head ? AdapterPlaces.Embedding + WeightSuffix : tensor.Name, 0, values);
            if (!adapted.Contains(module))
                return values;
            double scale = adapter.Config.ScaleOf(module);
            if (isWeight)
            {
                Add(values, adapter.Read(AdapterTensor.A, module), adapter.Read(AdapterTensor.B, module), scale, (int)tensor.Shape[1],
                    adapter.Config.UseDora ? adapter.Read(AdapterTensor.Magnitude, module) : null);
            }
            else if (adapter.Config.LoraBias)
            {
                float[] bias = adapter.Read(AdapterTensor.Bias, module);
                for (int i = 0; i < values.Length; i++)
                    values[i] += (float)(scale * bias[i]);
            }
            return values;
        }
    }

    /// <param name="magnitude">DoRA's [out]: the norm that each row gets.</param>
    private static void Add(float[] weight, float[] a, float[] b, double scale, int width, float[]? magnitude)
    {
        int rank = a.Length / width, rows = weight.Length / width;
        Parallel.For(0, rows, row =>
        {
            Span<float> target = weight.AsSpan(row * width, width);
            for (int r = 0; r < rank; r++)
            {
                float factor = (float)(scale * b[row * rank + r]);
                ReadOnlySpan<float> source = a.AsSpan(r * width, width);
                int i = 0;
                for (; i <= width - Vector<float>.Count; i += Vector<float>.Count)
                    (new Vector<float>(target[i..]) + new Vector<float>(source[i..]) * factor).CopyTo(target[i..]);
                for (; i < width; i++)
                    target[i] += source[i] * factor;
            }
            if (magnitude is null)
                return;
            double square = 0;
            foreach (float value in target)
                square += (double)value * value;
            float toMagnitude = (float)(magnitude[row] / Math.Sqrt(square));
            foreach (ref float value in target)
                value *= toMagnitude;
        });
    }

    /// <summary>Rows [heads, 2, d/2] to [heads, d/2, 2], as llama.cpp's converter stores queries and keys of llama models.</summary>
    private static float[] Permute(float[] rows, int heads, int width)
    {
        var result = new float[rows.Length];
        int half = rows.Length / width / heads / 2;
        for (int head = 0; head < heads; head++)
        {
            for (int side = 0; side < 2; side++)
            {
                for (int i = 0; i < half; i++)
                    rows.AsSpan(((head * 2 + side) * half + i) * width, width).CopyTo(result.AsSpan(((head * half + i) * 2 + side) * width));
            }
        }
        return result;
    }
}
