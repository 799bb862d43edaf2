using System.Buffers.Binary;
using System.Numerics;
using System.Runtime.InteropServices;
using System.Text;
using Hone.Formats.Files;

namespace Hone.Formats.Gguf;

/// <summary>
/// Reads the head of a GGUF file (versions 2 and 3, little endian). A count or a length is believed only after the file has been seen to hold as many bytes,
/// so that memory stays proportional to the file.
/// </summary>
internal sealed class GgufReader(MappedFile file)
{
    private const int MaxKeys = 65_536;
    private const int MaxTensors = 65_536;
    private const int MaxNameBytes = 1_024;
    private const int MaxStringBytes = 64 << 20;
    private const int MaxDimensions = 4;

    private static readonly UTF8Encoding s_utf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    private long _position;

    public (int Version, Dictionary<string, GgufValue> Metadata, List<GgufTensor> Tensors) Read()
    {
        if (file.Length < 4 || !file.Slice(0, 4).SequenceEqual("GGUF"u8))
            throw Invalid(0, "it does not start with 'GGUF'", "Give a model in GGUF format.");
        _position = 4;
        uint version = UInt32("the version");
        if (BinaryPrimitives.ReverseEndianness(version) is 1 or 2 or 3)
            throw Invalid(4, "it is a big-endian GGUF", "Convert it to little endian.");
        if (version is not (2 or 3))
            throw Invalid(4, $"its GGUF version is {version}; 2 and 3 can be read", "Convert the model again with a current converter.");

        ulong tensorCount = UInt64("the number of tensors");
        if (tensorCount > MaxTensors)
            throw Invalid(8, $"it claims {tensorCount} tensors; at most {MaxTensors} are accepted");
        ulong keyCount = UInt64("the number of metadata keys");
        if (keyCount > MaxKeys)
            throw Invalid(16, $"it claims {keyCount} metadata keys; at most {MaxKeys} are accepted");

        var metadata = new Dictionary<string, GgufValue>(StringComparer.Ordinal);
        for (ulong i = 0; i < keyCount; i++)
        {
            long at = _position;
            string key = String($"metadata key {i + 1} of {keyCount}", MaxNameBytes);
            GgufValue value = Value(key);
            if (!metadata.TryAdd(key, value))
                throw Invalid(at, $"the metadata key '{key}' occurs twice");
        }
        return ((int)version, metadata, Tensors((int)tensorCount, Alignment(metadata)));
    }

    private uint Alignment(Dictionary<string, GgufValue> metadata)
    {
        if (!metadata.TryGetValue("general.alignment", out GgufValue? value))
            return 32;
        if (value.Value is not uint alignment || !BitOperations.IsPow2(alignment))
            throw Invalid(24, $"the metadata key 'general.alignment' is {value}; wanted is a UInt32 that is a power of two");
        return alignment;
    }

    private List<GgufTensor> Tensors(int count, uint alignment)
    {
        var names = new HashSet<string>(StringComparer.Ordinal);
        var listed = new List<(GgufTensor Tensor, long At)>();
        for (int i = 0; i < count; i++)
        {
            long at = _position;
            string name = String($"the name of tensor {i + 1} of {count}", MaxNameBytes);
            if (!names.Add(name))
                throw Invalid(at, $"the tensor '{name}' occurs twice");
            listed.Add((TensorInfo(name, at, alignment), at));
        }

        // Offsets count from the first aligned byte behind the list.
        long data = (long)(((ulong)_position + alignment - 1) / alignment * alignment);
        var tensors = new List<GgufTensor>(count);
        foreach ((GgufTensor tensor, long at) in listed)
        {
            if (data > file.Length || tensor.Offset > file.Length - data || tensor.Length > file.Length - data - tensor.Offset)
                throw Invalid(at, $"the tensor '{tensor.Name}' needs {tensor.Length} bytes at byte {(ulong)data + (ulong)tensor.Offset}, but the file has {file.Length} bytes", "The file is cut or lies about its layout; fetch it again.");
            tensors.Add(tensor with { Offset = data + tensor.Offset });
        }

        GgufTensor? previous = null;
        foreach (GgufTensor tensor in tensors.Where(t => t.Length > 0).OrderBy(t => t.Offset))
        {
            if (previous is not null && tensor.Offset < previous.Offset + previous.Length)
                throw Invalid(tensor.Offset, $"the tensors '{previous.Name}' and '{tensor.Name}' overlap");
            previous = tensor;
        }
        return tensors;
    }

