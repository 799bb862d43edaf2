using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Hone.Formats.Gguf;

/// <summary>In two registers, to the same bits as <see cref="INarrowBlock"/>. With AVX-512 only.</summary>
public unsafe interface IWideBlock : IStoredBlock
{
    /// <summary>Values 32 · index … + 15 and + 16 … + 31 of a row.</summary>
    /// <param name="row">Where the row begins.</param>
    /// <param name="index">Which 32 values.</param>
    /// <param name="halves"><see cref="StoredBlocks.HalfValues"/>; what is prepared where something is.</param>
    static abstract void Read(byte* row, nint index, float* halves, out Vector512<float> w0, out Vector512<float> w1);
}

/// <summary>
/// The same types in 512-bit registers. Half a byte has 16 values: a block's are computed once and then picked from a register by the stored bits.
/// </summary>
public static unsafe class WideBlocks
{
    /// <inheritdoc cref="StoredBlocks.Widen{TBlock}(byte*, nint, nint, float*)"/>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static void Widen<TBlock>(byte* row, nint first, nint blocks, float* target) where TBlock : struct, IWideBlock
    {
        float* scales = stackalloc float[StoredBlocks.Scales], halves = StoredBlocks.HalfValues;
        for (nint i = first, end = first + blocks; i < end; i++, target += StoredBlocks.Values)
        {
            if (TBlock.IsPrepared && (i % 8 == 0 || i == first))
                TBlock.Prepare(row, i & -8, halves, scales);
            TBlock.Read(row, i, TBlock.IsPrepared ? scales : halves, out Vector512<float> w0, out Vector512<float> w1);
            w0.Store(target);
            w1.Store(target + 16);
        }
    }

    private static Vector512<float> Counting
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => Vector512.Create(0f, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    }

