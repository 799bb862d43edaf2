using System.Buffers;
using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text.Encodings.Web;
using System.Text.Json;
using Hone.Formats.Files;

namespace Hone.Formats.Safetensors;

/// <summary>A tensor to write: float32, row-major.</summary>
public sealed record SafetensorsData(string Name, long[] Shape, ReadOnlyMemory<float> Values);

/// <summary>A tensor whose values are made when their turn comes.</summary>
public sealed record SafetensorsTensorSource(string Name, IReadOnlyList<long> Shape, Func<ReadOnlyMemory<float>> Values);

/// <summary>Writes float32 tensors: sorted by name, metadata sorted by key, the header padded to 8 bytes, so that equal content gives equal bytes.</summary>
public static class SafetensorsWriter
{
    /// <summary>Writes the file whole or not at all.</summary>
    /// <exception cref="ArgumentException">A name occurs twice or is reserved, or a shape does not fit its values.</exception>
    public static void Write(string path, IEnumerable<SafetensorsData> tensors, IReadOnlyDictionary<string, string>? metadata = null) =>
        AtomicFile.Write(path, stream => Write(stream, tensors, metadata));

    public static void Write(Stream stream, IEnumerable<SafetensorsData> tensors, IReadOnlyDictionary<string, string>? metadata = null) =>
        Write(stream, tensors.Select(t => t.Shape.Aggregate(1L, (product, size) => checked(product * size)) == t.Values.Length
            ? new SafetensorsTensorSource(t.Name, t.Shape, () => t.Values)
            : throw new ArgumentException($"The tensor '{t.Name}' of [{string.Join(", ", t.Shape)}] has {t.Values.Length} values.", nameof(tensors))), metadata);

    public static void Write(Stream stream, IEnumerable<SafetensorsTensorSource> tensors, IReadOnlyDictionary<string, string>? metadata = null)
    {
        SafetensorsTensorSource[] sorted = [.. tensors.OrderBy(t => t.Name, StringComparer.Ordinal)];
        byte[] header = Header(sorted, metadata);
        Span<byte> length = stackalloc byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(length, (ulong)header.Length);
        stream.Write(length);
        stream.Write(header);
        foreach (SafetensorsTensorSource tensor in sorted)
        {
            const int Run = 1 << 20; // the byte view of a long tensor would overflow an int
            ReadOnlyMemory<float> values = tensor.Values();
            for (int start = 0; start < values.Length; start += Run)
                stream.Write(MemoryMarshal.AsBytes(values.Span.Slice(start, Math.Min(Run, values.Length - start))));
        }
    }

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
