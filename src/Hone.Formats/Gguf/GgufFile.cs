using Hone.Formats.Files;
using Hone.Formats.Models;

namespace Hone.Formats.Gguf;

/// <summary>
/// A model in GGUF format (github.com/ggml-org/ggml, docs/gguf.md), memory-mapped: opening reads the head only. Everything in the head is checked against the
/// file's length, so that later reads stay inside it. Reading is safe from many threads.
/// </summary>
/// <exception cref="InvalidFileException">The file is cut, damaged, or of a type that cannot be read.</exception>
public sealed class GgufFile : IDisposable
{
    private readonly MappedFile _file;
    private readonly Dictionary<string, GgufTensor> _byName;

    private GgufFile(MappedFile file, int version, Dictionary<string, GgufValue> metadata, List<GgufTensor> tensors)
    {
        _file = file;
        Version = version;
        Metadata = new GgufMetadata(file.Path, metadata);
        Tensors = tensors;
        _byName = tensors.ToDictionary(t => t.Name, StringComparer.Ordinal);
    }

    public string Path => _file.Path;
    public int Version { get; }
    public GgufMetadata Metadata { get; }

    /// <summary>In the file's order.</summary>
    public IReadOnlyList<GgufTensor> Tensors { get; }

    public static GgufFile Open(string path)
    {
        MappedFile file = MappedFile.Open(path);
        try
        {
            (int version, Dictionary<string, GgufValue> metadata, List<GgufTensor> tensors) = new GgufReader(file).Read();
            return new GgufFile(file, version, metadata, tensors);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    public GgufTensor? Find(string name) => _byName.GetValueOrDefault(name);

    /// <summary>The tensor's values, row-major, exactly as the reference implementation widens them to float32.</summary>
    /// <param name="destination">As long as the tensor has elements.</param>
    public void ReadFloat32(string name, Span<float> destination)
    {
        GgufTensor tensor = Find(name) ?? throw new InvalidFileException($"{Path}: there is no tensor '{name}'.");
        if (destination.Length != tensor.Elements)
            throw new ArgumentException($"The tensor '{name}' has {tensor.Elements} elements; the destination has {destination.Length}.", nameof(destination));
        ReadFloat32(tensor, 0, destination);
    }

    /// <summary>A run of a tensor's values in the file's order: <paramref name="destination"/> takes those from element <paramref name="start"/> on. Both are multiples of the type's block.</summary>
    internal unsafe void ReadFloat32(GgufTensor tensor, long start, Span<float> destination)
    {
        (int values, int bytes) = GgmlTypes.Block(tensor.Type)!.Value;
        ArgumentOutOfRangeException.ThrowIfNegative(start);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(start, tensor.Elements - destination.Length);
        if (start % values != 0 || destination.Length % values != 0)
            throw new ArgumentException($"{tensor.Type} is read in blocks of {values}.", nameof(start));
        if (destination.IsEmpty)
            return;
        using MappedFile.Pin pin = _file.PinRange(tensor.Offset + start / values * bytes, (long)destination.Length / values * bytes);
        fixed (float* to = destination)
            Dequantizer.Decode(tensor.Type, pin.Pointer, to, destination.Length);
    }

    /// <summary>A matrix as it is stored; a vector is one column.</summary>
    /// <param name="permutedHeads">
    /// Over 0: the stored rows [heads, d/2, 2] are those of [heads, 2, d/2]. Converters store the query and key rows of llama models in the first order (rotary pairs are neighbours),
    /// Hugging Face in the second (rotary pairs are half a head apart).
    /// </param>
    public unsafe StoredMatrix? Stored(GgufTensor tensor, int permutedHeads = 0) =>
        StoredMatrix.Of(_file.Address(tensor.Offset, tensor.Length), tensor.Type, (int)tensor.Shape[0], tensor.Shape.Length > 1 ? (int)tensor.Shape[1] : 1, permutedHeads);

    public void Dispose() => _file.Dispose();
}
