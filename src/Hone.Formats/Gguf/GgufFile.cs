using Hone.Formats.Files;
using Hone.Formats.Models;

namespace Hone.Formats.Gguf;

/// <summary>
/// A model in GGUF format (github.com/ggml-org/ggml, docs/gguf.md), in one file or several (<see cref="GgufParts"/>), memory-mapped: opening reads the heads only. Everything in a head is
/// checked against the file's length, so that later reads stay inside it. Reading is safe from many threads.
/// </summary>
/// <exception cref="InvalidFileException">The file is cut, damaged, or of a type that cannot be read.</exception>
public sealed class GgufFile : IDisposable
{
    private readonly IReadOnlyList<MappedFile> _files;
    private readonly Dictionary<string, GgufTensor> _byName = new(StringComparer.Ordinal);

    private GgufFile(IReadOnlyList<MappedFile> files, int version, GgufMetadata metadata, List<GgufTensor> tensors)
    {
        (_files, Version, Metadata, Tensors) = (files, version, metadata, tensors);
        foreach (GgufTensor tensor in tensors)
        {
            if (!_byName.TryAdd(tensor.Name, tensor))
                throw new InvalidFileException($"{files[tensor.Part].Path}: the tensor '{tensor.Name}' is in another part of the model too. Fetch its files again.");
        }
        if (files.Count > 1 && metadata.Int32("split.tensors.count") is { } count && count != tensors.Count)
            throw new InvalidFileException($"{Path}: the model's {files.Count} files have {tensors.Count} tensors, but its key split.tensors.count is {count}. Fetch the files again.");
    }

    /// <summary>Of several files the first.</summary>
    public string Path => _files[0].Path;
    public int Version { get; }
    public GgufMetadata Metadata { get; }

    /// <summary>In the files' order.</summary>
    public IReadOnlyList<GgufTensor> Tensors { get; }

    public static GgufFile Open(string path)
    {
        var files = new List<MappedFile>();
        try
        {
            (int version, GgufMetadata metadata, List<GgufTensor> tensors) = Add(path);
            foreach (string part in GgufParts.After(metadata, path))
            {
                (_, GgufMetadata own, List<GgufTensor> more) = Add(part);
                GgufParts.Check(metadata, own, part, files.Count - 1);
                tensors.AddRange(more.Select(t => t with { Part = files.Count - 1 }));
            }
            return new GgufFile(files, version, metadata, tensors);
        }
        catch
        {
            files.ForEach(f => f.Dispose());
            throw;
        }

        (int Version, GgufMetadata Metadata, List<GgufTensor> Tensors) Add(string path)
        {
            files.Add(MappedFile.Open(path));
            (int version, Dictionary<string, GgufValue> metadata, List<GgufTensor> tensors) = new GgufReader(files[^1]).Read();
            return (version, new GgufMetadata(path, metadata), tensors);
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
        using MappedFile.Pin pin = _files[tensor.Part].PinRange(tensor.Offset + start / values * bytes, (long)destination.Length / values * bytes);
        fixed (float* to = destination)
            Dequantizer.Decode(tensor.Type, pin.Pointer, to, destination.Length);
    }

    /// <summary>A matrix as it is stored; a vector is one column.</summary>
    /// <param name="permutedHeads">
    /// Over 0: the stored rows [heads, d/2, 2] are those of [heads, 2, d/2]. Converters store the query and key rows of llama's kin in the first order (rotary pairs are neighbours),
    /// Hugging Face in the second (rotary pairs are half a head apart).
    /// </param>
    public unsafe StoredMatrix? Stored(GgufTensor tensor, int permutedHeads = 0) =>
        StoredMatrix.Of(_files[tensor.Part].Address(tensor.Offset, tensor.Length), tensor.Type, (int)tensor.Shape[0], tensor.Shape.Length > 1 ? (int)tensor.Shape[1] : 1, permutedHeads);

    public void Dispose()
    {
        foreach (MappedFile file in _files)
            file.Dispose();
    }
}
