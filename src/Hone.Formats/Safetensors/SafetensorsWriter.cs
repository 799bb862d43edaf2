using System.Buffers;
using System.Buffers.Binary;
using System.Text.Encodings.Web;
using System.Text.Json;
using Hone.Formats.Files;

namespace Hone.Formats.Safetensors;

/// <summary>A tensor to write: float32, row-major.</summary>
public sealed record SafetensorsData(string Name, long[] Shape, ReadOnlyMemory<float> Values);

/// <summary>A tensor whose values are made when their turn comes, in parts that are good until the next one is asked for.</summary>
public sealed record SafetensorsTensorSource(string Name, IReadOnlyList<long> Shape, Func<IEnumerable<ReadOnlyMemory<float>>> Values);

/// <summary>Writes float32 tensors: sorted by name, metadata sorted by key, the header padded to 8 bytes, so that equal content gives equal bytes.</summary>
public static class SafetensorsWriter
{
    private const int LengthBytes = sizeof(ulong);

    /// <summary>Writes the file whole or not at all.</summary>
    /// <exception cref="ArgumentException">A name occurs twice or is reserved, or a shape does not fit its values.</exception>
    public static void Write(string path, IEnumerable<SafetensorsData> tensors, IReadOnlyDictionary<string, string>? metadata = null) =>
        AtomicFile.Write(path, stream => Write(stream, tensors, metadata));

    public static void Write(Stream stream, IEnumerable<SafetensorsData> tensors, IReadOnlyDictionary<string, string>? metadata = null)
    {
        IEnumerable<SafetensorsTensorSource> sources = tensors.Select(t => t.Shape.Aggregate(1L, (product, size) => checked(product * size)) == t.Values.Length
            ? new SafetensorsTensorSource(t.Name, t.Shape, () => [t.Values])
            : throw new ArgumentException($"The tensor '{t.Name}' of [{string.Join(", ", t.Shape)}] has {t.Values.Length} values.", nameof(tensors)));
        foreach (ReadOnlyMemory<byte> piece in Pieces(sources, metadata))
            stream.Write(piece.Span);
    }

    /// <summary>Bytes of all <see cref="Pieces"/>.</summary>
    public static long Length(IEnumerable<SafetensorsTensorSource> tensors, IReadOnlyDictionary<string, string>? metadata = null)
    {
        SafetensorsTensorSource[] sorted = Sorted(tensors);
        return LengthBytes + Header(sorted, metadata).Length + sorted.Sum(t => t.Shape.Aggregate((long)sizeof(float), (product, size) => checked(product * size)));
    }

    /// <summary>The file's bytes from first to last, for whoever writes them at a speed of their own; a piece is good until the next one is asked for.</summary>
    public static IEnumerable<ReadOnlyMemory<byte>> Pieces(IEnumerable<SafetensorsTensorSource> tensors, IReadOnlyDictionary<string, string>? metadata = null)
    {
        SafetensorsTensorSource[] sorted = Sorted(tensors);
        byte[] header = Header(sorted, metadata), length = new byte[LengthBytes];
        BinaryPrimitives.WriteUInt64LittleEndian(length, (ulong)header.Length);
        yield return length;
        yield return header;
        var buffer = new byte[FloatPieces.BufferBytes];
        foreach (SafetensorsTensorSource tensor in sorted)
        {
            foreach (ReadOnlyMemory<float> part in tensor.Values())
            {
                foreach (ReadOnlyMemory<byte> piece in FloatPieces.Of(part, buffer))
                    yield return piece;
            }
        }
    }

    private static SafetensorsTensorSource[] Sorted(IEnumerable<SafetensorsTensorSource> tensors) => [.. tensors.OrderBy(t => t.Name, StringComparer.Ordinal)];

    private static byte[] Header(SafetensorsTensorSource[] tensors, IReadOnlyDictionary<string, string>? metadata)
    {
        var buffer = new ArrayBufferWriter<byte>();
        // Names are written as they are, as other writers do; only what JSON demands is escaped.
        using (var json = new Utf8JsonWriter(buffer, new JsonWriterOptions { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping }))
        {
            json.WriteStartObject();
            if (metadata is { Count: > 0 })
            {
                json.WriteStartObject("__metadata__");
                foreach ((string key, string value) in metadata.OrderBy(p => p.Key, StringComparer.Ordinal))
                    json.WriteString(key, value);
                json.WriteEndObject();
            }
            long offset = 0;
            string? previous = null;
            foreach (SafetensorsTensorSource tensor in tensors)
            {
                if (tensor.Name == previous || tensor.Name == "__metadata__")
                    throw new ArgumentException($"The tensor name '{tensor.Name}' is taken.", nameof(tensors));
                previous = tensor.Name;
                json.WriteStartObject(tensor.Name);
                json.WriteString("dtype", "F32");
                json.WriteStartArray("shape");
                foreach (long size in tensor.Shape)
                    json.WriteNumberValue(size);
                json.WriteEndArray();
                json.WriteStartArray("data_offsets");
                json.WriteNumberValue(offset);
                json.WriteNumberValue(offset += tensor.Shape.Aggregate(4L, (product, size) => checked(product * size)));
                json.WriteEndArray();
                json.WriteEndObject();
            }
            json.WriteEndObject();
        }
        int padded = (buffer.WrittenCount + 7) / 8 * 8;
        buffer.GetSpan(padded - buffer.WrittenCount)[..(padded - buffer.WrittenCount)].Fill((byte)' ');
        buffer.Advance(padded - buffer.WrittenCount);
        return buffer.WrittenSpan.ToArray();
    }
}
