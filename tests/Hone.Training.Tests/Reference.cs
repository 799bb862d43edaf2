using Hone.Formats.Safetensors;
using Hone.Formats.TrainingData;

namespace Hone.Training.Tests;

/// <summary>Reference numbers: the repository's own copy, and every folder in <c>HONE_REFERENCES</c>.</summary>
internal static class Reference
{
    public static string Repository { get; } = FindRepository();

    public static string EmbeddedBase => Path.Combine(Repository, "models", "SmolLM2-135M-Instruct.Q4_1.gguf");

    /// <summary>Every copy of a file, by its path below a reference folder; the repository's comes first.</summary>
    public static IEnumerable<string> Files(string relative) =>
        Roots.Select(folder => Path.Combine(folder, relative)).Where(File.Exists);

    public static IEnumerable<string> Folders(string relative) =>
        Roots.Select(folder => Path.Combine(folder, relative)).Where(Directory.Exists);

    private static IEnumerable<string> Roots =>
        new[] { Path.Combine(Repository, "tests", "references") }
            .Concat((Environment.GetEnvironmentVariable("HONE_REFERENCES") ?? "").Split(':', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries));

    /// <summary>The same where the repository has its own copy: a test that finds none shows nothing.</summary>
    public static IReadOnlyList<string> Existing(string relative)
    {
        string[] files = [.. Files(relative)];
        Assert.NotEmpty(files);
        return files;
    }

    public static Span<float> Floats(TorchSharp.torch.Tensor tensor) => System.Runtime.InteropServices.MemoryMarshal.Cast<byte, float>(tensor.bytes);

    public static float[] Read(SafetensorsFile file, string name)
    {
        SafetensorsTensor tensor = file.Find(name) ?? throw new ArgumentException($"{file.Path} has no tensor {name}.");
        var values = new float[tensor.Elements];
        file.ReadFloat32(name, values);
        return values;
    }

    public static long[] ReadInt64(SafetensorsFile file, string name) =>
        System.Runtime.InteropServices.MemoryMarshal.Cast<byte, long>(file.ReadBytes(name)).ToArray();

    /// <summary>Right-padded rows [B, T] with labels of −100 where nothing is learnt, as rows of their own length.</summary>
    public static EncodedRow[] Rows(SafetensorsFile file, string prefix)
    {
        long[] shape = file.Find(prefix + "input_ids")!.Shape;
        long[] ids = ReadInt64(file, prefix + "input_ids"), mask = ReadInt64(file, prefix + "attention_mask"), labels = ReadInt64(file, prefix + "labels");
        var rows = new EncodedRow[shape[0]];
        for (int b = 0; b < rows.Length; b++)
        {
            int start = b * (int)shape[1];
            int length = (int)mask.AsSpan(start, (int)shape[1]).ToArray().Sum();
            rows[b] = new EncodedRow(
                b + 1, [.. ids.AsSpan(start, length).ToArray().Select(i => (int)i)], [.. labels.AsSpan(start, length).ToArray().Select(l => l >= 0)]);
        }
        return rows;
    }

    /// <summary>max |Δ| ≤ k × noise + 1e-6 × max |X|.</summary>
    public static void AssertClose(ReadOnlySpan<float> expected, ReadOnlySpan<float> actual, double noise, string what, double k = 8)
    {
        Assert.Equal(expected.Length, actual.Length);
        double difference = 0, largest = 0;
        for (int i = 0; i < expected.Length; i++)
        {
            difference = Math.Max(difference, Math.Abs((double)expected[i] - actual[i]));
            largest = Math.Max(largest, Math.Abs(expected[i]));
            if (!float.IsFinite(actual[i]))
                difference = double.PositiveInfinity;
        }
        double allowed = k * noise + 1e-6 * largest;
        Assert.True(difference <= allowed, $"{what}: max |Δ| {difference:g4} > {allowed:g4} (noise {noise:g4}, max |X| {largest:g4})");
    }

    private static string FindRepository()
    {
        for (DirectoryInfo? folder = new(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            if (File.Exists(Path.Combine(folder.FullName, "Hone.slnx")))
                return folder.FullName;
        }
        throw new InvalidOperationException("The tests run from a build inside the repository.");
    }
}
