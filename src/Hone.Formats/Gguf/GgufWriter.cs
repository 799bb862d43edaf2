using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text;

namespace Hone.Formats.Gguf;

/// <summary>A float32 tensor to write, row-major: the last size is GGUF's first.</summary>
public sealed record GgufData(string Name, long[] Shape, ReadOnlyMemory<float> Values);

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

    public static void Write(Stream stream, IReadOnlyList<KeyValuePair<string, object>> metadata, IReadOnlyList<GgufData> tensors)
    {
        long written = 0;
        Bytes("GGUF"u8);
        UInt32(Version);
        UInt64((ulong)tensors.Count);
        UInt64((ulong)metadata.Count);
        foreach ((string key, object value) in metadata)
        {
            Text(key);
            switch (value)
            {
                case string text:
                    UInt32((uint)ValueType.String);
                    Text(text);
                    break;
                case uint number:
                    UInt32((uint)ValueType.UInt32);
                    UInt32(number);
                    break;
                case float number:
                    UInt32((uint)ValueType.Float32);
                    UInt32(BitConverter.SingleToUInt32Bits(number));
                    break;
                default:
                    throw new ArgumentException($"The metadata value of '{key}' is of a type that is not written: {value.GetType().Name}.", nameof(metadata));
            }
        }
        ulong offset = 0;
        foreach (GgufData tensor in tensors)
        {
            if (tensor.Shape.Aggregate(1L, (product, size) => checked(product * size)) != tensor.Values.Length)
                throw new ArgumentException($"The tensor '{tensor.Name}' of [{string.Join(", ", tensor.Shape)}] has {tensor.Values.Length} values.", nameof(tensors));
            Text(tensor.Name);
            UInt32((uint)tensor.Shape.Length);
            foreach (long size in tensor.Shape.Reverse())
                UInt64((ulong)size);
            UInt32((uint)GgmlType.F32);
            UInt64(offset);
            offset += Padded((ulong)tensor.Values.Length * sizeof(float));
        }
        Pad();
        foreach (GgufData tensor in tensors)
        {
            const int Run = 1 << 20; // the byte view of a long tensor would overflow an int
            for (int start = 0; start < tensor.Values.Length; start += Run)
                Bytes(MemoryMarshal.AsBytes(tensor.Values.Span.Slice(start, Math.Min(Run, tensor.Values.Length - start))));
            Pad();
        }

        void Bytes(ReadOnlySpan<byte> bytes)
        {
            stream.Write(bytes);
            written += bytes.Length;
        }

        void UInt32(uint value)
        {
            Span<byte> bytes = stackalloc byte[4];
            BinaryPrimitives.WriteUInt32LittleEndian(bytes, value);
            Bytes(bytes);
        }

        void UInt64(ulong value)
        {
            Span<byte> bytes = stackalloc byte[8];
            BinaryPrimitives.WriteUInt64LittleEndian(bytes, value);
            Bytes(bytes);
        }

        void Text(string text)
        {
            byte[] bytes = Encoding.UTF8.GetBytes(text);
            UInt64((ulong)bytes.Length);
            Bytes(bytes);
        }

        void Pad() => Bytes(new byte[(int)(Padded((ulong)written) - (ulong)written)]);
    }

    private static ulong Padded(ulong length) => (length + Alignment - 1) / Alignment * Alignment;
}