    private GgufTensor TensorInfo(string name, long at, uint alignment)
    {
        uint dimensions = UInt32($"the dimensions of the tensor '{name}'");
        if (dimensions > MaxDimensions)
            throw Invalid(at, $"the tensor '{name}' has {dimensions} dimensions; at most {MaxDimensions} are possible");
        var shape = new long[dimensions];
        UInt128 elements = 1;
        for (int i = 0; i < dimensions; i++)
        {
            ulong size = UInt64($"the shape of the tensor '{name}'");
            elements *= size;
            if (size > long.MaxValue || elements > long.MaxValue)
                throw Invalid(at, $"the tensor '{name}' has a dimension of {size}, which cannot be right");
            shape[dimensions - 1 - i] = (long)size;
        }
        uint type = UInt32($"the type of the tensor '{name}'");
        if (GgmlTypes.Block((GgmlType)type) is not var (values, bytes))
            throw Invalid(at, $"the tensor '{name}' has the type {GgmlTypes.Name(type)}, which cannot be read", $"Convert the model to one of {string.Join(", ", Enum.GetNames<GgmlType>())}.");
        long row = shape.Length == 0 ? 1 : shape[^1];
        if (row % values != 0)
            throw Invalid(at, $"the rows of the tensor '{name}' have {row} values; {(GgmlType)type} stores blocks of {values}");
        UInt128 length = elements / (ulong)values * (ulong)bytes;
        ulong offset = UInt64($"the offset of the tensor '{name}'");
        if (length > long.MaxValue || offset > long.MaxValue)
            throw Invalid(at, $"the tensor '{name}' needs {length} bytes at offset {offset}, but the file has {file.Length} bytes", "The file is cut or lies about its layout; fetch it again.");
        if (offset % alignment != 0)
            throw Invalid(at, $"the offset {offset} of the tensor '{name}' is no multiple of the alignment {alignment}");
        return new GgufTensor(name, (GgmlType)type, shape, (long)offset, (long)length);
    }

    private GgufValue Value(string key)
    {
        var type = (GgufValueType)UInt32($"the type of '{key}'");
        if (type != GgufValueType.Array)
            return new GgufValue(type, null, Scalar(type, key));

        var element = (GgufValueType)UInt32($"the element type of '{key}'");
        long at = _position;
        ulong count = UInt64($"the length of '{key}'");
        object values = element switch
        {
            GgufValueType.UInt8 => Numbers<byte>(count, key, at),
            GgufValueType.Int8 => Numbers<sbyte>(count, key, at),
            GgufValueType.UInt16 => Numbers<ushort>(count, key, at),
            GgufValueType.Int16 => Numbers<short>(count, key, at),
            GgufValueType.UInt32 => Numbers<uint>(count, key, at),
            GgufValueType.Int32 => Numbers<int>(count, key, at),
            GgufValueType.UInt64 => Numbers<ulong>(count, key, at),
            GgufValueType.Int64 => Numbers<long>(count, key, at),
            GgufValueType.Float32 => Numbers<float>(count, key, at),
            GgufValueType.Float64 => Numbers<double>(count, key, at),
            GgufValueType.Bool => Array.ConvertAll(Numbers<byte>(count, key, at), b => Bool(b, key, at)),
            GgufValueType.String => Strings(count, key, at),
            GgufValueType.Array => throw Invalid(at, $"'{key}' is an array of arrays, which no model uses"),
            _ => throw Invalid(at, $"'{key}' is an array of the unknown type {(int)element}"),
        };
        return new GgufValue(type, element, values);
    }

