using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Hone.Formats.Gguf;

namespace Hone.Training.Kernels;

/// <summary>
/// Sums of <see cref="RowProduct"/> in 256-bit registers. Every pair of a row of x and one of W has one sum of eight lanes, taken in the same order in each of the
/// kernels; they differ in how many such sums are under way at once.
/// </summary>
internal readonly unsafe struct NarrowRowKernel<TBlock> : IRowKernel where TBlock : struct, IStoredBlock
{
    private const int Block = StoredBlocks.Values;

    public static int EightColumns => 1;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void OneByFour(byte* a, byte* b, byte* c, byte* d, nint blocks, float* halves, float* x, float* sums)
    {
        Vector256<float> s0 = default, s1 = default, s2 = default, s3 = default;
        byte* next = a + Prefetching.Ahead;
        for (nint i = 0; i < blocks; i++, x += Block)
        {
            next = Prefetching.Ask(next, 4 * TBlock.Bytes);
            TBlock.Read(a, i, halves, out Vector256<float> w0, out Vector256<float> w1, out Vector256<float> w2, out Vector256<float> w3);
            s0 = Add(x + 24, w3, Add(x + 16, w2, Add(x + 8, w1, Add(x, w0, s0))));
            TBlock.Read(b, i, halves, out w0, out w1, out w2, out w3);
            s1 = Add(x + 24, w3, Add(x + 16, w2, Add(x + 8, w1, Add(x, w0, s1))));
            TBlock.Read(c, i, halves, out w0, out w1, out w2, out w3);
            s2 = Add(x + 24, w3, Add(x + 16, w2, Add(x + 8, w1, Add(x, w0, s2))));
            TBlock.Read(d, i, halves, out w0, out w1, out w2, out w3);
            s3 = Add(x + 24, w3, Add(x + 16, w2, Add(x + 8, w1, Add(x, w0, s3))));
        }
        Lane.Sums(s0, s1, s2, s3).Store(sums);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void FourByTwo(byte* a, byte* b, nint blocks, float* halves, float* x, nint* to, float* sums, nint stride)
    {
        Vector256<float> a0 = default, a1 = default, a2 = default, a3 = default, b0 = default, b1 = default, b2 = default, b3 = default;
        nint x1 = to[1], x2 = to[2], x3 = to[3];
        byte* next = a + Prefetching.Ahead;
        for (nint i = 0; i < blocks; i++, x += Block)
        {
            next = Prefetching.Ask(next, 2 * TBlock.Bytes);
            TBlock.Read(a, i, halves, out Vector256<float> w0, out Vector256<float> w1, out Vector256<float> w2, out Vector256<float> w3);
            Four(x, x1, x2, x3, w0, ref a0, ref a1, ref a2, ref a3);
            Four(x + 8, x1, x2, x3, w1, ref a0, ref a1, ref a2, ref a3);
            Four(x + 16, x1, x2, x3, w2, ref a0, ref a1, ref a2, ref a3);
            Four(x + 24, x1, x2, x3, w3, ref a0, ref a1, ref a2, ref a3);
            TBlock.Read(b, i, halves, out w0, out w1, out w2, out w3);
            Four(x, x1, x2, x3, w0, ref b0, ref b1, ref b2, ref b3);
            Four(x + 8, x1, x2, x3, w1, ref b0, ref b1, ref b2, ref b3);
            Four(x + 16, x1, x2, x3, w2, ref b0, ref b1, ref b2, ref b3);
            Four(x + 24, x1, x2, x3, w3, ref b0, ref b1, ref b2, ref b3);
        }
        Vector256<float> all = Lane.Sums(a0, b0, a1, b1, a2, b2, a3, b3);
        for (int row = 0; row < 4; row++)
            (sums[row * stride], sums[row * stride + 1]) = (all[2 * row], all[2 * row + 1]);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Eight(byte* a, byte* b, nint first, nint end, float* halves, float* x, nint* to, float* lanes, float* sums, nint stride)
    {
        Vector256<float> s0 = default, s1 = default, s2 = default, s3 = default, s4 = default, s5 = default, s6 = default, s7 = default;
        nint x1 = to[1], x2 = to[2], x3 = to[3], x4 = to[4], x5 = to[5], x6 = to[6], x7 = to[7];
        if (first > 0)
        {
            (s0, s1, s2, s3) = (Vector256.Load(lanes), Vector256.Load(lanes + 8), Vector256.Load(lanes + 16), Vector256.Load(lanes + 24));
            (s4, s5, s6, s7) = (Vector256.Load(lanes + 32), Vector256.Load(lanes + 40), Vector256.Load(lanes + 48), Vector256.Load(lanes + 56));
        }
        x += first * Block;
        byte* next = a + Prefetching.Ahead + first * TBlock.Bytes;
        for (nint i = first; i < end; i++, x += Block)
        {
            next = Prefetching.Ask(next, TBlock.Bytes);
            // A sum waits for itself only after the seven others.
            TBlock.Read(a, i, halves, out Vector256<float> w0, out Vector256<float> w1, out Vector256<float> w2, out Vector256<float> w3);
            Four(x, x1, x2, x3, w0, ref s0, ref s1, ref s2, ref s3);
            (s4, s5, s6, s7) = (Add(x + x4, w0, s4), Add(x + x5, w0, s5), Add(x + x6, w0, s6), Add(x + x7, w0, s7));
            float* beside = x + 8;
            Four(beside, x1, x2, x3, w1, ref s0, ref s1, ref s2, ref s3);
            (s4, s5, s6, s7) = (Add(beside + x4, w1, s4), Add(beside + x5, w1, s5), Add(beside + x6, w1, s6), Add(beside + x7, w1, s7));
            beside = x + 16;
            Four(beside, x1, x2, x3, w2, ref s0, ref s1, ref s2, ref s3);
            (s4, s5, s6, s7) = (Add(beside + x4, w2, s4), Add(beside + x5, w2, s5), Add(beside + x6, w2, s6), Add(beside + x7, w2, s7));
            beside = x + 24;
            Four(beside, x1, x2, x3, w3, ref s0, ref s1, ref s2, ref s3);
            (s4, s5, s6, s7) = (Add(beside + x4, w3, s4), Add(beside + x5, w3, s5), Add(beside + x6, w3, s6), Add(beside + x7, w3, s7));
        }
        if (sums is not null)
        {
            Vector256<float> all = Lane.Sums(s0, s1, s2, s3, s4, s5, s6, s7);
            for (int row = 0; row < 8; row++)
                sums[row * stride] = all[row];
            return;
        }
        s0.Store(lanes);
        s1.Store(lanes + 8);
        s2.Store(lanes + 16);
        s3.Store(lanes + 24);
        s4.Store(lanes + 32);
        s5.Store(lanes + 40);
        s6.Store(lanes + 48);
        s7.Store(lanes + 56);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<float> Add(float* x, Vector256<float> w, Vector256<float> sum) => Vector256.MultiplyAddEstimate(w, Vector256.Load(x), sum);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Four(
        float* x, nint x1, nint x2, nint x3, Vector256<float> w, ref Vector256<float> s0, ref Vector256<float> s1, ref Vector256<float> s2, ref Vector256<float> s3)
    {
        s0 = Add(x, w, s0);
        s1 = Add(x + x1, w, s1);
        s2 = Add(x + x2, w, s2);
        s3 = Add(x + x3, w, s3);
    }
}
