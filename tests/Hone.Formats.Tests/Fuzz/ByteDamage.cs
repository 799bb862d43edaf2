using System.Buffers.Binary;

namespace Hone.Formats.Tests.Fuzz;

/// <summary>Damage that knows nothing of a format.</summary>
internal static class ByteDamage
{
    private static readonly ulong[] s_extremes =
    [
        0, 1, 2, 0xFF, 0xFFFF, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF, 1ul << 32, 1ul << 53, 1ul << 62, (1ul << 63) - 1, 1ul << 63, ulong.MaxValue - 7, ulong.MaxValue,
    ];

    /// <summary>A length or an offset as no writer would give it.</summary>
    public static ulong Extreme(Random random, int size) => random.Next(4) switch
    {
        0 => (ulong)random.Next(size * 2 + 2),
        1 => (ulong)(size + random.Next(-9, 10)),
        _ => s_extremes[random.Next(s_extremes.Length)],
    };

    /// <summary>One to three of: flipped bits, another byte, a number of extreme size, a cut, a run removed, doubled, overwritten or exchanged with another; three of four in the head.</summary>
    public static byte[] Damage(byte[] good, int headBytes, Random random)
    {
        List<byte> bytes = [.. good];
        for (int count = random.Next(1, 1 + random.Next(1, 4)); count > 0 && bytes.Count > 0; count--)
        {
            int at = random.Next(random.Next(4) > 0 ? Math.Min(headBytes, bytes.Count) : bytes.Count);
            int length = Math.Min(random.Next(1, 40), bytes.Count - at);
            switch (random.Next(9))
            {
                case 0:
                    bytes[at] ^= (byte)(1 << random.Next(8));
                    break;
                case 1:
                    bytes[at] = (byte)random.Next(256);
                    break;
                case 2:
                    byte[] number = new byte[8];
                    BinaryPrimitives.WriteUInt64LittleEndian(number, Extreme(random, bytes.Count));
                    Overwrite(bytes, at, number.AsSpan(0, random.Next(2) == 0 ? 4 : 8));
                    break;
                case 3:
                    bytes.RemoveRange(at, length);
                    break;
                case 4:
                    bytes.RemoveRange(at, bytes.Count - at);
                    break;
                case 5:
                    bytes.InsertRange(at, bytes.GetRange(at, length));
                    break;
                case 6:
                    bytes.InsertRange(at, "{}[]\",:0-9e\\ud800"u8.ToArray().OrderBy(_ => random.Next()).Take(random.Next(1, 6)));
                    break;
                case 7:
                    int other = random.Next(bytes.Count - length + 1);
                    List<byte> here = bytes.GetRange(at, length), there = bytes.GetRange(other, length);
                    Overwrite(bytes, at, [.. there]);
                    Overwrite(bytes, other, [.. here]);
                    break;
                default:
                    for (int i = 0; i < length; i++)
                        bytes[at + i] = bytes[random.Next(bytes.Count)];
                    break;
            }
        }
        return [.. bytes];
    }

    private static void Overwrite(List<byte> bytes, int at, ReadOnlySpan<byte> with)
    {
        for (int i = 0; i < with.Length && at + i < bytes.Count; i++)
            bytes[at + i] = with[i];
    }
}
