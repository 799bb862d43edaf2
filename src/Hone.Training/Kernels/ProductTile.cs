using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Hone.Training.Kernels;

/// <summary>
/// The innermost block of a product: a few rows of x times one packed panel [depth, <see cref="Columns"/>], all sums in registers
/// (Goto and van de Geijn 2008, "Anatomy of high-performance matrix multiplication"). 6 × 16 with 256-bit vectors, 8 × 32 with 512-bit ones.
/// </summary>
internal static unsafe class ProductTile
{
    public static int Rows => Avx512F.IsSupported ? 8 : 6;

    public static int Columns => Avx512F.IsSupported ? 32 : 16;

    /// <summary>y = scale · x · panel, or y += scale · x · panel.</summary>
    /// <param name="rows">1 … <see cref="Rows"/>; fewer cost as much as all.</param>
    /// <param name="strideX">From one row of x to the next.</param>
    /// <param name="stepX">From one column of x to the next: 1, or a row's length where x is read turned.</param>
    /// <param name="stridePanel">From one row of the panel to the next.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Run(float* x, nint strideX, nint stepX, int rows, float* panel, nint stridePanel, int depth, float* y, nint strideY, float scale, bool accumulate)
    {
        if (Avx512F.IsSupported)
            Wide(x, strideX, stepX, rows, panel, stridePanel, depth, y, strideY, scale, accumulate);
        else
            Narrow(x, strideX, stepX, rows, panel, stridePanel, depth, y, strideY, scale, accumulate);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static void Narrow(float* x, nint strideX, nint stepX, int rows, float* panel, nint stridePanel, int depth, float* y, nint strideY, float scale, bool accumulate)
    {
        Vector256<float> c00 = default, c01 = default, c10 = default, c11 = default, c20 = default, c21 = default;
        Vector256<float> c30 = default, c31 = default, c40 = default, c41 = default, c50 = default, c51 = default;
        nint x1 = rows > 1 ? strideX : 0, x2 = rows > 2 ? x1 + strideX : x1, x3 = rows > 3 ? x2 + strideX : x2;
        nint x4 = rows > 4 ? x3 + strideX : x3, x5 = rows > 5 ? x4 + strideX : x4;
        Prefetch(y, strideY, rows);
        for (nint k = depth; k > 0; k--)
        {
            Vector256<float> b0 = Vector256.Load(panel), b1 = Vector256.Load(panel + 8);
            panel += stridePanel;
            Vector256<float> a = Vector256.Create(*x);
            c00 = Vector256.MultiplyAddEstimate(a, b0, c00);
            c01 = Vector256.MultiplyAddEstimate(a, b1, c01);
            a = Vector256.Create(x[x1]);
            c10 = Vector256.MultiplyAddEstimate(a, b0, c10);
            c11 = Vector256.MultiplyAddEstimate(a, b1, c11);
            a = Vector256.Create(x[x2]);
            c20 = Vector256.MultiplyAddEstimate(a, b0, c20);
            c21 = Vector256.MultiplyAddEstimate(a, b1, c21);
            a = Vector256.Create(x[x3]);
            c30 = Vector256.MultiplyAddEstimate(a, b0, c30);
            c31 = Vector256.MultiplyAddEstimate(a, b1, c31);
            a = Vector256.Create(x[x4]);
            c40 = Vector256.MultiplyAddEstimate(a, b0, c40);
            c41 = Vector256.MultiplyAddEstimate(a, b1, c41);
            a = Vector256.Create(x[x5]);
            c50 = Vector256.MultiplyAddEstimate(a, b0, c50);
            c51 = Vector256.MultiplyAddEstimate(a, b1, c51);
            x += stepX;
        }
        Store(y, c00, c01, scale, accumulate);
        if (rows > 1)
            Store(y + strideY, c10, c11, scale, accumulate);
        if (rows > 2)
            Store(y + 2 * strideY, c20, c21, scale, accumulate);
        if (rows > 3)
            Store(y + 3 * strideY, c30, c31, scale, accumulate);
        if (rows > 4)
            Store(y + 4 * strideY, c40, c41, scale, accumulate);
        if (rows > 5)
            Store(y + 5 * strideY, c50, c51, scale, accumulate);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static void Wide(float* x, nint strideX, nint stepX, int rows, float* panel, nint stridePanel, int depth, float* y, nint strideY, float scale, bool accumulate)
    {
        Vector512<float> c00 = default, c01 = default, c10 = default, c11 = default, c20 = default, c21 = default, c30 = default, c31 = default;
        Vector512<float> c40 = default, c41 = default, c50 = default, c51 = default, c60 = default, c61 = default, c70 = default, c71 = default;
        nint x1 = rows > 1 ? strideX : 0, x2 = rows > 2 ? x1 + strideX : x1, x3 = rows > 3 ? x2 + strideX : x2;
        nint x4 = rows > 4 ? x3 + strideX : x3, x5 = rows > 5 ? x4 + strideX : x4, x6 = rows > 6 ? x5 + strideX : x5, x7 = rows > 7 ? x6 + strideX : x6;
        Prefetch(y, strideY, rows);
        for (nint k = depth; k > 0; k--)
        {
            Vector512<float> b0 = Vector512.Load(panel), b1 = Vector512.Load(panel + 16);
            panel += stridePanel;
            Vector512<float> a = Vector512.Create(*x);
            c00 = Vector512.MultiplyAddEstimate(a, b0, c00);
            c01 = Vector512.MultiplyAddEstimate(a, b1, c01);
            a = Vector512.Create(x[x1]);
            c10 = Vector512.MultiplyAddEstimate(a, b0, c10);
            c11 = Vector512.MultiplyAddEstimate(a, b1, c11);
            a = Vector512.Create(x[x2]);
            c20 = Vector512.MultiplyAddEstimate(a, b0, c20);
            c21 = Vector512.MultiplyAddEstimate(a, b1, c21);
            a = Vector512.Create(x[x3]);
            c30 = Vector512.MultiplyAddEstimate(a, b0, c30);
            c31 = Vector512.MultiplyAddEstimate(a, b1, c31);
            a = Vector512.Create(x[x4]);
            c40 = Vector512.MultiplyAddEstimate(a, b0, c40);
            c41 = Vector512.MultiplyAddEstimate(a, b1, c41);
            a = Vector512.Create(x[x5]);
            c50 = Vector512.MultiplyAddEstimate(a, b0, c50);
            c51 = Vector512.MultiplyAddEstimate(a, b1, c51);
            a = Vector512.Create(x[x6]);
            c60 = Vector512.MultiplyAddEstimate(a, b0, c60);
            c61 = Vector512.MultiplyAddEstimate(a, b1, c61);
            a = Vector512.Create(x[x7]);
            c70 = Vector512.MultiplyAddEstimate(a, b0, c70);
            c71 = Vector512.MultiplyAddEstimate(a, b1, c71);
            x += stepX;
        }
        Store(y, c00, c01, scale, accumulate);
        if (rows > 1)
            Store(y + strideY, c10, c11, scale, accumulate);
        if (rows > 2)
            Store(y + 2 * strideY, c20, c21, scale, accumulate);
        if (rows > 3)
            Store(y + 3 * strideY, c30, c31, scale, accumulate);
        if (rows > 4)
            Store(y + 4 * strideY, c40, c41, scale, accumulate);
        if (rows > 5)
            Store(y + 5 * strideY, c50, c51, scale, accumulate);
        if (rows > 6)
            Store(y + 6 * strideY, c60, c61, scale, accumulate);
        if (rows > 7)
            Store(y + 7 * strideY, c70, c71, scale, accumulate);
    }

    /// <summary>The sums are wanted when the loop is through.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Prefetch(float* y, nint strideY, int rows)
    {
        for (int row = 0; Sse.IsSupported && row < rows; row++, y += strideY)
            Sse.Prefetch0(y);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store(float* y, Vector256<float> left, Vector256<float> right, float scale, bool accumulate)
    {
        left *= scale;
        right *= scale;
        if (accumulate)
        {
            left += Vector256.Load(y);
            right += Vector256.Load(y + 8);
        }
        left.Store(y);
        right.Store(y + 8);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store(float* y, Vector512<float> left, Vector512<float> right, float scale, bool accumulate)
    {
        left *= scale;
        right *= scale;
        if (accumulate)
        {
            left += Vector512.Load(y);
            right += Vector512.Load(y + 16);
        }
        left.Store(y);
        right.Store(y + 16);
    }
}
