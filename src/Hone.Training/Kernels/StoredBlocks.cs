using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Hone.Training.Kernels;

/// <summary>Stored numbers widened in registers, with AVX2.</summary>
internal static unsafe class StoredBlocks
{
    /// <summary>The value of every IEEE half, by its bits.</summary>
    public static readonly float* HalfValues = AllHalves();

    /// <summary>Eight small integers.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Wide(sbyte* q) => Vector256.ConvertToSingle(Avx2.ConvertToVector256Int32(q));

    /// <summary>Eight bfloat16.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Wide(ushort* values) => (Avx2.ConvertToVector256Int32(values) << 16).AsSingle();

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
    public static void Halves(byte* bytes, out Vector256<int> low0, out Vector256<int> low1, out Vector256<int> high0, out Vector256<int> high1)
    {
        (Vector256<int> left, Vector256<int> right) = Bytes(bytes);
        Vector256<int> low = Vector256.Create(0x0F), high = Vector256.Create(0xF0);
        (low0, low1, high0, high1) = (left & low, right & low, left & high, right & high);
    }

    /// <summary>w = d × q; q2 and q3 are 16 times as large.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Scale(
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
}
