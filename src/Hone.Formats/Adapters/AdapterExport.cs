using System.Numerics;
using Hone.Formats.Gguf;
using Hone.Formats.Models;
using Hone.Formats.Safetensors;

namespace Hone.Formats.Adapters;

/// <summary>
/// A PEFT adapter in other programs' forms: llama.cpp's GGUF adapter, and the base model with the adapter added to its weights. All that can be wrong with the adapter is
/// found when one is opened; the bytes are made while they are read, of merged weights some rows at a time, the same ones each time.
/// </summary>
public sealed class AdapterExport : IDisposable
{
    public const string GgufFileName = "adapter.gguf";
    public const string MergedFileName = "merged.safetensors";
    private const string WeightSuffix = ".weight";
    private const string BiasSuffix = ".bias";

    /// <summary>Merged at a time: 256 KiB.</summary>
    private const int PartValues = 1 << 16;

    private readonly AdapterFiles _adapter;

    private AdapterExport(AdapterFiles adapter, long length, IEnumerable<ReadOnlyMemory<byte>> pieces)
    {
        (_adapter, Length, Pieces) = (adapter, length, pieces);
    }

    /// <summary>In bytes.</summary>
    public long Length { get; }

    /// <summary>The file's bytes from first to last; a piece is good until the next one is asked for.</summary>
    public IEnumerable<ReadOnlyMemory<byte>> Pieces { get; }

    public void Dispose() => _adapter.Dispose();

    /// <summary>
    /// llama.cpp's adapter: <c>general.type = adapter</c>, <c>adapter.type = lora</c>, <c>blk.N.….weight.lora_a</c> [r, in] and <c>.lora_b</c> [out, r], the query and
    /// key rows in the base's order. llama.cpp scales every module by alpha / rank; what a module's scale differs from that is in its lora_b.
    /// </summary>
    /// <exception cref="InvalidFileException">The files do not fit, or llama.cpp has no such model or no such adapter.</exception>
    public static AdapterExport OpenGguf(string configPath, string weightsPath, ModelWeights model)
    {
        string architecture = ModelTensors.GgufArchitecture(model.Config.Architecture)
            ?? throw new InvalidFileException($"A GGUF adapter cannot be made for the architecture {model.Config.Architecture}. Take the PEFT files, or the merged weights.");
        return Open(configPath, weightsPath, model, adapter => Gguf(adapter, architecture, model));
    }

    private static AdapterExport Gguf(AdapterFiles adapter, string architecture, ModelWeights model)
    {
        if (adapter.Config.UseDora)
            throw new InvalidFileException("llama.cpp has no DoRA. Take the merged weights.");
        if (adapter.Config.LoraBias)
            throw new InvalidFileException("llama.cpp has no biases on adapters (lora_bias). Take the PEFT files, or the merged weights where the base has biases too.");
        if (adapter.Whole.Count > 0)
            throw new InvalidFileException($"llama.cpp's adapters cannot replace {string.Join(" and ", adapter.Whole.Select(m => m.Name))} (modules_to_save). Take the merged weights.");
        Dictionary<string, ModelTensor> places = ModelTensors.Of(model.Config).Where(t => t.Linear).ToDictionary(t => t.Name[..^WeightSuffix.Length]);
        var tensors = new List<GgufTensorSource>();
        foreach (LinearModule module in adapter.Modules)
        {
            ModelTensor place = places[module.Name];
            int rank = adapter.Config.RankOf(module.Name);
            tensors.Add(new GgufTensorSource($"{place.GgufName}.lora_a", [rank, module.In], () => adapter.Read(AdapterTensor.A, module.Name)));
            tensors.Add(new GgufTensorSource($"{place.GgufName}.lora_b", [module.Out, rank], () => B(module.Name, rank)));
        }
        KeyValuePair<string, object>[] metadata =
        [
            new("general.architecture", architecture),
            new("general.type", "adapter"),
            new("general.name", adapter.Config.BaseModel ?? "adapter"),
            new("adapter.type", "lora"),
            new("adapter.lora.alpha", (float)adapter.Config.Alpha),
        ];
        return new AdapterExport(adapter, GgufWriter.Length(metadata, tensors), GgufWriter.Pieces(metadata, tensors));

        float[] B(string module, int rank)
        {
            float[] b = adapter.Read(AdapterTensor.B, module);
            float factor = (float)(adapter.Config.ScaleOf(module) * rank / adapter.Config.Alpha);
            if (factor != 1)
                b = Array.ConvertAll(b, value => value * factor);
            return places[module].PermutedHeads is > 0 and var heads ? Permute(b, heads, rank) : b;
        }
    }

