using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Hone.Formats.Gguf;

/// <summary>A type of which 32 stored values are widened at a time: the bits that gguf-py gives.</summary>
public unsafe interface IStoredBlock
{
    /// <summary>Of 32 values, about.</summary>
    static abstract int Bytes { get; }

    /// <summary>Whether eight times 32 values share scales that are widened before: <see cref="Prepare"/> comes before the first of them is read.</summary>
    static virtual bool IsPrepared => false;

    /// <summary>The scales of 256 values.</summary>
    /// <param name="row">Where the row begins.</param>
    /// <param name="index">Of the first 32: a multiple of 8.</param>
    /// <param name="halves"><see cref="StoredBlocks.HalfValues"/></param>
    /// <param name="scales">Room for <see cref="StoredBlocks.Scales"/> numbers.</param>
    static virtual void Prepare(byte* row, nint index, float* halves, float* scales)
    {
    }
}

/// <summary>In four registers. With AVX2 only.</summary>
public unsafe interface INarrowBlock : IStoredBlock
{
    /// <summary>Values 32 · index + 0 … 7, 8 … 15, 16 … 23 and 24 … 31 of a row.</summary>
    /// <param name="row">Where the row begins.</param>
    /// <param name="index">Which 32 values.</param>
    /// <param name="halves"><see cref="StoredBlocks.HalfValues"/>; what is prepared where something is.</param>
    static abstract void Read(byte* row, nint index, float* halves, out Vector256<float> w0, out Vector256<float> w1, out Vector256<float> w2, out Vector256<float> w3);
}

/// <summary>
/// The types of a file that are widened in registers; of half a byte a value, value i is the low half of byte i, value i + 16 the high half. gguf-py rounds product and sum
/// one by one: with scales of eleven bits no product of these types has more than 24, so one that is fused with its sum gives the same bits.
/// </summary>
public static unsafe class StoredBlocks
{
    /// <summary>Of a block.</summary>
    public const int Values = 32;

    /// <summary>Numbers that are prepared for 256 values at most.</summary>
    public const int Scales = 16;

    /// <summary>The value of every IEEE half, by its bits.</summary>
    public static readonly float* HalfValues = AllHalves();

    /// <summary>Whether rows of this type are widened in registers.</summary>
    public static bool Has(GgmlType type) => Avx2.IsSupported && type is GgmlType.F32 or GgmlType.F16 or GgmlType.BF16 or GgmlType.Q4_0 or GgmlType.Q4_1 or GgmlType.Q5_0
        or GgmlType.Q5_1 or GgmlType.Q8_0 or GgmlType.IQ4_NL or GgmlType.Q4_K or GgmlType.Q5_K or GgmlType.Q6_K;

    /// <summary>Of a row some times 32 values.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static void Widen<TBlock>(byte* row, nint first, nint blocks, float* target) where TBlock : struct, INarrowBlock
    {
        float* scales = stackalloc float[Scales], halves = HalfValues;
        for (nint i = first, end = first + blocks; i < end; i++, target += Values)
        {
            if (TBlock.IsPrepared && (i % 8 == 0 || i == first))
                TBlock.Prepare(row, i & -8, halves, scales);
            Widen<TBlock>(row, i, TBlock.IsPrepared ? scales : halves, target);
        }
    }

    /// <summary>32 values, as <see cref="INarrowBlock.Read"/> gives them.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Widen<TBlock>(byte* row, nint index, float* halves, float* target) where TBlock : struct, INarrowBlock
    {
        TBlock.Read(row, index, halves, out Vector256<float> w0, out Vector256<float> w1, out Vector256<float> w2, out Vector256<float> w3);
        w0.Store(target);
        w1.Store(target + 8);
        w2.Store(target + 16);
        w3.Store(target + 24);
    }

    /// <summary>Eight groups' scales and minimums of six bits, which twelve bytes have, as a byte each.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static (ulong Scales, ulong Minimums) SixBits(byte* bytes)
    {
        uint first = *(uint*)bytes, second = *(uint*)(bytes + 4), third = *(uint*)(bytes + 8);
        return (first & 0x3F3F3F3F | (ulong)(third & 0x0F0F0F0F | first >> 2 & 0x30303030) << 32,
            second & 0x3F3F3F3F | (ulong)(third >> 4 & 0x0F0F0F0F | second >> 2 & 0x30303030) << 32);
    }

