using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Hone.Formats.Gguf;

/// <summary>32 stored values, widened in registers: product and sum are rounded one by one, as gguf-py has it. With AVX2 only.</summary>
public unsafe interface IStoredBlock
{
    /// <summary>From one block to the next.</summary>
    static abstract int Bytes { get; }

    /// <summary>Values 0 … 7, 8 … 15, 16 … 23 and 24 … 31.</summary>
    /// <param name="block">The block.</param>
    /// <param name="halves"><see cref="StoredBlocks.HalfValues"/></param>
    static abstract void Read(byte* block, float* halves, out Vector256<float> w0, out Vector256<float> w1, out Vector256<float> w2, out Vector256<float> w3);
}

/// <summary>The blocks of a file's types that are widened in registers; of half a byte a value, value i is the low half of byte i, value i + 16 the high half.</summary>
public static unsafe class StoredBlocks
{
    /// <summary>Of a block.</summary>
    public const int Values = 32;

    /// <summary>The value of every IEEE half, by its bits.</summary>
    public static readonly float* HalfValues = AllHalves();

    /// <summary>Eight small integers.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<float> Wide(sbyte* q) => Vector256.ConvertToSingle(Avx2.ConvertToVector256Int32(q));

    /// <summary>Eight bfloat16.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<float> Wide(ushort* values) => (Avx2.ConvertToVector256Int32(values) << 16).AsSingle();

    /// <summary>Sixteen bytes as integers.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static (Vector256<int> Left, Vector256<int> Right) Bytes(byte* bytes)
    {
        const byte None = 0x80;
        Vector256<byte> twice = Avx2.BroadcastVector128ToVector256(bytes);
        Vector256<byte> left = Vector256.Create(
            0, None, None, None, 1, None, None, None, 2, None, None, None, 3, None, None, None, 4, None, None, None, 5, None, None, None, 6, None, None, None, 7, None, None, (byte)None);
        Vector256<byte> right = Vector256.Create(
            8, None, None, None, 9, None, None, None, 10, None, None, None, 11, None, None, None, 12, None, None, None, 13, None, None, None, 14, None, None, None, 15, None, None, (byte)None);
        return (Avx2.Shuffle(twice, left).AsInt32(), Avx2.Shuffle(twice, right).AsInt32());
    }

    /// <summary>Sixteen bytes' low halves, and their high halves times 16.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Halves(byte* bytes, out Vector256<int> low0, out Vector256<int> low1, out Vector256<int> high0, out Vector256<int> high1)
    {
        (Vector256<int> left, Vector256<int> right) = Bytes(bytes);
        Vector256<int> low = Vector256.Create(0x0F), high = Vector256.Create(0xF0);
        (low0, low1, high0, high1) = (left & low, right & low, left & high, right & high);
    }

    /// <summary>w = d × q; q2 and q3 are 16 times as large.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Scale(
        Vector256<int> q0, Vector256<int> q1, Vector256<int> q2, Vector256<int> q3, Vector256<float> d, out Vector256<float> w0, out Vector256<float> w1, out Vector256<float> w2, out Vector256<float> w3)
    {
        Vector256<float> sixteenth = d * Vector256.Create(1 / 16f); // exact
        (w0, w1) = (Vector256.ConvertToSingle(q0) * d, Vector256.ConvertToSingle(q1) * d);
        (w2, w3) = (Vector256.ConvertToSingle(q2) * sixteenth, Vector256.ConvertToSingle(q3) * sixteenth);
    }

    private static float* AllHalves()
    {
        float* values = (float*)NativeMemory.Alloc(1 << 16, sizeof(float));
        for (int bits = 0; bits < 1 << 16; bits++)
            values[bits] = (float)BitConverter.UInt16BitsToHalf((ushort)bits);
        return values;
    }

    /// <summary>float32</summary>
    public readonly unsafe struct Float32 : IStoredBlock
    {
        /// <inheritdoc/>
        public static int Bytes => Values * sizeof(float);

        /// <inheritdoc/>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Read(byte* block, float* halves, out Vector256<float> w0, out Vector256<float> w1, out Vector256<float> w2, out Vector256<float> w3)
        {
            float* values = (float*)block;
            (w0, w1, w2, w3) = (Vector256.Load(values), Vector256.Load(values + 8), Vector256.Load(values + 16), Vector256.Load(values + 24));
        }
    }

    /// <summary>bfloat16</summary>
    public readonly unsafe struct BrainFloat : IStoredBlock
    {
        /// <inheritdoc/>
        public static int Bytes => Values * sizeof(ushort);

        /// <inheritdoc/>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Read(byte* block, float* halves, out Vector256<float> w0, out Vector256<float> w1, out Vector256<float> w2, out Vector256<float> w3)
        {
            ushort* values = (ushort*)block;
            (w0, w1, w2, w3) = (Wide(values), Wide(values + 8), Wide(values + 16), Wide(values + 24));
        }
    }

    /// <summary>Q4_0: half d, byte[16]: d × (q − 8)</summary>
    public readonly unsafe struct Nibbles : IStoredBlock
    {
        /// <inheritdoc/>
        public static int Bytes => 18;

        /// <inheritdoc/>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Read(byte* block, float* halves, out Vector256<float> w0, out Vector256<float> w1, out Vector256<float> w2, out Vector256<float> w3)
        {
            Halves(block + 2, out Vector256<int> q0, out Vector256<int> q1, out Vector256<int> q2, out Vector256<int> q3);
            Vector256<int> eight = Vector256.Create(8);
            Vector256<float> d = Vector256.Create(halves[*(ushort*)block]);
            Scale(q0 - eight, q1 - eight, q2 - (eight << 4), q3 - (eight << 4), d, out w0, out w1, out w2, out w3);
        }
    }

    /// <summary>Q4_1: half d, half m, byte[16]: d × q + m</summary>
    public readonly unsafe struct NibblesAndMinimum : IStoredBlock
    {
        /// <inheritdoc/>
        public static int Bytes => 20;

        /// <inheritdoc/>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Read(byte* block, float* halves, out Vector256<float> w0, out Vector256<float> w1, out Vector256<float> w2, out Vector256<float> w3)
        {
            Halves(block + 4, out Vector256<int> q0, out Vector256<int> q1, out Vector256<int> q2, out Vector256<int> q3);
            Vector256<float> d = Vector256.Create(halves[*(ushort*)block]), m = Vector256.Create(halves[*(ushort*)(block + 2)]);
            Scale(q0, q1, q2, q3, d, out w0, out w1, out w2, out w3);
            (w0, w1, w2, w3) = (w0 + m, w1 + m, w2 + m, w3 + m);
        }
    }

    /// <summary>Q8_0: half d, sbyte[32]: d × q</summary>
    public readonly unsafe struct SignedBytes : IStoredBlock
    {
        /// <inheritdoc/>
        public static int Bytes => 34;

        /// <inheritdoc/>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Read(byte* block, float* halves, out Vector256<float> w0, out Vector256<float> w1, out Vector256<float> w2, out Vector256<float> w3)
        {
            sbyte* q = (sbyte*)block + 2;
            Vector256<float> d = Vector256.Create(halves[*(ushort*)block]);
            (w0, w1, w2, w3) = (Wide(q) * d, Wide(q + 8) * d, Wide(q + 16) * d, Wide(q + 24) * d);
        }
    }
}
