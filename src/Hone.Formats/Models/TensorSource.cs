using Hone.Formats.Gguf;
using Hone.Formats.Safetensors;

namespace Hone.Formats.Models;

/// <summary>Where a model's tensors lie. Reading is safe from many threads.</summary>
internal abstract class TensorSource : IDisposable
{
    /// <summary>Every stored tensor that belongs to the model.</summary>
    public abstract IEnumerable<string> Names { get; }

    /// <summary>The type that most values are stored in.</summary>
    public abstract string Type { get; }

    public abstract string? StoredName(ModelTensor tensor);

    /// <summary>Null where there is none.</summary>
    public abstract long[]? ShapeOf(string storedName);

    /// <summary>Why a tensor cannot be read; null where it can.</summary>
    public abstract string? Unreadable(string storedName);

    /// <summary>Values in Hugging Face's order from element <paramref name="start"/> on, a row's: all, or whole rows.</summary>
    public abstract void Read(ModelTensor tensor, long start, Span<float> destination);

    /// <summary>A run of the stored values in the stored order, from a multiple of 256 on.</summary>
    public abstract void ReadRun(string storedName, long start, Span<float> destination);

    /// <summary>A matrix as it is stored; null where it has to be read whole.</summary>
    public abstract StoredMatrix? Stored(ModelTensor tensor);

    public abstract void Dispose();
}

/// <summary>A GGUF file. What its converters change of Hugging Face's tensors is undone: the order of query and key rows, and the 1 that is added to gemma's norms.</summary>
internal sealed class GgufSource(GgufFile file, bool normsAddOne) : TensorSource
{
    /// <summary>Tables of rotary factors; they are part of the config.</summary>
    private static readonly string[] s_tables = [GgufModelConfig.Frequencies, GgufModelConfig.LongFactors, GgufModelConfig.ShortFactors];

    public override IEnumerable<string> Names => file.Tensors.Select(t => t.Name).Except(s_tables);

    public override string Type => file.Tensors.Count == 0 ? "" : file.Tensors.GroupBy(t => t.Type).MaxBy(g => g.Sum(t => t.Elements))!.Key.ToString();

    public override string? StoredName(ModelTensor tensor) => tensor.GgufName;

    public override long[]? ShapeOf(string storedName) => file.Find(storedName)?.Shape;

    public override string? Unreadable(string storedName) => file.Find(storedName) is { Shape.Length: 1 } vector && GgmlTypes.Block(vector.Type)!.Value.Values > 1
        ? $"is a vector stored as {vector.Type}; F32, F16 and BF16 can be used" : null;

    public override void Read(ModelTensor tensor, long start, Span<float> destination)
    {
        if (tensor.PermutedHeads > 0)
            ReadRows(Stored(tensor)!.Value, start, destination);
        else
            ReadRun(tensor.GgufName!, start, destination);
        if (!normsAddOne || !tensor.Norm)
            return;
        for (int i = 0; i < destination.Length; i++)
            destination[i] -= 1;
    }

    public override void ReadRun(string storedName, long start, Span<float> destination) => file.ReadFloat32(file.Find(storedName)!, start, destination);

    public override StoredMatrix? Stored(ModelTensor tensor) => file.Stored(file.Find(tensor.GgufName!)!, tensor.PermutedHeads);

    public override void Dispose() => file.Dispose();

    private static unsafe void ReadRows(in StoredMatrix matrix, long start, Span<float> destination)
    {
        (int first, int rows) = ((int)(start / matrix.Columns), destination.Length / matrix.Columns);
        if (start % matrix.Columns != 0 || destination.Length % matrix.Columns != 0 || start < 0 || first + rows > matrix.Rows)
            throw new ArgumentException($"Elements {start} to {start + destination.Length} are not whole rows of {matrix.Rows} × {matrix.Columns} values.", nameof(start));
        fixed (float* to = destination)
            matrix.WidenRows(first, rows, 0, matrix.Columns, to, matrix.Columns);
    }
}

/// <summary>The safetensors files of a Hugging Face folder.</summary>
internal sealed class SafetensorsSource(IReadOnlyList<SafetensorsFile> files) : TensorSource
{
    private readonly Dictionary<string, SafetensorsFile> _fileOf =
        files.SelectMany(f => f.Tensors.Select(t => (t.Name, File: f))).ToDictionary(p => p.Name, p => p.File, StringComparer.Ordinal);

    // Old files carry rotary frequencies, which follow from the config.
    public override IEnumerable<string> Names => _fileOf.Keys.Where(n => !n.EndsWith(".rotary_emb.inv_freq", StringComparison.Ordinal));

    public override string Type => _fileOf.Count == 0 ? "" : files.SelectMany(f => f.Tensors).GroupBy(t => t.Type).MaxBy(g => g.Sum(t => t.Elements))!.Key.ToString();

    public override string? StoredName(ModelTensor tensor) => tensor.Name;

    public override long[]? ShapeOf(string storedName) => Find(storedName)?.Shape;

    public override string? Unreadable(string storedName) =>
        Find(storedName)!.Type is SafetensorsType.F32 or SafetensorsType.F16 or SafetensorsType.BF16 ? null : $"is stored as {Find(storedName)!.Type}; F32, F16 and BF16 can be used";

    public override void Read(ModelTensor tensor, long start, Span<float> destination) => ReadRun(tensor.Name, start, destination);

    public override void ReadRun(string storedName, long start, Span<float> destination) => _fileOf[storedName].ReadFloat32(Find(storedName)!, start, destination);

    public override StoredMatrix? Stored(ModelTensor tensor) => _fileOf[tensor.Name].Stored(tensor.Name);

    public override void Dispose()
    {
        foreach (SafetensorsFile file in files)
            file.Dispose();
    }

    private SafetensorsTensor? Find(string name) => _fileOf.GetValueOrDefault(name)?.Find(name);
}
