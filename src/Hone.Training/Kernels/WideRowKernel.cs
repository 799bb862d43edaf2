using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Hone.Formats.Gguf;

namespace Hone.Training.Kernels;

/// <summary>
/// Sums of <see cref="RowProduct"/> in 512-bit registers. Every pair of a row of x and one of W has one sum of sixteen lanes, taken in the same order in each of the
/// kernels; they differ in how many such sums are under way at once. With AVX-512 only.
/// </summary>
internal readonly unsafe struct WideRowKernel<TBlock> : IRowKernel where TBlock : struct, IWideBlock
{
    private const int Block = StoredBlocks.Values;

    /// <summary>Blocks of eight rows of x that stay in the nearest cache: 24 KiB.</summary>
    private const int BlocksOfEight = 24;

    public static int Lanes => 16;

    public static int Columns => 2;

    public static int TileColumns => 16;

    public static int Widened => 4 * StoredBlocks.Scales;

    public static nint PartBlocks(int rows) => rows > 4 ? BlocksOfEight : nint.MaxValue;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void OneByFour(in RowPart part, byte* a, byte* b, byte* c, byte* d, float* sums)
    {
        nint blocks = part.End;
        float* halves = part.Halves, x = part.X;
        float* ta = part.Table<TBlock>(part.Widened, 0), tb = part.Table<TBlock>(part.Widened, 1), tc = part.Table<TBlock>(part.Widened, 2), td = part.Table<TBlock>(part.Widened, 3);
        Vector512<float> s0 = default, s1 = default, s2 = default, s3 = default;
        byte* next = a + Prefetching.Ahead;
        for (nint i = 0; i < blocks; i++, x += Block)
        {
            next = Prefetching.Ask(next, 4 * TBlock.Bytes);
            if (TBlock.IsPrepared && i % 8 == 0)
            {
                TBlock.Prepare(a, i, halves, ta);
                TBlock.Prepare(b, i, halves, tb);
                TBlock.Prepare(c, i, halves, tc);
                TBlock.Prepare(d, i, halves, td);
            }
            Vector512<float> x0 = Vector512.Load(x), x1 = Vector512.Load(x + 16);
            TBlock.Read(a, i, ta, out Vector512<float> w0, out Vector512<float> w1);
            s0 = Add(x0, x1, w0, w1, s0);
            TBlock.Read(b, i, tb, out w0, out w1);
            s1 = Add(x0, x1, w0, w1, s1);
            TBlock.Read(c, i, tc, out w0, out w1);
            s2 = Add(x0, x1, w0, w1, s2);
            TBlock.Read(d, i, td, out w0, out w1);
            s3 = Add(x0, x1, w0, w1, s3);
        }
        Lane.Sums(s0, s1, s2, s3).Store(sums);
    }

    public static void Several(in RowPart part, byte* a, byte* b, byte* c, float* lanes, float* sums)
    {
        if (part.Rows > 4)
            Eight(part, a, b, lanes, sums);
        else
            FourByTwo(part, a, b, sums);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void FourByTwo(in RowPart part, byte* a, byte* b, float* sums)
    {
        nint blocks = part.End;
        nint* to = part.To;
        float* halves = part.Halves, x = part.X;
        float* ta = part.Table<TBlock>(part.Widened, 0), tb = part.Table<TBlock>(part.Widened, 1);
        Vector512<float> a0 = default, a1 = default, a2 = default, a3 = default, b0 = default, b1 = default, b2 = default, b3 = default;
        nint x1 = to[1], x2 = to[2], x3 = to[3];
        byte* next = a + Prefetching.Ahead;
        for (nint i = 0; i < blocks; i++, x += Block)
        {
            next = Prefetching.Ask(next, 2 * TBlock.Bytes);
            Prepare(a, b, i, halves, ta, tb);
            TBlock.Read(a, i, ta, out Vector512<float> v0, out Vector512<float> v1);
            TBlock.Read(b, i, tb, out Vector512<float> w0, out Vector512<float> w1);
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
        Store(Lane.Sums(a0, b0, a1, b1), sums);
        Store(Lane.Sums(a2, b2, a3, b3), sums + 2 * TileColumns);
    }

    /// <summary>The next block is widened while one is multiplied: its values would come late otherwise.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Eight(in RowPart part, byte* a, byte* b, float* lanes, float* sums)
    {
        nint first = part.First, end = part.End;
        nint* to = part.To;
        float* halves = part.Halves, x = part.X;
        float* ta = part.Table<TBlock>(part.Widened, 0), tb = part.Table<TBlock>(part.Widened, 1);
        Vector512<float> a0 = default, a1 = default, a2 = default, a3 = default, a4 = default, a5 = default, a6 = default, a7 = default;
        Vector512<float> b0 = default, b1 = default, b2 = default, b3 = default, b4 = default, b5 = default, b6 = default, b7 = default;
        nint x1 = to[1], x2 = to[2], x3 = to[3], x4 = to[4], x5 = to[5], x6 = to[6], x7 = to[7], last = end - 1;
        if (first > 0)
        {
            (a0, b0) = (Vector512.Load(lanes), Vector512.Load(lanes + 16));
            (a1, b1) = (Vector512.Load(lanes + 32), Vector512.Load(lanes + 48));
            (a2, b2) = (Vector512.Load(lanes + 64), Vector512.Load(lanes + 80));
            (a3, b3) = (Vector512.Load(lanes + 96), Vector512.Load(lanes + 112));
            (a4, b4) = (Vector512.Load(lanes + 128), Vector512.Load(lanes + 144));
            (a5, b5) = (Vector512.Load(lanes + 160), Vector512.Load(lanes + 176));
            (a6, b6) = (Vector512.Load(lanes + 192), Vector512.Load(lanes + 208));
            (a7, b7) = (Vector512.Load(lanes + 224), Vector512.Load(lanes + 240));
        }
        x += first * Block;
        byte* next = a + Prefetching.Ahead + 2 * first * TBlock.Bytes;
        Prepare(a, b, first, halves, ta, tb);
        TBlock.Read(a, first, ta, out Vector512<float> v0, out Vector512<float> v1);
        TBlock.Read(b, first, tb, out Vector512<float> w0, out Vector512<float> w1);
        for (nint i = first; i < end; i++, x += Block)
        {
            next = Prefetching.Ask(next, 2 * TBlock.Bytes);
            nint following = Math.Min(i + 1, last);
            Prepare(a, b, following, halves, ta, tb);
            TBlock.Read(a, following, ta, out Vector512<float> nextV0, out Vector512<float> nextV1);
            TBlock.Read(b, following, tb, out Vector512<float> nextW0, out Vector512<float> nextW1);
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
            (v0, v1, w0, w1) = (nextV0, nextV1, nextW0, nextW1);
        }
        if (sums is not null)
        {
            Vector512<float> all = Lane.Sums(a0, b0, a1, b1, a2, b2, a3, b3, a4, b4, a5, b5, a6, b6, a7, b7);
            Store(all.GetLower().GetLower(), sums);
            Store(all.GetLower().GetUpper(), sums + 2 * TileColumns);
            Store(all.GetUpper().GetLower(), sums + 4 * TileColumns);
            Store(all.GetUpper().GetUpper(), sums + 6 * TileColumns);
            return;
        }
        a0.Store(lanes);
        b0.Store(lanes + 16);
        a1.Store(lanes + 32);
        b1.Store(lanes + 48);
        a2.Store(lanes + 64);
        b2.Store(lanes + 80);
        a3.Store(lanes + 96);
        b3.Store(lanes + 112);
        a4.Store(lanes + 128);
        b4.Store(lanes + 144);
        a5.Store(lanes + 160);
        b5.Store(lanes + 176);
        a6.Store(lanes + 192);
        b6.Store(lanes + 208);
        a7.Store(lanes + 224);
        b7.Store(lanes + 240);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Prepare(byte* a, byte* b, nint index, float* halves, float* ta, float* tb)
    {
        if (!TBlock.IsPrepared || index % 8 != 0)
            return;
        TBlock.Prepare(a, index, halves, ta);
        TBlock.Prepare(b, index, halves, tb);
    }

    /// <summary>Two rows of two.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store(Vector128<float> four, float* sums)
    {
        four.GetLower().Store(sums);
        four.GetUpper().Store(sums + TileColumns);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Add(Vector512<float> x0, Vector512<float> x1, Vector512<float> w0, Vector512<float> w1, Vector512<float> sum) =>
        Vector512.MultiplyAddEstimate(w1, x1, Vector512.MultiplyAddEstimate(w0, x0, sum));
}