    private static Vector512<float> NonLinear
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => Vector512.Create(-127f, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Half(float* halves, byte* half) => Vector512.Create(halves[*(ushort*)half]);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<int> Integers(byte* bytes) => Avx512F.ConvertToVector512Int32(Vector128.Load(bytes));

    /// <summary>The table's values at the low four bits of the indices.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Pick(Vector512<float> table, Vector512<int> indices) => Avx512F.PermuteVar16x32(table, indices);

    /// <summary>Sixteen bytes' low halves, then their high halves.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void PickNibbles(byte* bytes, Vector512<float> table, out Vector512<float> w0, out Vector512<float> w1)
    {
        Vector512<int> q = Integers(bytes);
        (w0, w1) = (Pick(table, q), Pick(table, q >>> 4));
    }

    /// <summary>The same with the 32 fifth bits beside them: the table's second half is for those that have theirs set.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void PickFiveBits(byte* bytes, uint fifth, Vector512<float> table, Vector512<float> upper, out Vector512<float> w0, out Vector512<float> w1)
    {
        Vector512<int> q = Integers(bytes), sixteen = Vector512.Create(16), lane = Vector512<int>.Indices;
        Vector512<int> first = Avx512F.ShiftRightLogicalVariable(Vector512.Create((int)fifth), lane.AsUInt32()) << 4 & sixteen;
        Vector512<int> second = Avx512F.ShiftRightLogicalVariable(Vector512.Create((int)(fifth >> 16)), lane.AsUInt32()) << 4 & sixteen;
        w0 = Avx512F.PermuteVar16x32x2(table, q & Vector512.Create(15) | first, upper);
        w1 = Avx512F.PermuteVar16x32x2(table, q >>> 4 | second, upper);
    }

    /// <summary>float32</summary>
    public readonly unsafe struct Float32 : IWideBlock
    {
        /// <inheritdoc/>
        public static int Bytes => 128;

        /// <inheritdoc/>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Read(byte* row, nint index, float* halves, out Vector512<float> w0, out Vector512<float> w1)
        {
            float* values = (float*)row + index * 32;
            (w0, w1) = (Vector512.Load(values), Vector512.Load(values + 16));
        }
    }

    /// <summary>IEEE half; finite values alone.</summary>
    public readonly unsafe struct IeeeHalf : IWideBlock
    {
        /// <inheritdoc/>
        public static int Bytes => 64;

        /// <inheritdoc/>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Read(byte* row, nint index, float* halves, out Vector512<float> w0, out Vector512<float> w1)
        {
            ushort* values = (ushort*)row + index * 32;
            (w0, w1) = (Wide(values), Wide(values + 16));
        }

        /// <summary>Sign and fraction at their places, the exponent 112 too small: what is missing is a product that rounds nothing.</summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static Vector512<float> Wide(ushort* values)
        {
            Vector512<int> placed = Avx512F.ConvertToVector512Int32(Vector256.Load(values)) << 16 >> 3 & Vector512.Create(unchecked((int)0x8FFF_E000));
            return placed.AsSingle() * Vector512.Create(5.192296858534828e33f); // 2^112
        }
    }

    /// <summary>bfloat16</summary>
    public readonly unsafe struct BrainFloat : IWideBlock
    {
        /// <inheritdoc/>
        public static int Bytes => 64;

        /// <inheritdoc/>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Read(byte* row, nint index, float* halves, out Vector512<float> w0, out Vector512<float> w1)
        {
            ushort* values = (ushort*)row + index * 32;
            (w0, w1) = ((Avx512F.ConvertToVector512Int32(Vector256.Load(values)) << 16).AsSingle(), (Avx512F.ConvertToVector512Int32(Vector256.Load(values + 16)) << 16).AsSingle());
        }
    }

    /// <summary>Q4_0: half d, byte[16]: d × (q − 8)</summary>
    public readonly unsafe struct Nibbles : IWideBlock
    {
        /// <inheritdoc/>
        public static int Bytes => 18;

        /// <inheritdoc/>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Read(byte* row, nint index, float* halves, out Vector512<float> w0, out Vector512<float> w1)
        {
            byte* block = row + index * 18;
            PickNibbles(block + 2, (Counting - Vector512.Create(8f)) * Half(halves, block), out w0, out w1);
        }
    }

    /// <summary>Q4_1: half d, half m, byte[16]: d × q + m</summary>
    public readonly unsafe struct NibblesAndMinimum : IWideBlock
    {
        /// <inheritdoc/>
        public static int Bytes => 20;

        /// <inheritdoc/>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Read(byte* row, nint index, float* halves, out Vector512<float> w0, out Vector512<float> w1)
        {
            byte* block = row + index * 20;
            PickNibbles(block + 4, Counting * Half(halves, block) + Half(halves, block + 2), out w0, out w1);
        }
    }

    /// <summary>Q5_0: half d, bit[32] fifth bits, byte[16]: d × (q − 16)</summary>
    public readonly unsafe struct FiveBits : IWideBlock
    {
        /// <inheritdoc/>
        public static int Bytes => 22;

        /// <inheritdoc/>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Read(byte* row, nint index, float* halves, out Vector512<float> w0, out Vector512<float> w1)
        {
            byte* block = row + index * 22;
            Vector512<float> d = Half(halves, block);
            PickFiveBits(block + 6, *(uint*)(block + 2), (Counting - Vector512.Create(16f)) * d, Counting * d, out w0, out w1);
        }
    }

    /// <summary>Q5_1: half d, half m, bit[32] fifth bits, byte[16]: d × q + m</summary>
    public readonly unsafe struct FiveBitsAndMinimum : IWideBlock
    {
        /// <inheritdoc/>
        public static int Bytes => 24;

        /// <inheritdoc/>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Read(byte* row, nint index, float* halves, out Vector512<float> w0, out Vector512<float> w1)
        {
            byte* block = row + index * 24;
            Vector512<float> d = Half(halves, block), m = Half(halves, block + 2);
            PickFiveBits(block + 8, *(uint*)(block + 4), Counting * d + m, (Counting + Vector512.Create(16f)) * d + m, out w0, out w1);
        }
    }

    /// <summary>Q8_0: half d, sbyte[32]: d × q</summary>
    public readonly unsafe struct SignedBytes : IWideBlock
    {
        /// <inheritdoc/>
        public static int Bytes => 34;

        /// <inheritdoc/>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Read(byte* row, nint index, float* halves, out Vector512<float> w0, out Vector512<float> w1)
        {
            byte* block = row + index * 34;
            sbyte* q = (sbyte*)block + 2;
            Vector512<float> d = Half(halves, block);
            w0 = Vector512.ConvertToSingle(Avx512F.ConvertToVector512Int32(Vector128.Load(q))) * d;
            w1 = Vector512.ConvertToSingle(Avx512F.ConvertToVector512Int32(Vector128.Load(q + 16))) * d;
        }
    }

    /// <summary>IQ4_NL: half d, byte[16]: d × table[q]</summary>
    public readonly unsafe struct NonLinearNibbles : IWideBlock
    {
        /// <inheritdoc/>
        public static int Bytes => 18;

        /// <inheritdoc/>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Read(byte* row, nint index, float* halves, out Vector512<float> w0, out Vector512<float> w1)
        {
            byte* block = row + index * 18;
            PickNibbles(block + 2, NonLinear * Half(halves, block), out w0, out w1);
        }
    }

    /// <summary>Q4_K: half d, half dmin, byte[12] scales and minima of 6 bits, byte[128] q of 4 bits: d × scale × q − dmin × minimum</summary>
    public readonly unsafe struct SuperNibbles : IWideBlock
    {
        /// <inheritdoc/>
        public static int Bytes => 18;

        /// <inheritdoc/>
        public static bool IsPrepared => true;

        /// <inheritdoc/>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Prepare(byte* row, nint index, float* halves, float* scales) => StoredBlocks.SuperNibbles.Prepare(row, index, halves, scales);

        /// <inheritdoc/>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Read(byte* row, nint index, float* halves, out Vector512<float> w0, out Vector512<float> w1)
        {
            int group = (int)index & 7, shift = group % 2 * 4;
            byte* q = row + (index >> 3) * 144 + 16 + group / 2 * 32;
            Vector512<float> table = Vector512.FusedMultiplyAdd(Counting, Vector512.Create(halves[group]), Vector512.Create(halves[group + 8]));
            (w0, w1) = (Pick(table, Integers(q) >>> shift), Pick(table, Integers(q + 16) >>> shift));
        }
    }

    /// <summary>Q5_K: as Q4_K with bit[256] fifth bits before q</summary>
    public readonly unsafe struct SuperFiveBits : IWideBlock
    {
        /// <inheritdoc/>
        public static int Bytes => 22;

        /// <inheritdoc/>
        public static bool IsPrepared => true;

        /// <inheritdoc/>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Prepare(byte* row, nint index, float* halves, float* scales) => StoredBlocks.SuperFiveBits.Prepare(row, index, halves, scales);

        /// <inheritdoc/>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Read(byte* row, nint index, float* halves, out Vector512<float> w0, out Vector512<float> w1)
        {
            byte* block = row + (index >> 3) * 176;
            int group = (int)index & 7;
            Vector512<float> d = Vector512.Create(halves[group]), m = Vector512.Create(halves[group + 8]);
            Vector256<byte> q = StoredBlocks.FourBits(Vector256.Load(block + 48 + group / 2 * 32), group % 2 * 4) | StoredBlocks.Upper(Vector256.Load(block + 16), group, 1);
            w0 = Vector512.FusedMultiplyAdd(Vector512.ConvertToSingle(Avx512F.ConvertToVector512Int32(q.GetLower())), d, m);
            w1 = Vector512.FusedMultiplyAdd(Vector512.ConvertToSingle(Avx512F.ConvertToVector512Int32(q.GetUpper())), d, m);
        }
    }

    /// <summary>Q6_K: byte[128] low 4 bits, byte[64] high 2 bits, sbyte[16] scales, half d: d × scale × (q − 32)</summary>
    public readonly unsafe struct SuperSixBits : IWideBlock
    {
        /// <inheritdoc/>
        public static int Bytes => 26;

        /// <inheritdoc/>
        public static bool IsPrepared => true;

        /// <inheritdoc/>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Prepare(byte* row, nint index, float* halves, float* scales) => StoredBlocks.SuperSixBits.Prepare(row, index, halves, scales);

        /// <inheritdoc/>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Read(byte* row, nint index, float* halves, out Vector512<float> w0, out Vector512<float> w1)
        {
            byte* block = row + (index >> 3) * 210;
            int group = (int)index & 7, part = group % 4;
            byte* low = block + group / 4 * 64 + part % 2 * 32, high = block + 128 + group / 4 * 32;
            Vector256<byte> bits = StoredBlocks.FourBits(Vector256.Load(low), part / 2 * 4) | StoredBlocks.Upper(Vector256.Load(high), part * 2, 3);
            Vector256<sbyte> q = bits.AsSByte() - Vector256.Create((sbyte)32);
            w0 = Vector512.ConvertToSingle(Avx512F.ConvertToVector512Int32(q.GetLower())) * Vector512.Create(halves[2 * group]);
            w1 = Vector512.ConvertToSingle(Avx512F.ConvertToVector512Int32(q.GetUpper())) * Vector512.Create(halves[2 * group + 1]);
        }
    }
}
