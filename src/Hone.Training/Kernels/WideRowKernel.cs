using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Hone.Formats.Gguf;

namespace Hone.Training.Kernels;

/// <summary>
/// Sums of <see cref="RowProduct"/> in 512-bit registers. Every pair of a row of x and one of W has one sum of sixteen lanes, taken in the same order in each of the
/// kernels; they differ in how many such sums are under way at once.
/// </summary>
internal static unsafe class WideRowKernel
{
    private const int Block = StoredBlocks.Values, CacheLine = 64;

    /// <summary>From what is read of W to what is asked for ahead of time: more than a page, which the processor does not look beyond by itself.</summary>
    private const int Ahead = 4608;

    /// <summary>One row of x with four of W.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void OneByFour<TBlock>(byte* a, byte* b, byte* c, byte* d, nint blocks, float* halves, float* x, float* sums) where TBlock : struct, IWideBlock
    {
        Vector512<float> s0 = default, s1 = default, s2 = default, s3 = default;
        byte* next = a + Ahead;
        for (nint i = 0; i < blocks; i++, x += Block)
        {
            next = Prefetch(next, 4 * TBlock.Bytes);
            Vector512<float> x0 = Vector512.Load(x), x1 = Vector512.Load(x + 16);
            TBlock.Read(a, i, halves, out Vector512<float> w0, out Vector512<float> w1);
            s0 = Add(x0, x1, w0, w1, s0);
            TBlock.Read(b, i, halves, out w0, out w1);
            s1 = Add(x0, x1, w0, w1, s1);
            TBlock.Read(c, i, halves, out w0, out w1);
            s2 = Add(x0, x1, w0, w1, s2);
            TBlock.Read(d, i, halves, out w0, out w1);
            s3 = Add(x0, x1, w0, w1, s3);
        }
        Lane.Sums(s0, s1, s2, s3).Store(sums);
    }

    /// <summary>Up to four rows of x with two of W.</summary>
    /// <param name="to">From the first row of x to each.</param>
    /// <param name="sums">[4, 2]</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void FourByTwo<TBlock>(byte* a, byte* b, nint blocks, float* halves, float* x, nint* to, float* sums) where TBlock : struct, IWideBlock
    {
        Vector512<float> a0 = default, a1 = default, a2 = default, a3 = default, b0 = default, b1 = default, b2 = default, b3 = default;
        nint x1 = to[1], x2 = to[2], x3 = to[3];
        byte* next = a + Ahead;
        for (nint i = 0; i < blocks; i++, x += Block)
        {
            next = Prefetch(next, 2 * TBlock.Bytes);
            TBlock.Read(a, i, halves, out Vector512<float> v0, out Vector512<float> v1);
            TBlock.Read(b, i, halves, out Vector512<float> w0, out Vector512<float> w1);
            Vector512<float> x0, y0;
            x0 = Vector512.Load(x);
            y0 = Vector512.Load(x + 16);
            (a0, b0) = (Add(x0, y0, v0, v1, a0), Add(x0, y0, w0, w1, b0));
            x0 = Vector512.Load(x + x1);
            y0 = Vector512.Load(x + x1 + 16);
            (a1, b1) = (Add(x0, y0, v0, v1, a1), Add(x0, y0, w0, w1, b1));
            x0 = Vector512.Load(x + x2);
            y0 = Vector512.Load(x + x2 + 16);
            (a2, b2) = (Add(x0, y0, v0, v1, a2), Add(x0, y0, w0, w1, b2));
            x0 = Vector512.Load(x + x3);
            y0 = Vector512.Load(x + x3 + 16);
            (a3, b3) = (Add(x0, y0, v0, v1, a3), Add(x0, y0, w0, w1, b3));
        }
        Lane.Sums(a0, b0, a1, b1).Store(sums);
        Lane.Sums(a2, b2, a3, b3).Store(sums + 4);
    }

    /// <summary>Up to eight rows of x with two of W.</summary>
    /// <param name="to">From the first row of x to each.</param>
    /// <param name="sums">[8, 2]</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void EightByTwo<TBlock>(byte* a, byte* b, nint blocks, float* halves, float* x, nint* to, float* sums) where TBlock : struct, IWideBlock
    {
        Vector512<float> a0 = default, a1 = default, a2 = default, a3 = default, a4 = default, a5 = default, a6 = default, a7 = default;
        Vector512<float> b0 = default, b1 = default, b2 = default, b3 = default, b4 = default, b5 = default, b6 = default, b7 = default;
        nint x1 = to[1], x2 = to[2], x3 = to[3], x4 = to[4], x5 = to[5], x6 = to[6], x7 = to[7];
        byte* next = a + Ahead;
        for (nint i = 0; i < blocks; i++, x += Block)
        {
            next = Prefetch(next, 2 * TBlock.Bytes);
            TBlock.Read(a, i, halves, out Vector512<float> v0, out Vector512<float> v1);
            TBlock.Read(b, i, halves, out Vector512<float> w0, out Vector512<float> w1);
            Vector512<float> x0, y0;
            x0 = Vector512.Load(x);
            y0 = Vector512.Load(x + 16);
            a0 = Add(x0, y0, v0, v1, a0);
            b0 = Add(x0, y0, w0, w1, b0);
            x0 = Vector512.Load(x + x1);
            y0 = Vector512.Load(x + x1 + 16);
            a1 = Add(x0, y0, v0, v1, a1);
            b1 = Add(x0, y0, w0, w1, b1);
            x0 = Vector512.Load(x + x2);
            y0 = Vector512.Load(x + x2 + 16);
            a2 = Add(x0, y0, v0, v1, a2);
            b2 = Add(x0, y0, w0, w1, b2);
            x0 = Vector512.Load(x + x3);
            y0 = Vector512.Load(x + x3 + 16);
            a3 = Add(x0, y0, v0, v1, a3);
            b3 = Add(x0, y0, w0, w1, b3);
            x0 = Vector512.Load(x + x4);
            y0 = Vector512.Load(x + x4 + 16);
            a4 = Add(x0, y0, v0, v1, a4);
            b4 = Add(x0, y0, w0, w1, b4);
            x0 = Vector512.Load(x + x5);
            y0 = Vector512.Load(x + x5 + 16);
            a5 = Add(x0, y0, v0, v1, a5);
            b5 = Add(x0, y0, w0, w1, b5);
            x0 = Vector512.Load(x + x6);
            y0 = Vector512.Load(x + x6 + 16);
            a6 = Add(x0, y0, v0, v1, a6);
            b6 = Add(x0, y0, w0, w1, b6);
            x0 = Vector512.Load(x + x7);
            y0 = Vector512.Load(x + x7 + 16);
            a7 = Add(x0, y0, v0, v1, a7);
            b7 = Add(x0, y0, w0, w1, b7);
        }
        Lane.Sums(a0, b0, a1, b1, a2, b2, a3, b3, a4, b4, a5, b5, a6, b6, a7, b7).Store(sums);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static byte* Prefetch(byte* next, int bytes)
    {
        Sse.Prefetch0(next);
        if (bytes > CacheLine)
            Sse.Prefetch0(next + CacheLine);
        if (bytes > 2 * CacheLine)
            Sse.Prefetch0(next + 2 * CacheLine);
        if (bytes > 3 * CacheLine)
            Sse.Prefetch0(next + 3 * CacheLine);
        return next + bytes;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Add(Vector512<float> x0, Vector512<float> x1, Vector512<float> w0, Vector512<float> w1, Vector512<float> sum) =>
        Vector512.MultiplyAddEstimate(w1, x1, Vector512.MultiplyAddEstimate(w0, x0, sum));
}
