using Hone.Formats.Files;
using Hone.Formats.Gguf;
using Hone.Formats.Models;

namespace Hone.Formats.Safetensors;

/// <summary>Element types; the names are the format's.</summary>
public enum SafetensorsType
{
    Bool,
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    U64,
    I64,
    F16,
    BF16,
    F32,
    F64,
}

/// <summary>A tensor as the header lists it.</summary>
/// <param name="Offset">First byte, counted from the start of the file.</param>
/// <param name="Length">Bytes.</param>
public sealed record SafetensorsTensor(string Name, SafetensorsType Type, long[] Shape, long Offset, long Length)
{
    public long Elements => Length / SizeOf(Type);

    public static int SizeOf(SafetensorsType type) => type switch
    {
        SafetensorsType.Bool or SafetensorsType.U8 or SafetensorsType.I8 => 1,
        SafetensorsType.U16 or SafetensorsType.I16 or SafetensorsType.F16 or SafetensorsType.BF16 => 2,
        SafetensorsType.U32 or SafetensorsType.I32 or SafetensorsType.F32 => 4,
        _ => 8,
    };
}

/// <summary>
/// A file in safetensors format (github.com/huggingface/safetensors), memory-mapped: opening reads the header only, and holds it to the format's own rules:
/// the tensors fill the rest of the file without gap or overlap. Reading is safe from many threads.
/// </summary>
/// <exception cref="InvalidFileException">The file is cut, damaged, or of a type that cannot be read.</exception>
public sealed class SafetensorsFile : IDisposable
{
    private readonly MappedFile _file;
    private readonly Dictionary<string, SafetensorsTensor> _byName;

    private SafetensorsFile(MappedFile file, Dictionary<string, string> metadata, List<SafetensorsTensor> tensors)
    {
        _file = file;
        Metadata = metadata;
        Tensors = tensors;
        _byName = tensors.ToDictionary(t => t.Name, StringComparer.Ordinal);
    }

    public string Path => _file.Path;
    public long Length => _file.Length;

    /// <summary>The header's <c>__metadata__</c>.</summary>
    public IReadOnlyDictionary<string, string> Metadata { get; }

    /// <summary>In the order of their bytes.</summary>
    public IReadOnlyList<SafetensorsTensor> Tensors { get; }

    public static SafetensorsFile Open(string path) => Open(path, path, SafetensorsHeader.MaxBytes);

    /// <param name="shownName">Stands for the path in errors, where the path says nothing to their reader.</param>
    internal static SafetensorsFile Open(string path, string shownName, int maxHeaderBytes)
    {
        MappedFile file = MappedFile.Open(path);
        try
        {
            (Dictionary<string, string> metadata, List<SafetensorsTensor> tensors) = new SafetensorsHeader(file, shownName, maxHeaderBytes).Read();
            return new SafetensorsFile(file, metadata, tensors);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    public SafetensorsTensor? Find(string name) => _byName.GetValueOrDefault(name);

    /// <summary>The tensor's bytes, valid until the file is disposed.</summary>
    public ReadOnlySpan<byte> ReadBytes(string name)
    {
        SafetensorsTensor tensor = Required(name);
        if (tensor.Length > int.MaxValue)
            throw new InvalidFileException($"{Path}: the tensor '{name}' has {tensor.Length} bytes; at most {int.MaxValue} can be read as one.");
        return _file.Slice(tensor.Offset, (int)tensor.Length);
    }

    /// <summary>A matrix as it is stored; null for types that weights do not have.</summary>
    internal unsafe StoredMatrix? Stored(string name)
    {
        SafetensorsTensor tensor = Required(name);
        GgmlType? type = tensor.Type switch
        {
            SafetensorsType.F32 => GgmlType.F32,
            SafetensorsType.F16 => GgmlType.F16,
            SafetensorsType.BF16 => GgmlType.BF16,
            _ => null,
        };
        return type is null ? null : StoredMatrix.Of(_file.Address(tensor.Offset, tensor.Length), type.Value, (int)tensor.Shape[0], (int)tensor.Shape[1]);
    }

    /// <summary>The tensor's values as float32, row-major; exact for F16, BF16, F32 and integers of up to 24 bits, else rounded.</summary>
    /// <param name="destination">As long as the tensor has elements.</param>
    public void ReadFloat32(string name, Span<float> destination)
    {
        SafetensorsTensor tensor = Required(name);
        if (destination.Length != tensor.Elements)
            throw new ArgumentException($"The tensor '{name}' has {tensor.Elements} elements; the destination has {destination.Length}.", nameof(destination));
        ReadFloat32(tensor, 0, destination);
    }

    /// <summary>A run of a tensor's values: <paramref name="destination"/> takes those from element <paramref name="start"/> on.</summary>
    public unsafe void ReadFloat32(SafetensorsTensor tensor, long start, Span<float> destination)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(start);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(start, tensor.Elements - destination.Length);
        if (destination.IsEmpty)
            return;
        int size = SafetensorsTensor.SizeOf(tensor.Type);
        using MappedFile.Pin pin = _file.PinRange(tensor.Offset + start * size, (long)destination.Length * size);
        fixed (float* target = destination)
        {
            byte* source = pin.Pointer;
            long count = destination.Length;
            switch (tensor.Type)
            {
                case SafetensorsType.F32: Buffer.MemoryCopy(source, target, count * 4, count * 4); break;
                case SafetensorsType.F16: Dequantizer.Half(source, target, count); break;
                case SafetensorsType.BF16: Dequantizer.BrainFloat(source, target, count); break;
                case SafetensorsType.F64: Dequantizer.Convert<double>(source, target, count); break;
                case SafetensorsType.Bool or SafetensorsType.U8: Dequantizer.Convert<byte>(source, target, count); break;
                case SafetensorsType.I8: Dequantizer.Convert<sbyte>(source, target, count); break;
                case SafetensorsType.U16: Dequantizer.Convert<ushort>(source, target, count); break;
                case SafetensorsType.I16: Dequantizer.Convert<short>(source, target, count); break;
                case SafetensorsType.U32: Dequantizer.Convert<uint>(source, target, count); break;
                case SafetensorsType.I32: Dequantizer.Convert<int>(source, target, count); break;
                case SafetensorsType.U64: Dequantizer.Convert<ulong>(source, target, count); break;
                case SafetensorsType.I64: Dequantizer.Convert<long>(source, target, count); break;
                default: throw new ArgumentOutOfRangeException(nameof(tensor), tensor.Type, "No such element type.");
            }
        }
    }

    public void Dispose() => _file.Dispose();

    private SafetensorsTensor Required(string name) => Find(name) ?? throw new InvalidFileException($"{Path}: there is no tensor '{name}'.");
}