    /// <summary>
    /// W + s · B A for every adapted module, the adapter's own matrices where it replaces some, all other tensors as they are: float32, by Hugging Face's names.
    /// Where a tied base's embedding or output matrix is replaced, the two part: both are written, and the metadata's
    /// <c>tie_word_embeddings</c> tells what the model's config must say.
    /// </summary>
    /// <exception cref="InvalidFileException">The files do not fit, or the model has no place for what they hold.</exception>
    public static AdapterExport OpenMerged(string configPath, string weightsPath, ModelWeights model) =>
        Open(configPath, weightsPath, model, adapter => Merged(adapter, model));

    private static AdapterExport Open(string configPath, string weightsPath, ModelWeights model, Func<AdapterFiles, AdapterExport> export)
    {
        var adapter = AdapterFiles.Open(configPath, weightsPath, model.Config);
        try
        {
            adapter.CheckFinite();
            return export(adapter);
        }
        catch
        {
            adapter.Dispose();
            throw;
        }
    }

    private static AdapterExport Merged(AdapterFiles adapter, ModelWeights model)
    {
        HashSet<string> adapted = [.. adapter.Modules.Select(m => m.Name)], whole = [.. adapter.Whole.Select(m => m.Name)];
        if (adapter.Config.LoraBias && adapted.FirstOrDefault(m => !model.Tensors.Any(t => t.Name == m + BiasSuffix)) is { } bare)
            throw new InvalidFileException($"The adapter has a bias for '{bare}' (lora_bias), and the base model has none to add it to: the two cannot be merged. Take the PEFT files.");
        bool untied = model.Config.TiedEmbeddings && whole.Count > 0;
        var metadata = new Dictionary<string, string> { ["format"] = "pt" };
        IEnumerable<NamedShape> shapes = model.Tensors;
        if (untied)
        {
            metadata["tie_word_embeddings"] = "false";
            shapes = shapes.Append(new NamedShape(AdapterPlaces.Head + WeightSuffix, [model.Config.VocabularySize, model.Config.HiddenSize]));
        }
        SafetensorsTensorSource[] tensors = [.. shapes.Select(t => new SafetensorsTensorSource(t.Name, t.Shape, () => Values(t)))];
        return new AdapterExport(adapter, SafetensorsWriter.Length(tensors, metadata), SafetensorsWriter.Pieces(tensors, metadata));

        // Some rows at a time: an embedding alone can have gigabytes.
        IEnumerable<ReadOnlyMemory<float>> Values(NamedShape tensor)
        {
            bool isWeight = tensor.Name.EndsWith(WeightSuffix, StringComparison.Ordinal);
            string module = tensor.Name[..tensor.Name.LastIndexOf('.')];
            if (isWeight && whole.Contains(module))
            {
                yield return adapter.Read(AdapterTensor.Whole, module);
                yield break;
            }
            bool isAdapted = adapted.Contains(module);
            int width = tensor.Shape.Length > 1 ? (int)tensor.Shape[1] : 1;
            Change? change = isAdapted && isWeight ? Change.Of(adapter, module, width) : null;
            float[]? bias = isAdapted && !isWeight && adapter.Config.LoraBias ? adapter.Read(AdapterTensor.Bias, module) : null;
            double scale = bias is null ? 0 : adapter.Config.ScaleOf(module);
            var part = new float[Math.Min(tensor.Shape[0], Math.Max(1, PartValues / width)) * width];
            for (int row = 0, rows = part.Length / width; row < tensor.Shape[0]; row += rows)
            {
                int values = (int)Math.Min(rows, tensor.Shape[0] - row) * width;
                model.ReadFloat32(untied && module == AdapterPlaces.Head ? AdapterPlaces.Embedding + WeightSuffix : tensor.Name, (long)row * width, part.AsSpan(0, values));
                change?.AddTo(part.AsMemory(0, values), row);
                for (int i = 0; bias is not null && i < values; i++)
                    part[i] += (float)(scale * bias[row + i]);
                yield return part.AsMemory(0, values);
            }
        }
    }

    /// <summary>What an adapter adds to a weight [out, <paramref name="width"/>].</summary>
    /// <param name="a">[rank, width]</param>
    /// <param name="b">[out, rank]</param>
    /// <param name="magnitude">DoRA's [out]: the norm that each row gets.</param>
    private sealed class Change(float[] a, float[] b, double scale, int width, float[]? magnitude)
    {
        public static Change Of(AdapterFiles adapter, string module, int width) => new(
            adapter.Read(AdapterTensor.A, module), adapter.Read(AdapterTensor.B, module), adapter.Config.ScaleOf(module), width, adapter.Config.UseDora ? adapter.Read(AdapterTensor.Magnitude, module) : null);

        /// <param name="weight">Some rows.</param>
        /// <param name="first">The first of them.</param>
        public void AddTo(Memory<float> weight, int first) => Parallel.For(0, weight.Length / width, row => AddTo(weight.Span.Slice(row * width, width), first + row));

        private void AddTo(Span<float> target, int row)
        {
            int rank = a.Length / width;
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
        }
    }

    /// <summary>Rows [heads, 2, d/2] to [heads, d/2, 2], as llama.cpp's converter stores queries and keys of llama's kin.</summary>
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
