using System.Text;
using Hone.Formats.Files;

namespace Hone.Formats.Gguf;

/// <summary>A float32 tensor to write, row-major: the last size is GGUF's first. Its values are made when their turn comes.</summary>
public sealed record GgufTensorSource(string Name, IReadOnlyList<long> Shape, Func<ReadOnlyMemory<float>> Values)
{
    public long Bytes { get; } = Shape.Aggregate((long)sizeof(float), (product, size) => checked(product * size));
}

/// <summary>Writes GGUF version 3 (little-endian) with float32 tensors; metadata values are strings, unsigned integers or float32.</summary>
public static class GgufWriter
{
    private const int Alignment = 32;
    private const uint Version = 3;

    private enum ValueType : uint
    {
        UInt32 = 4,
        Float32 = 6,
        String = 8,
    }

    /// <summary>Bytes of all <see cref="Pieces"/>.</summary>
    public static long Length(IReadOnlyList<KeyValuePair<string, object>> metadata, IReadOnlyList<GgufTensorSource> tensors) =>
        Header(metadata, tensors).Length + tensors.Sum(t => Padded(t.Bytes));

    /// <summary>The file's bytes from first to last; a piece is good until the next one is asked for.</summary>
    public static IEnumerable<ReadOnlyMemory<byte>> Pieces(IReadOnlyList<KeyValuePair<string, object>> metadata, IReadOnlyList<GgufTensorSource> tensors)
    {
        yield return Header(metadata, tensors);
        var buffer = new byte[FloatPieces.BufferBytes];
        foreach (GgufTensorSource tensor in tensors)
        {
            ReadOnlyMemory<float> values = tensor.Values();
            if (values.Length * (long)sizeof(float) != tensor.Bytes)
                throw new ArgumentException($"The tensor '{tensor.Name}' of [{string.Join(", ", tensor.Shape)}] has {values.Length} values.", nameof(tensors));
            foreach (ReadOnlyMemory<byte> piece in FloatPieces.Of(values, buffer))
                yield return piece;
            yield return new byte[Padded(tensor.Bytes) - tensor.Bytes];
        }
    }

    /// <summary>All before the first tensor's values.</summary>
    private static byte[] Header(IReadOnlyList<KeyValuePair<string, object>> metadata, IReadOnlyList<GgufTensorSource> tensors)
    {
        using var header = new MemoryStream();
        using var writer = new BinaryWriter(header);
        writer.Write("GGUF"u8);
        writer.Write(Version);
        writer.Write((ulong)tensors.Count);
        writer.Write((ulong)metadata.Count);
        foreach ((string key, object value) in metadata)
        {
            Text(key);
            switch (value)
            {
                case string text:
                    writer.Write((uint)ValueType.String);
                    Text(text);
                    break;
                case uint number:
                    writer.Write((uint)ValueType.UInt32);
                    writer.Write(number);
                    break;
                case float number:
                    writer.Write((uint)ValueType.Float32);
                    writer.Write(number);
                    break;
                default:
                    throw new ArgumentException($"The metadata value of '{key}' is of a type that is not written: {value.GetType().Name}.", nameof(metadata));
            }
        }
        long offset = 0;
        foreach (GgufTensorSource tensor in tensors)
        {
            Text(tensor.Name);
            writer.Write((uint)tensor.Shape.Count);
            foreach (long size in tensor.Shape.Reverse())
                writer.Write((ulong)size);
            writer.Write((uint)GgmlType.F32);
            writer.Write((ulong)offset);
            offset += Padded(tensor.Bytes);
        }
        writer.Write(new byte[Padded(header.Length) - header.Length]);
        return header.ToArray();

        void Text(string text)
        {
            byte[] bytes = Encoding.UTF8.GetBytes(text);
            writer.Write((ulong)bytes.Length);
            writer.Write(bytes);
        }
    }

    private static long Padded(long length) => (length + Alignment - 1) / Alignment * Alignment;
}