    /// <summary>Of a Q4_K's or Q5_K's eight groups d, then m: value = d × q + m.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void ScalesAndMinimums(byte* block, float* halves, float* scales)
    {
        (ulong scale, ulong minimum) = SixBits(block + 4);
        Scaled(Avx2.ConvertToVector256Int32(Vector128.CreateScalar(scale).AsByte()), Half(halves, block)).Store(scales);
        (-Scaled(Avx2.ConvertToVector256Int32(Vector128.CreateScalar(minimum).AsByte()), Half(halves, block + 2))).Store(scales + 8);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<float> Half(float* halves, byte* half) => Vector256.Create(halves[*(ushort*)half]);

    /// <summary>Eight bytes.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<int> Integers(byte* bytes) => Avx2.ConvertToVector256Int32(bytes);

    /// <summary>Eight bfloat16.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static Vector256<float> Brain(ushort* values) => (Avx2.ConvertToVector256Int32(values) << 16).AsSingle();

    /// <summary>Eight finite halves: sign and fraction at their places, the exponent 112 too small; what is missing is a product that rounds nothing.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static Vector256<float> Ieee(ushort* values)
    {
        Vector256<int> placed = Avx2.ConvertToVector256Int32(values) << 16 >> 3 & Vector256.Create(unchecked((int)0x8FFF_E000));
        return placed.AsSingle() * Vector256.Create(5.192296858534828e33f); // 2^112
    }

    /// <summary>Four bits of each byte.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static Vector256<byte> FourBits(Vector256<byte> bytes, int shift) => (bytes.AsUInt16() >>> shift).AsByte() & Vector256.Create((byte)15);

    /// <summary>Further bits of each, which stand above four others.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static Vector256<byte> Upper(Vector256<byte> bytes, int shift, byte mask) => (((bytes.AsUInt16() >>> shift).AsByte() & Vector256.Create(mask)).AsUInt16() << 4).AsByte();

    /// <summary>Each half of a register in both halves of one.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Halves(Vector256<byte> bytes, out Vector256<byte> left, out Vector256<byte> right) =>
        (left, right) = (Avx2.Permute2x128(bytes, bytes, 0x00), Avx2.Permute2x128(bytes, bytes, 0x11));

    /// <summary>The first eight of sixteen bytes that are in both halves of a register.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<int> First(Vector256<byte> both) => Avx2.Shuffle(both, Vector256.Create(
        0, 128, 128, 128, 1, 128, 128, 128, 2, 128, 128, 128, 3, 128, 128, 128, 4, 128, 128, 128, 5, 128, 128, 128, 6, 128, 128, 128, 7, 128, 128, (byte)128)).AsInt32();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<int> Second(Vector256<byte> both) => Avx2.Shuffle(both, Vector256.Create(
        8, 128, 128, 128, 9, 128, 128, 128, 10, 128, 128, 128, 11, 128, 128, 128, 12, 128, 128, 128, 13, 128, 128, 128, 14, 128, 128, 128, 15, 128, 128, (byte)128)).AsInt32();

    /// <summary>Sixteen bytes' low halves, then their high halves.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Nibbles32(byte* bytes, out Vector256<int> q0, out Vector256<int> q1, out Vector256<int> q2, out Vector256<int> q3)
    {
        Vector256<int> left = Integers(bytes), right = Integers(bytes + 8), low = Vector256.Create(15);
        (q0, q1, q2, q3) = (left & low, right & low, left >>> 4, right >>> 4);
    }

    /// <summary>The same with the 32 fifth bits above them.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void FiveBits32(byte* bytes, uint fifth, out Vector256<int> q0, out Vector256<int> q1, out Vector256<int> q2, out Vector256<int> q3)
    {
        Vector256<uint> both = Avx2.BroadcastVector128ToVector256(bytes).AsUInt32();
        Vector256<byte> low = Avx2.ShiftRightLogicalVariable(both, Vector256.Create(0u, 0, 0, 0, 4, 4, 4, 4)).AsByte() & Vector256.Create((byte)15);
        Vector256<byte> eachByte = Avx2.Shuffle(Vector256.Create(fifth).AsByte(), Vector256.Create(0ul, 0x0101_0101_0101_0101, 0x0202_0202_0202_0202, 0x0303_0303_0303_0303).AsByte());
        Vector256<byte> bit = Vector256.Create(0x8040_2010_0804_0201).AsByte();
        Halves(low | Vector256.Equals(eachByte & bit, bit) & Vector256.Create((byte)16), out Vector256<byte> left, out Vector256<byte> right);
        (q0, q1, q2, q3) = (First(left), Second(left), First(right), Second(right));
    }

    /// <summary>d × q</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<float> Scaled(Vector256<int> q, Vector256<float> d) => Vector256.ConvertToSingle(q) * d;

    /// <summary>d × q + m</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<float> Scaled(Vector256<int> q, Vector256<float> d, Vector256<float> m) => Vector256.FusedMultiplyAdd(Vector256.ConvertToSingle(q), d, m);

    private static float* AllHalves()
    {
        float* values = (float*)NativeMemory.Alloc(1 << 16, sizeof(float));
        for (int bits = 0; bits < 1 << 16; bits++)
            values[bits] = (float)BitConverter.UInt16BitsToHalf((ushort)bits);
        return values;
    }

    /// <summary>float32</summary>
    public readonly unsafe struct Float32 : INarrowBlock
    {
        /// <inheritdoc/>
        public static int Bytes => 128;

        /// <inheritdoc/>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Read(byte* row, nint index, float* halves, out Vector256<float> w0, out Vector256<float> w1, out Vector256<float> w2, out Vector256<float> w3)
        {
            float* values = (float*)row + index * Values;
            (w0, w1, w2, w3) = (Vector256.Load(values), Vector256.Load(values + 8), Vector256.Load(values + 16), Vector256.Load(values + 24));
        }
    }

    /// <summary>IEEE half; finite values alone.</summary>
    public readonly unsafe struct IeeeHalf : INarrowBlock
    {
        /// <inheritdoc/>
        public static int Bytes => 64;

        /// <inheritdoc/>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Read(byte* row, nint index, float* halves, out Vector256<float> w0, out Vector256<float> w1, out Vector256<float> w2, out Vector256<float> w3)
        {
            ushort* values = (ushort*)row + index * Values;
            (w0, w1, w2, w3) = (Ieee(values), Ieee(values + 8), Ieee(values + 16), Ieee(values + 24));
        }
    }

    /// <summary>bfloat16</summary>
    public readonly unsafe struct BrainFloat : INarrowBlock
    {
        /// <inheritdoc/>
        public static int Bytes => 64;

        /// <inheritdoc/>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Read(byte* row, nint index, float* halves, out Vector256<float> w0, out Vector256<float> w1, out Vector256<float> w2, out Vector256<float> w3)
        {
            ushort* values = (ushort*)row + index * Values;
            (w0, w1, w2, w3) = (Brain(values), Brain(values + 8), Brain(values + 16), Brain(values + 24));
        }
    }

    /// <summary>Q4_0: half d, byte[16]: d × (q − 8)</summary>
    public readonly unsafe struct Nibbles : INarrowBlock
    {
        /// <inheritdoc/>
        public static int Bytes => 18;

        /// <inheritdoc/>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Read(byte* row, nint index, float* halves, out Vector256<float> w0, out Vector256<float> w1, out Vector256<float> w2, out Vector256<float> w3)
        {
            byte* block = row + index * 18;
            Nibbles32(block + 2, out Vector256<int> q0, out Vector256<int> q1, out Vector256<int> q2, out Vector256<int> q3);
            Vector256<float> d = Half(halves, block);
            Vector256<int> eight = Vector256.Create(8);
            (w0, w1, w2, w3) = (Scaled(q0 - eight, d), Scaled(q1 - eight, d), Scaled(q2 - eight, d), Scaled(q3 - eight, d));
        }
    }

    /// <summary>Q4_1: half d, half m, byte[16]: d × q + m</summary>
    public readonly unsafe struct NibblesAndMinimum : INarrowBlock
    {
        /// <inheritdoc/>
        public static int Bytes => 20;

        /// <inheritdoc/>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Read(byte* row, nint index, float* halves, out Vector256<float> w0, out Vector256<float> w1, out Vector256<float> w2, out Vector256<float> w3)
        {
            byte* block = row + index * 20;
            Nibbles32(block + 4, out Vector256<int> q0, out Vector256<int> q1, out Vector256<int> q2, out Vector256<int> q3);
            Vector256<float> d = Half(halves, block), m = Half(halves, block + 2);
            (w0, w1, w2, w3) = (Scaled(q0, d, m), Scaled(q1, d, m), Scaled(q2, d, m), Scaled(q3, d, m));
        }
    }

    /// <summary>Q5_0: half d, bit[32] fifth bits, byte[16]: d × (q − 16)</summary>
    public readonly unsafe struct FiveBits : INarrowBlock
    {
        /// <inheritdoc/>
        public static int Bytes => 22;

        /// <inheritdoc/>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Read(byte* row, nint index, float* halves, out Vector256<float> w0, out Vector256<float> w1, out Vector256<float> w2, out Vector256<float> w3)
        {
            byte* block = row + index * 22;
            FiveBits32(block + 6, *(uint*)(block + 2), out Vector256<int> q0, out Vector256<int> q1, out Vector256<int> q2, out Vector256<int> q3);
            Vector256<float> d = Half(halves, block);
            Vector256<int> sixteen = Vector256.Create(16);
            (w0, w1, w2, w3) = (Scaled(q0 - sixteen, d), Scaled(q1 - sixteen, d), Scaled(q2 - sixteen, d), Scaled(q3 - sixteen, d));
        }
    }

    /// <summary>Q5_1: half d, half m, bit[32] fifth bits, byte[16]: d × q + m</summary>
    public readonly unsafe struct FiveBitsAndMinimum : INarrowBlock
    {
        /// <inheritdoc/>
        public static int Bytes => 24;

        /// <inheritdoc/>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Read(byte* row, nint index, float* halves, out Vector256<float> w0, out Vector256<float> w1, out Vector256<float> w2, out Vector256<float> w3)
        {
            byte* block = row + index * 24;
            FiveBits32(block + 8, *(uint*)(block + 4), out Vector256<int> q0, out Vector256<int> q1, out Vector256<int> q2, out Vector256<int> q3);
            Vector256<float> d = Half(halves, block), m = Half(halves, block + 2);
            (w0, w1, w2, w3) = (Scaled(q0, d, m), Scaled(q1, d, m), Scaled(q2, d, m), Scaled(q3, d, m));
        }
    }

    /// <summary>Q8_0: half d, sbyte[32]: d × q</summary>
    public readonly unsafe struct SignedBytes : INarrowBlock
    {
        /// <inheritdoc/>
        public static int Bytes => 34;

        /// <inheritdoc/>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Read(byte* row, nint index, float* halves, out Vector256<float> w0, out Vector256<float> w1, out Vector256<float> w2, out Vector256<float> w3)
        {
            byte* block = row + index * 34;
            Vector256<float> d = Half(halves, block);
            (w0, w1, w2, w3) = (Eight(block + 2, d), Eight(block + 10, d), Eight(block + 18, d), Eight(block + 26, d));
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static Vector256<float> Eight(byte* q, Vector256<float> d) => Scaled(Avx2.ConvertToVector256Int32((sbyte*)q), d);
    }

    /// <summary>IQ4_NL: half d, byte[16]: d × table[q]</summary>
    public readonly unsafe struct NonLinearNibbles : INarrowBlock
    {
        /// <inheritdoc/>
        public static int Bytes => 18;

        /// <inheritdoc/>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Read(byte* row, nint index, float* halves, out Vector256<float> w0, out Vector256<float> w1, out Vector256<float> w2, out Vector256<float> w3)
        {
            byte* block = row + index * 18;
            Vector256<float> d = Half(halves, block);
            Vector128<byte> q = Vector128.Load(block + 2), low = Vector128.Create((byte)15);
            Vector128<sbyte> table = Vector128.Create(-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113);
            Vector128<sbyte> first = Ssse3.Shuffle(table, (q & low).AsSByte()), second = Ssse3.Shuffle(table, (q >>> 4).AsSByte());
            (w0, w1, w2, w3) = (Scaled(Lower(first), d), Scaled(Upper(first), d), Scaled(Lower(second), d), Scaled(Upper(second), d));
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static Vector256<int> Lower(Vector128<sbyte> q) => Avx2.ConvertToVector256Int32(q);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static Vector256<int> Upper(Vector128<sbyte> q) => Avx2.ConvertToVector256Int32(Sse2.ShiftRightLogical128BitLane(q, 8));
    }

    /// <summary>Q4_K: half d, half dmin, byte[12] scales and minima of 6 bits, byte[128] q of 4 bits: d × scale × q − dmin × minimum</summary>
    public readonly unsafe struct SuperNibbles : INarrowBlock
    {
        /// <inheritdoc/>
        public static int Bytes => 18;

        /// <inheritdoc/>
        public static bool IsPrepared => true;

        /// <inheritdoc/>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Prepare(byte* row, nint index, float* halves, float* scales) => ScalesAndMinimums(row + (index >> 3) * 144, halves, scales);

        /// <inheritdoc/>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Read(byte* row, nint index, float* halves, out Vector256<float> w0, out Vector256<float> w1, out Vector256<float> w2, out Vector256<float> w3)
        {
            int group = (int)index & 7, shift = group % 2 * 4;
            Vector256<float> d = Vector256.Create(halves[group]), m = Vector256.Create(halves[group + 8]);
            byte* q = row + (index >> 3) * 144 + 16 + group / 2 * 32;
            Vector256<byte> left = FourBits(Avx2.BroadcastVector128ToVector256(q), shift), right = FourBits(Avx2.BroadcastVector128ToVector256(q + 16), shift);
            (w0, w1) = (Scaled(First(left), d, m), Scaled(Second(left), d, m));
            (w2, w3) = (Scaled(First(right), d, m), Scaled(Second(right), d, m));
        }
    }

    /// <summary>Q5_K: as Q4_K with bit[256] fifth bits before q</summary>
    public readonly unsafe struct SuperFiveBits : INarrowBlock
    {
        /// <inheritdoc/>
        public static int Bytes => 22;

        /// <inheritdoc/>
        public static bool IsPrepared => true;

        /// <inheritdoc/>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Prepare(byte* row, nint index, float* halves, float* scales) => ScalesAndMinimums(row + (index >> 3) * 176, halves, scales);

        /// <inheritdoc/>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Read(byte* row, nint index, float* halves, out Vector256<float> w0, out Vector256<float> w1, out Vector256<float> w2, out Vector256<float> w3)
        {
            byte* block = row + (index >> 3) * 176;
            int group = (int)index & 7, shift = group % 2 * 4;
            Vector256<float> d = Vector256.Create(halves[group]), m = Vector256.Create(halves[group + 8]);
            byte* q = block + 48 + group / 2 * 32, fifth = block + 16;
            Halves(FourBits(Vector256.Load(q), shift) | Upper(Vector256.Load(fifth), group, 1), out Vector256<byte> left, out Vector256<byte> right);
            (w0, w1) = (Scaled(First(left), d, m), Scaled(Second(left), d, m));
            (w2, w3) = (Scaled(First(right), d, m), Scaled(Second(right), d, m));
        }
    }

    /// <summary>Q6_K: byte[128] low 4 bits, byte[64] high 2 bits, sbyte[16] scales, half d: d × scale × (q − 32)</summary>
    public readonly unsafe struct SuperSixBits : INarrowBlock
    {
        /// <inheritdoc/>
        public static int Bytes => 26;

        /// <inheritdoc/>
        public static bool IsPrepared => true;

        /// <inheritdoc/>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Prepare(byte* row, nint index, float* halves, float* scales)
        {
            byte* block = row + (index >> 3) * 210;
            Vector256<float> d = Half(halves, block + 208);
            (d * Vector256.ConvertToSingle(Avx2.ConvertToVector256Int32((sbyte*)block + 192))).Store(scales);
            (d * Vector256.ConvertToSingle(Avx2.ConvertToVector256Int32((sbyte*)block + 200))).Store(scales + 8);
        }

        /// <inheritdoc/>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Read(byte* row, nint index, float* halves, out Vector256<float> w0, out Vector256<float> w1, out Vector256<float> w2, out Vector256<float> w3)
        {
            byte* block = row + (index >> 3) * 210;
            int group = (int)index & 7, part = group % 4;
            byte* low = block + group / 4 * 64 + part % 2 * 32, high = block + 128 + group / 4 * 32;
            Vector256<float> first = Vector256.Create(halves[2 * group]), second = Vector256.Create(halves[2 * group + 1]);
            Halves(FourBits(Vector256.Load(low), part / 2 * 4) | Upper(Vector256.Load(high), part * 2, 3), out Vector256<byte> left, out Vector256<byte> right);
            Vector256<int> offset = Vector256.Create(32);
            (w0, w1) = (Scaled(First(left) - offset, first), Scaled(Second(left) - offset, first));
            (w2, w3) = (Scaled(First(right) - offset, second), Scaled(Second(right) - offset, second));
        }
    }
}
