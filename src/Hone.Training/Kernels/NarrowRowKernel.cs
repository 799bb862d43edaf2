using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Hone.Formats.Gguf;

namespace Hone.Training.Kernels;

/// <summary>Sums of <see cref="RowProduct"/> in 256-bit registers: each pair of a row of x and one of W has one sum of eight lanes.</summary>
internal static unsafe class NarrowRowKernel
{
    private const int Block = StoredBlocks.Values;

    /// <summary>One row of x with two of W, whose sums do not wait for each other.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void OneByTwo<TBlocks>(byte* a, byte* b, int blocks, float* halves, float* x, float* sums) where TBlocks : struct, IStoredBlock
    {
        Vector256<float> s0 = default, s1 = default;
        for (; blocks > 0; blocks--, x += Block, a += TBlocks.Bytes, b += TBlocks.Bytes)
        {
            TBlocks.Read(a, halves, out Vector256<float> w0, out Vector256<float> w1, out Vector256<float> w2, out Vector256<float> w3);
            s0 = Sum(x, w0, w1, w2, w3, s0);
            TBlocks.Read(b, halves, out w0, out w1, out w2, out w3);
            s1 = Sum(x, w0, w1, w2, w3, s1);
        }
        (sums[0], sums[1]) = (Vector256.Sum(s0), Vector256.Sum(s1));
    }

    /// <summary>Up to eight rows of x with one of W.</summary>
    /// <param name="to">From the first row of x to each.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void RowsByOne<TBlocks>(byte* weight, int blocks, float* halves, float* x, nint* to, float* sums) where TBlocks : struct, IStoredBlock
    {
        Vector256<float> s0 = default, s1 = default, s2 = default, s3 = default, s4 = default, s5 = default, s6 = default, s7 = default;
        nint x1 = to[1], x2 = to[2], x3 = to[3], x4 = to[4], x5 = to[5], x6 = to[6], x7 = to[7];
        for (; blocks > 0; blocks--, x += Block, weight += TBlocks.Bytes)
        {
            TBlocks.Read(weight, halves, out Vector256<float> w0, out Vector256<float> w1, out Vector256<float> w2, out Vector256<float> w3);
            s0 = Sum(x, w0, w1, w2, w3, s0);
            s1 = Sum(x + x1, w0, w1, w2, w3, s1);
            s2 = Sum(x + x2, w0, w1, w2, w3, s2);
            s3 = Sum(x + x3, w0, w1, w2, w3, s3);
            s4 = Sum(x + x4, w0, w1, w2, w3, s4);
            s5 = Sum(x + x5, w0, w1, w2, w3, s5);
            s6 = Sum(x + x6, w0, w1, w2, w3, s6);
            s7 = Sum(x + x7, w0, w1, w2, w3, s7);
        }
        (sums[0], sums[1], sums[2], sums[3]) = (Vector256.Sum(s0), Vector256.Sum(s1), Vector256.Sum(s2), Vector256.Sum(s3));
        (sums[4], sums[5], sums[6], sums[7]) = (Vector256.Sum(s4), Vector256.Sum(s5), Vector256.Sum(s6), Vector256.Sum(s7));
    }

    /// <summary>One block's part of a row's sum.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<float> Sum(float* x, Vector256<float> w0, Vector256<float> w1, Vector256<float> w2, Vector256<float> w3, Vector256<float> sum)
    {
        sum = Vector256.MultiplyAddEstimate(w0, Vector256.Load(x), sum);
        sum = Vector256.MultiplyAddEstimate(w1, Vector256.Load(x + 8), sum);
        sum = Vector256.MultiplyAddEstimate(w2, Vector256.Load(x + 16), sum);
        return Vector256.MultiplyAddEstimate(w3, Vector256.Load(x + 24), sum);
    }
}
