using System.Runtime.InteropServices;

namespace Hone.Formats.Files;

/// <summary>Long runs of float32 as little-endian bytes, piece by piece: the byte view of all of them would overflow an int.</summary>
internal static class FloatPieces
{
    public const int BufferBytes = 1 << 20;

    /// <param name="buffer">Holds each piece until the next one is asked for.</param>
    public static IEnumerable<ReadOnlyMemory<byte>> Of(ReadOnlyMemory<float> values, byte[] buffer)
    {
        int room = buffer.Length / sizeof(float);
        for (int start = 0; start < values.Length; start += room)
        {
            int length = Math.Min(room, values.Length - start);
            MemoryMarshal.AsBytes(values.Span.Slice(start, length)).CopyTo(buffer);
            yield return buffer.AsMemory(0, length * sizeof(float));
        }
    }
}
