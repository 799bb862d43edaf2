using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Hone.Formats.Gguf;

namespace Hone.Training.Kernels;

/// <summary>
/// Sums of <see cref="RowProduct"/> in 256-bit registers. Every pair of a row of x and one of W has one sum of eight lanes, taken in the same order in each of the
/// kernels; they differ in how many such sums are under way at once.
/// </summary>
internal readonly unsafe struct NarrowRowKernel<TBlock> : IRowKernel where TBlock : struct, INarrowBlock
{
    private const int Block = StoredBlocks.Values;

    /// <summary>Of so many blocks three rows of W take 24 KiB.</summary>
    private const int MostBlocks = 64;

    public static int Lanes => 8;

    public static int Columns => 3;

    public static int TileColumns => 48;

    public static int Widened => Columns * MostBlocks * Block + Columns * StoredBlocks.Scales;

    public static nint PartBlocks(int rows) => MostBlocks;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void OneByFour(in RowPart part, byte* a, byte* b, byte* c, byte* d, float* sums)
    {
        nint blocks = part.End;
        float* halves = part.Halves, x = part.X;
        float* ta = part.Table<TBlock>(part.Widened, 0), tb = part.Table<TBlock>(part.Widened, 1), tc = part.Table<TBlock>(part.Widened, 2), td = part.Table<TBlock>(part.Widened, 3);
        Vector256<float> s0 = default, s1 = default, s2 = default, s3 = default;
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
            TBlock.Read(a, i, ta, out Vector256<float> w0, out Vector256<float> w1, out Vector256<float> w2, out Vector256<float> w3);
            s0 = Add(x + 24, w3, Add(x + 16, w2, Add(x + 8, w1, Add(x, w0, s0))));
            TBlock.Read(b, i, tb, out w0, out w1, out w2, out w3);
            s1 = Add(x + 24, w3, Add(x + 16, w2, Add(x + 8, w1, Add(x, w0, s1))));
            TBlock.Read(c, i, tc, out w0, out w1, out w2, out w3);
            s2 = Add(x + 24, w3, Add(x + 16, w2, Add(x + 8, w1, Add(x, w0, s2))));
            TBlock.Read(d, i, td, out w0, out w1, out w2, out w3);
            s3 = Add(x + 24, w3, Add(x + 16, w2, Add(x + 8, w1, Add(x, w0, s3))));
        }
        Lane.Sums(s0, s1, s2, s3).Store(sums);
    }

    /// <summary>Three rows of W are widened into the nearest cache and taken with four of x at a time: a number that is loaded serves three products or four.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Several(in RowPart part, byte* a, byte* b, byte* c, float* lanes, float* sums)
    {
        nint depth = (part.End - part.First) * Block, first = part.First * Block;
        float* w0 = part.Widened, w1 = w0 + depth, w2 = w1 + depth;
        if (typeof(TBlock) == typeof(StoredBlocks.Float32))
        {
            w0 = (float*)a + first;
            w1 = (float*)b + first;
            w2 = (float*)c + first;
        }
        else
        {
            Widen(part, a, b, c, w0, w1, w2);
        }
        bool goesOn = part.First > 0;
        nint* to = part.To;
        float* x = part.X + first;
        FourByThree(x, x + to[1], x + to[2], x + to[3], w0, w1, w2, depth, goesOn, lanes, sums);
        if (part.Rows > 4)
            FourByThree(x + to[4], x + to[5], x + to[6], x + to[7], w0, w1, w2, depth, goesOn, lanes + 4 * Columns * Lanes, sums is null ? null : sums + 4 * TileColumns);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Widen(in RowPart part, byte* a, byte* b, byte* c, float* w0, float* w1, float* w2)
    {
        float* halves = part.Halves, scales = w0 + Columns * MostBlocks * Block, ta = part.Table<TBlock>(scales, 0), tb = part.Table<TBlock>(scales, 1), tc = part.Table<TBlock>(scales, 2);
        byte* next = a + Prefetching.Ahead + 3 * part.First * TBlock.Bytes;
        for (nint i = part.First, end = part.End; i < end; i++, w0 += Block, w1 += Block, w2 += Block)
        {
            next = Prefetching.Ask(next, 3 * TBlock.Bytes);
            if (TBlock.IsPrepared && i % 8 == 0)
            {
                TBlock.Prepare(a, i, halves, ta);
                TBlock.Prepare(b, i, halves, tb);
                TBlock.Prepare(c, i, halves, tc);
            }
            StoredBlocks.Widen<TBlock>(a, i, ta, w0);
            StoredBlocks.Widen<TBlock>(b, i, tb, w1);
            StoredBlocks.Widen<TBlock>(c, i, tc, w2);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void FourByThree(float* x0, float* x1, float* x2, float* x3, float* w0, float* w1, float* w2, nint depth, bool goesOn, float* lanes, float* sums)
    {
        Vector256<float> a0 = default, a1 = default, a2 = default, a3 = default, b0 = default, b1 = default, b2 = default, b3 = default;
        Vector256<float> c0 = default, c1 = default, c2 = default, c3 = default;
        if (goesOn)
        {
            (a0, a1, a2, a3) = (Vector256.Load(lanes), Vector256.Load(lanes + 8), Vector256.Load(lanes + 16), Vector256.Load(lanes + 24));
            (b0, b1, b2, b3) = (Vector256.Load(lanes + 32), Vector256.Load(lanes + 40), Vector256.Load(lanes + 48), Vector256.Load(lanes + 56));
            (c0, c1, c2, c3) = (Vector256.Load(lanes + 64), Vector256.Load(lanes + 72), Vector256.Load(lanes + 80), Vector256.Load(lanes + 88));
        }
        for (nint k = 0; k < depth; k += 8)
        {
            Vector256<float> v0 = Vector256.Load(w0 + k), v1 = Vector256.Load(w1 + k), v2 = Vector256.Load(w2 + k), x;
            x = Vector256.Load(x0 + k);
            (a0, b0, c0) = (Add(x, v0, a0), Add(x, v1, b0), Add(x, v2, c0));
            x = Vector256.Load(x1 + k);
            (a1, b1, c1) = (Add(x, v0, a1), Add(x, v1, b1), Add(x, v2, c1));
            x = Vector256.Load(x2 + k);
            (a2, b2, c2) = (Add(x, v0, a2), Add(x, v1, b2), Add(x, v2, c2));
            x = Vector256.Load(x3 + k);
            (a3, b3, c3) = (Add(x, v0, a3), Add(x, v1, b3), Add(x, v2, c3));
        }
        if (sums is not null)
        {
            Vector256<float> two = Lane.Sums(a0, b0, a1, b1, a2, b2, a3, b3);
            Vector128<float> third = Lane.Sums(c0, c1, c2, c3);
            Store(two.GetLower().GetLower(), third[0], sums);
            Store(two.GetLower().GetUpper(), third[1], sums + TileColumns);
            Store(two.GetUpper().GetLower(), third[2], sums + 2 * TileColumns);
            Store(two.GetUpper().GetUpper(), third[3], sums + 3 * TileColumns);
            return;
        }
        a0.Store(lanes);
        a1.Store(lanes + 8);
        a2.Store(lanes + 16);
        a3.Store(lanes + 24);
        b0.Store(lanes + 32);
        b1.Store(lanes + 40);
        b2.Store(lanes + 48);
        b3.Store(lanes + 56);
        c0.Store(lanes + 64);
        c1.Store(lanes + 72);
        c2.Store(lanes + 80);
        c3.Store(lanes + 88);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store(Vector64<float> two, float third, float* sums)
    {
        two.Store(sums);
        sums[2] = third;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<float> Add(float* x, Vector256<float> w, Vector256<float> sum) => Add(Vector256.Load(x), w, sum);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<float> Add(Vector256<float> x, Vector256<float> w, Vector256<float> sum) => Vector256.MultiplyAddEstimate(w, x, sum);
}
