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

    /// <summary>
    /// llama.cpp's adapter: <c>general.type = adapter</c>, <c>adapter.type = lora</c>, <c>blk.N.….weight.lora_a</c> [r, in] and <c>.lora_b</c> [out, r], the query and
    /// key rows in the base's order. llama.cpp scales every module by alpha / rank; what a module's scale differs from that is in its lora_b.
    /// </summary>
    /// <exception cref="InvalidFileException">The files do not fit, or llama.cpp has no such model.</exception>
    public static void WriteGguf(Stream stream, string configPath, string weightsPath, BaseModel model)
    {
        string architecture = GgufArchitecture(model.Config.Architecture)
            ?? throw new InvalidFileException($"A GGUF adapter cannot be made for the architecture {model.Config.Architecture}. Take the PEFT files, or the merged weights.");
        using var adapter = new Files(configPath, weightsPath);
        var tensors = new List<GgufData>();
        foreach (ModelTensor tensor in ModelTensors.Of(model.Config).Where(t => t.Linear))
        {
            string module = tensor.Name[..^".weight".Length];
            if (adapter.Read(module) is not var (a, b, scale))
                continue;
            if (adapter.Config.UseDora)
                throw new InvalidFileException("llama.cpp has no DoRA. Take the merged weights.");
            int rank = a.Length / (int)tensor.Shape[1];
            float factor = (float)(scale * rank / adapter.Config.Alpha);
            if (factor != 1)
                b = Array.ConvertAll(b, value => value * factor);
            if (PermutedHeads(model.Config, module) is > 0 and int heads)
                b = Permute(b, heads, rank);
            tensors.Add(new GgufData($"{tensor.GgufName}.lora_a", [rank, tensor.Shape[1]], a));
            tensors.Add(new GgufData($"{tensor.GgufName}.lora_b", [tensor.Shape[0], rank], b));
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

    /// <summary>W + s · B A for every adapted module, all other tensors as they are: float32, by Hugging Face's names. One tensor at a time is in memory.</summary>
    public static void WriteMerged(Stream stream, string configPath, string weightsPath, BaseModel model)
    {
        using var adapter = new Files(configPath, weightsPath);
        SafetensorsWriter.Write(stream, model.Tensors.Select(t => new SafetensorsTensorSource(t.Name, t.Shape, () =>
        {
            var values = new float[t.Shape.Aggregate(1L, (product, size) => product * size)];
            model.ReadFloat32(t.Name, values);
            if (t.Name.EndsWith(".weight", StringComparison.Ordinal) && adapter.Read(t.Name[..^".weight".Length]) is var (a, b, scale))
                Add(values, a, b, scale, (int)t.Shape[1], adapter.ReadMagnitude(t.Name[..^".weight".Length]));
            return values;
        })), new Dictionary<string, string> { ["format"] = "pt" });
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

    private static int PermutedHeads(ModelConfig config, string module) =>
        GgufArchitecture(config.Architecture) != "llama" ? 0
        : module.EndsWith(".q_proj", StringComparison.Ordinal) ? config.Heads
        : module.EndsWith(".k_proj", StringComparison.Ordinal) ? config.KeyValueHeads
        : 0;

    private static string? GgufArchitecture(string family) => family switch
    {
        "llama" or "mistral" => "llama",
        "qwen2" or "qwen3" or "gemma" or "gemma2" or "phi3" => family,
        "gemma3_text" or "gemma3" => "gemma3",
        _ => null,
    };

    private sealed class Files : IDisposable
    {
        private readonly SafetensorsFile _weights;

        public Files(string configPath, string weightsPath)
        {
            AdapterConfigResult parsed = AdapterConfig.Parse(File.ReadAllBytes(configPath));
            Config = parsed.Config ?? throw new InvalidFileException($"{AdapterConfig.FileName}: {string.Join(" ", parsed.Errors)}");
            _weights = SafetensorsFile.Open(weightsPath);
        }

        public AdapterConfig Config { get; }

        /// <summary>A [r, in], B [out, r] and the scale of a module; null where it is not adapted.</summary>
        public (float[] A, float[] B, double Scale)? Read(string module) =>
            _weights.Find(PeftNames.A(module)) is { } a && _weights.Find(PeftNames.B(module)) is { } b ? (Values(a), Values(b), Config.ScaleOf(module)) : null;

        /// <summary>DoRA's [out]; null without it.</summary>
        public float[]? ReadMagnitude(string module) => _weights.Find(PeftNames.Magnitude(module)) is { } magnitude ? Values(magnitude) : null;

        private float[] Values(SafetensorsTensor tensor)
        {
            var values = new float[tensor.Elements];
            _weights.ReadFloat32(tensor.Name, values);
            return values;
        }

        public void Dispose() => _weights.Dispose();
    }
}
