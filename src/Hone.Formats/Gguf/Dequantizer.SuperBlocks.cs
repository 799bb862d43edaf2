using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Hone.Formats.Gguf;

/// <summary>The super-blocks of 256 values: groups of 16 or 32 have small integer scales, which the block's half-precision scales multiply.</summary>
internal static unsafe partial class Dequantizer
{
    // byte[16] scales (low 4 bits) and minima (high), byte[64] q of 2 bits, half d, half dmin: d × scale × q − dmin × minimum
    private static void Q2_K(byte* x, float* y, long blocks)
    {
        for (; blocks > 0; blocks--, x += 84)
        {
            float d = ScaleOf(x + 80);
            float dmin = ScaleOf(x + 82);
            for (int group = 0; group < 16; group++, y += 16)
            {
                Vector128<byte> q = Vector128.Load(x + 16 + Bytes(group)) >>> Shift(group);
                Store((q & Vector128.Create((byte)3)).AsSByte(), Vector128.Create(d * (x[group] & 15)), Vector128.Create(-(dmin * (x[group] >> 4))), y);
            }
        }
    }

    // bit[256] third bits, byte[64] q of 2 bits, byte[12] scales of 6 bits, half d: d × (scale − 32) × (q − (third bit ? 0 : 4))
    private static void Q3_K(byte* x, float* y, long blocks)
    {
        for (; blocks > 0; blocks--, x += 110)
        {
            float d = ScaleOf(x + 108);
            byte* scales = x + 96;
            for (int group = 0; group < 16; group++, y += 16)
            {
                int scale = (group < 8 ? scales[group] & 15 : scales[group - 8] >> 4) | (scales[8 + group % 4] >> (2 * (group / 4)) & 3) << 4;
                Vector128<byte> q = Vector128.Load(x + 32 + Bytes(group)) >>> Shift(group) & Vector128.Create((byte)3);
                Vector128<byte> third = Vector128.Load(x + group % 2 * 16) >>> (group / 2) & Vector128.Create((byte)1);
                Vector128<byte> absent = (third ^ Vector128.Create((byte)1)) << 2;
                Store(q.AsSByte() - absent.AsSByte(), Vector128.Create(d * (scale - 32)), y);
            }
        }
    }

    // half d, half dmin, byte[12] scales and minima of 6 bits, byte[128] q of 4 bits: d × scale × q − dmin × minimum
    private static void Q4_K(byte* x, float* y, long blocks)
    {
        for (; blocks > 0; blocks--, x += 144)
        {
            Vector128<float> scale = Scale(x), minimum = -Scale(x + 2);
            (ulong scales, ulong minimums) = StoredBlocks.SixBits(x + 4);
            for (int group = 0; group < 8; group++, y += 32, scales >>= 8, minimums >>= 8)
            {
                Vector128<float> d = scale * (byte)scales, m = minimum * (byte)minimums;
                byte* q = x + 16 + group / 2 * 32;
                Store(Nibbles(q, group), d, m, y);
                Store(Nibbles(q + 16, group), d, m, y + 16);
            }
        }
    }

    // as Q4_K with bit[256] fifth bits before q
    private static void Q5_K(byte* x, float* y, long blocks)
    {
        for (; blocks > 0; blocks--, x += 176)
        {
            Vector128<float> scale = Scale(x), minimum = -Scale(x + 2);
            (ulong scales, ulong minimums) = StoredBlocks.SixBits(x + 4);
            for (int group = 0; group < 8; group++, y += 32, scales >>= 8, minimums >>= 8)
            {
                Vector128<float> d = scale * (byte)scales, m = minimum * (byte)minimums;
                byte* q = x + 48 + group / 2 * 32;
                Store(Nibbles(q, group) | Fifth(x + 16, group), d, m, y);
                Store(Nibbles(q + 16, group) | Fifth(x + 32, group), d, m, y + 16);
            }
        }

        static Vector128<sbyte> Fifth(byte* bits, int group) => ((Vector128.Load(bits) >>> group & Vector128.Create((byte)1)) << 4).AsSByte();
    }

    // byte[128] low 4 bits, byte[64] high 2 bits, sbyte[16] scales, half d: d × scale × (q − 32)
    private static void Q6_K(byte* x, float* y, long blocks)
    {
        for (; blocks > 0; blocks--, x += 210)
        {
            float d = ScaleOf(x + 208);
            for (int group = 0; group < 16; group++, y += 16)
            {
                int part = group / 2 % 4; // 32 values each: low nibbles, low nibbles, high nibbles, high nibbles
                Vector128<sbyte> low = Nibbles(x + group / 8 * 64 + part % 2 * 32 + group % 2 * 16, part / 2);
                Vector128<byte> high = (Vector128.Load(x + 128 + Bytes(group)) >>> Shift(group) & Vector128.Create((byte)3)) << 4;
                Store((low | high.AsSByte()) - Vector128.Create((sbyte)32), Vector128.Create(d * (sbyte)x[192 + group]), y);
            }
        }
    }

    // half d, ushort high 2 bits of the scales, byte[4] low 4 bits, byte[128] q: d × (scale − 32) × table[q]
    private static void IQ4_XS(byte* x, float* y, long blocks)
    {
        Vector128<sbyte> table = NonLinear;
        for (; blocks > 0; blocks--, x += 136)
        {
            float d = ScaleOf(x);
            int high = Unsafe.ReadUnaligned<ushort>(x + 2);
            for (int group = 0; group < 8; group++, y += 32)
            {
                int scale = (x[4 + group / 2] >> (4 * (group % 2)) & 15) | (high >> (2 * group) & 3) << 4;
                Vector128<float> dl = Vector128.Create(d * (scale - 32));
                Vector128<byte> q = Vector128.Load(x + 8 + group * 16);
                Store(Vector128.Shuffle(table, Low(q)), dl, y);
                Store(Vector128.Shuffle(table, High(q)), dl, y + 16);
            }
        }
    }

    /// <summary>Where the two-bit values of a group of 16 lie: four groups of 32 share 32 bytes, a group of 16 takes one half of them.</summary>
    private static int Bytes(int group) => group / 8 * 32 + group % 2 * 16;

    private static int Shift(int group) => group / 2 % 4 * 2;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<sbyte> Nibbles(byte* q, int group) => group % 2 == 0 ? Low(Vector128.Load(q)) : High(Vector128.Load(q));
}