    private object Scalar(GgufValueType type, string key) => type switch
    {
        GgufValueType.UInt8 => Take(1, key)[0],
        GgufValueType.Int8 => (sbyte)Take(1, key)[0],
        GgufValueType.UInt16 => BinaryPrimitives.ReadUInt16LittleEndian(Take(2, key)),
        GgufValueType.Int16 => BinaryPrimitives.ReadInt16LittleEndian(Take(2, key)),
        GgufValueType.UInt32 => BinaryPrimitives.ReadUInt32LittleEndian(Take(4, key)),
        GgufValueType.Int32 => BinaryPrimitives.ReadInt32LittleEndian(Take(4, key)),
        GgufValueType.UInt64 => BinaryPrimitives.ReadUInt64LittleEndian(Take(8, key)),
        GgufValueType.Int64 => BinaryPrimitives.ReadInt64LittleEndian(Take(8, key)),
        GgufValueType.Float32 => BinaryPrimitives.ReadSingleLittleEndian(Take(4, key)),
        GgufValueType.Float64 => BinaryPrimitives.ReadDoubleLittleEndian(Take(8, key)),
        GgufValueType.Bool => Bool(Take(1, key)[0], key, _position - 1),
        GgufValueType.String => String($"'{key}'", MaxStringBytes),
        _ => throw Invalid(_position - 4, $"'{key}' has the unknown type {(int)type}"),
    };

    private T[] Numbers<T>(ulong count, string key, long at) where T : unmanaged
    {
        int size = Marshal.SizeOf<T>();
        CheckCount(count, size, key, at);
        var values = new T[count];
        Span<byte> destination = MemoryMarshal.AsBytes(values.AsSpan());
        Take(destination.Length, key).CopyTo(destination);
        return values;
    }

    private string[] Strings(ulong count, string key, long at)
    {
        CheckCount(count, sizeof(ulong), key, at);
        var values = new string[count];
        for (int i = 0; i < values.Length; i++)
            values[i] = String($"element {i} of '{key}'", MaxStringBytes);
        return values;
    }

    private void CheckCount(ulong count, int size, string key, long at)
    {
        if (count > (ulong)(file.Length - _position) / (ulong)size || count * (ulong)size > int.MaxValue)
            throw Invalid(at, $"'{key}' claims {count} elements, but {file.Length - _position} bytes are left");
    }

    private bool Bool(byte value, string key, long at) =>
        value <= 1 ? value == 1 : throw Invalid(at, $"'{key}' holds the byte {value} where 0 or 1 stands for a bool");

    private string String(string what, int limit)
    {
        long at = _position;
        ulong length = UInt64($"the length of {what}");
        if (length > (ulong)limit || length > (ulong)(file.Length - _position))
            throw Invalid(at, $"{what} claims {length} bytes; {file.Length - _position} are left and at most {limit} are accepted");
        try
        {
            return s_utf8.GetString(Take((int)length, what));
        }
        catch (DecoderFallbackException e)
        {
            throw Invalid(at + 8 + Math.Max(e.Index, 0), $"{what} is not valid UTF-8");
        }
    }

    private uint UInt32(string what) => BinaryPrimitives.ReadUInt32LittleEndian(Take(4, what));

    private ulong UInt64(string what) => BinaryPrimitives.ReadUInt64LittleEndian(Take(8, what));

    private ReadOnlySpan<byte> Take(int length, string what)
    {
        if (length > file.Length - _position)
            throw Invalid(_position, $"it ends within {what}", "The file is cut; fetch it again.");
        ReadOnlySpan<byte> bytes = file.Slice(_position, length);
        _position += length;
        return bytes;
    }

    private InvalidFileException Invalid(long at, string what, string hint = "The file is damaged; fetch or convert it again.") =>
        new($"{file.Path}: not a readable GGUF file: {what} (byte {at}). {hint}");
}
