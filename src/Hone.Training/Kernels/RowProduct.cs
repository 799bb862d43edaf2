using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Hone.Formats.Gguf;
using Hone.Formats.Models;

namespace Hone.Training.Kernels;

/// <summary>
/// <c>x · Wᵀ</c> for the few rows that answering has (and <c>x · W</c> for the second matrices of adapters), W read where it lies and stored values widened in registers. Up to eight rows of x share one reading of
/// W. A row's sums are the same bits whatever rows are beside it, and whether W is stored or was widened before.
/// </summary>
internal static unsafe class RowProduct
{
    /// <summary>Rows of x that share a reading of W.</summary>
    private const int Group = 8;

    private const int Block = StoredBlocks.Values;

    /// <summary>Columns of y that are one turn of a loop at least.</summary>
    private const int SmallestRange = 32;

    /// <summary>Turns of a loop over several sums, for each core.</summary>
    private const int RangesACore = 4;

    private const int CacheLine = 64;

    private const int WidenedSlot = 5;

    /// <summary>Rows of a type that is not widened in registers, widened together.</summary>
    private const int WidenedRows = 8;

    [ThreadStatic]
    private static bool t_used;

    /// <summary>Whether the thread's products are taken row by row.</summary>
    public static bool IsUsed => t_used;

    /// <summary>Until disposed, the calling thread's products of the form x · Wᵀ are taken row by row.</summary>
    public static Use Begin()
    {
        t_used = true;
        return default;
    }

    /// <summary>y = Σ terms, or y += Σ terms, on all cores.</summary>
    public static void Run(Matrix y, bool accumulate, ProductTerm[] terms)
    {
        if ((long)y.Columns * terms[0].Depth < 1 << 14)
        {
            Columns(y, accumulate, terms, 0, y.Columns);
            return;
        }
        Cores.ForRanges(y.Columns, SmallestRange, (start, end) => Columns(y, accumulate, terms, start, end));
    }

    /// <summary>Several sums that do not read each other's results, in one loop over all cores.</summary>
    public static void RunAll(ReadOnlySpan<RowSum> sums)
    {
        long work = 0;
        foreach (ref readonly RowSum sum in sums)
            work += sum.Work;
        int most = Cores.Count * RangesACore, count = 0;
        var ranges = new RowRange[most + sums.Length];
        foreach (ref readonly RowSum sum in sums)
        {
            int columns = sum.Y.Columns, own = (int)Math.Clamp(sum.Work * most / Math.Max(1, work), 1, Math.Max(1, columns / SmallestRange));
            for (int r = 0; r < own; r++)
                ranges[count++] = new RowRange(sum, (int)((long)columns * r / own), (int)((long)columns * (r + 1) / own));
        }
        Cores.For(count, r =>
        {
            ref readonly RowRange range = ref ranges[r];
            Columns(range.Sum.Y, range.Sum.Accumulate, range.Sum.Terms, range.Start, range.End);
        });
    }

    private static void Columns(Matrix y, bool accumulate, ReadOnlySpan<ProductTerm> terms, int start, int end)
    {
        bool adds = accumulate;
        foreach (ref readonly ProductTerm term in terms)
        {
            int from = Math.Max(start, term.Column), to = Math.Min(end, term.Column + term.Columns);
            if (!term.Transposed)
            {
                Across(y, term, from, to, adds);
                adds = true;
                continue;
            }
            for (int row = 0; row < y.Rows && from < to; row += Group)
            {
                var rows = new RowGroup(y, term, row, Math.Min(Group, y.Rows - row), adds);
                if (term.Weight.Stored is not { } stored)
                {
                    Matrix values = term.Weight.Values;
                    Take(GgmlType.F32, new Places((byte*)(values.Data - term.Column * values.Stride), values.Stride * sizeof(float)), from, to, term.Depth, rows);
                    continue;
                }
                int above = term.Column;
                foreach (ref readonly StoredMatrix part in stored.Parts)
                {
                    int first = Math.Max(from, above), last = Math.Min(to, above + part.Rows);
                    if (first < last)
                        TakeStored(part, above, first, last, term.Depth, rows);
                    above += part.Rows;
                }
            }
            adds = true;
        }
    }

    /// <summary>
    /// x · W with W [depth, columns] in memory, for the short depth that adapters have: a column's sum is taken in the order of the depth, with the same roundings in
    /// vectors and behind them, so a range's end changes no bit. Two rows share a reading of W; a last row alone is both.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Across(Matrix y, in ProductTerm term, int from, int to, bool accumulate)
    {
        Matrix w = term.Weight.Values;
        int depth = term.Depth, lanes = Vector512<float>.Count, last = y.Rows - 1;
        for (int row = 0; row <= last; row += 2)
        {
            int second = Math.Min(row + 1, last);
            float* x = term.X.Data + row * term.X.Stride, x1 = term.X.Data + second * term.X.Stride, target = y.Data + row * y.Stride, target1 = y.Data + second * y.Stride;
            int column = from;
            for (; column + lanes <= to; column += lanes)
            {
                float* weight = w.Data + (column - term.Column);
                Vector512<float> sums = default, sums1 = default;
                for (int k = 0; k < depth; k++, weight += w.Stride)
                {
                    Vector512<float> values = Vector512.Load(weight);
                    sums = Vector512.FusedMultiplyAdd(Vector512.Create(x[k]), values, sums);
                    sums1 = Vector512.FusedMultiplyAdd(Vector512.Create(x1[k]), values, sums1);
                }
                (sums, sums1) = (sums * term.Scale, sums1 * term.Scale);
                if (accumulate)
                    (sums, sums1) = (Vector512.Load(target + column) + sums, Vector512.Load(target1 + column) + sums1);
                sums.Store(target + column);
                sums1.Store(target1 + column);
            }
            for (; column < to; column++)
            {
                float* weight = w.Data + (column - term.Column);
                float sum = 0, sum1 = 0;
                for (int k = 0; k < depth; k++, weight += w.Stride)
                    (sum, sum1) = (MathF.FusedMultiplyAdd(x[k], *weight, sum), MathF.FusedMultiplyAdd(x1[k], *weight, sum1));
                (sum, sum1) = (sum * term.Scale, sum1 * term.Scale);
                if (accumulate)
                    (sum, sum1) = (target[column] + sum, target1[column] + sum1);
                (target[column], target1[column]) = (sum, sum1);
            }
        }
    }

    private static void TakeStored(in StoredMatrix part, int above, int from, int to, int depth, in RowGroup rows)
    {
        if (part.Type == GgmlType.F32 || depth % Block == 0 && StoredBlocks.Has(part.Type))
        {
            Take(part.Type, new Places(part, above), from, to, depth, rows);
            return;
        }
        Matrix widened = Scratch.Take(WidenedSlot, WidenedRows, depth);
        for (int column = from; column < to; column += WidenedRows)
        {
            int count = Math.Min(WidenedRows, to - column);
            part.WidenRows(column - above, count, 0, depth, widened.Data, widened.Stride);
            Take(GgmlType.F32, new Places((byte*)(widened.Data - column * widened.Stride), widened.Stride * sizeof(float)), column, column + count, depth, rows);
        }
    }

    private static void Take(GgmlType type, Places places, int from, int to, int depth, in RowGroup rows)
    {
        if (Avx512F.IsSupported)
        {
            switch (type)
            {
                case GgmlType.F32: Take<WideRowKernel<WideBlocks.Float32>>(places, from, to, depth, rows); break;
                case GgmlType.F16: Take<WideRowKernel<WideBlocks.IeeeHalf>>(places, from, to, depth, rows); break;
                case GgmlType.BF16: Take<WideRowKernel<WideBlocks.BrainFloat>>(places, from, to, depth, rows); break;
                case GgmlType.Q4_0: Take<WideRowKernel<WideBlocks.Nibbles>>(places, from, to, depth, rows); break;
                case GgmlType.Q4_1: Take<WideRowKernel<WideBlocks.NibblesAndMinimum>>(places, from, to, depth, rows); break;
                case GgmlType.Q5_0: Take<WideRowKernel<WideBlocks.FiveBits>>(places, from, to, depth, rows); break;
                case GgmlType.Q5_1: Take<WideRowKernel<WideBlocks.FiveBitsAndMinimum>>(places, from, to, depth, rows); break;
                case GgmlType.Q8_0: Take<WideRowKernel<WideBlocks.SignedBytes>>(places, from, to, depth, rows); break;
                case GgmlType.IQ4_NL: Take<WideRowKernel<WideBlocks.NonLinearNibbles>>(places, from, to, depth, rows); break;
                case GgmlType.Q4_K: Take<WideRowKernel<WideBlocks.SuperNibbles>>(places, from, to, depth, rows); break;
                case GgmlType.Q5_K: Take<WideRowKernel<WideBlocks.SuperFiveBits>>(places, from, to, depth, rows); break;
                case GgmlType.Q6_K: Take<WideRowKernel<WideBlocks.SuperSixBits>>(places, from, to, depth, rows); break;
            }
            return;
        }
        switch (type)
        {
            case GgmlType.F32: Take<NarrowRowKernel<StoredBlocks.Float32>>(places, from, to, depth, rows); break;
            case GgmlType.F16: Take<NarrowRowKernel<StoredBlocks.IeeeHalf>>(places, from, to, depth, rows); break;
            case GgmlType.BF16: Take<NarrowRowKernel<StoredBlocks.BrainFloat>>(places, from, to, depth, rows); break;
            case GgmlType.Q4_0: Take<NarrowRowKernel<StoredBlocks.Nibbles>>(places, from, to, depth, rows); break;
            case GgmlType.Q4_1: Take<NarrowRowKernel<StoredBlocks.NibblesAndMinimum>>(places, from, to, depth, rows); break;
            case GgmlType.Q5_0: Take<NarrowRowKernel<StoredBlocks.FiveBits>>(places, from, to, depth, rows); break;
            case GgmlType.Q5_1: Take<NarrowRowKernel<StoredBlocks.FiveBitsAndMinimum>>(places, from, to, depth, rows); break;
            case GgmlType.Q8_0: Take<NarrowRowKernel<StoredBlocks.SignedBytes>>(places, from, to, depth, rows); break;
            case GgmlType.IQ4_NL: Take<NarrowRowKernel<StoredBlocks.NonLinearNibbles>>(places, from, to, depth, rows); break;
            case GgmlType.Q4_K: Take<NarrowRowKernel<StoredBlocks.SuperNibbles>>(places, from, to, depth, rows); break;
            case GgmlType.Q5_K: Take<NarrowRowKernel<StoredBlocks.SuperFiveBits>>(places, from, to, depth, rows); break;
            case GgmlType.Q6_K: Take<NarrowRowKernel<StoredBlocks.SuperSixBits>>(places, from, to, depth, rows); break;
        }
    }

    /// <summary>
    /// Some columns at a time. Where several rows of x and W would not stay in the caches, their products are taken in parts of the depth.
    /// </summary>
    [SkipLocalsInit]
    private static void Take<TKernel>(Places places, int from, int to, int depth, in RowGroup rows) where TKernel : struct, IRowKernel
    {
        float* tile = stackalloc float[Group * TKernel.TileColumns], lanes = stackalloc float[Group * TKernel.TileColumns * TKernel.Lanes];
        float* widened = stackalloc float[TKernel.Widened + CacheLine];
        nint* offsets = stackalloc nint[Group];
        nint blocks = depth / Block, partBlocks = TKernel.PartBlocks(rows.Count);
        int last = to - 1;
        rows.Offsets(offsets);
        var part = new RowPart(rows.Count, rows.X, offsets, StoredBlocks.HalfValues, (float*)((nint)widened + CacheLine - 1 & -CacheLine));
        for (int column = from; column < to; column += TKernel.TileColumns)
        {
            int columns = Math.Min(TKernel.TileColumns, to - column);
            if (blocks == 0)
                new Span<float>(tile, Group * TKernel.TileColumns).Clear();
            part.End = blocks;
            for (int c = 0; rows.Count == 1 && c < columns; c += 4)
                TKernel.OneByFour(part, places.Of(column + c), places.Of(Math.Min(column + c + 1, last)), places.Of(Math.Min(column + c + 2, last)), places.Of(Math.Min(column + c + 3, last)), tile + c);
            for (part.First = 0; rows.Count > 1 && part.First < blocks; part.First = part.End)
            {
                part.End = blocks - part.First <= partBlocks ? blocks : part.First + partBlocks;
                for (int c = 0; c < columns; c += TKernel.Columns)
                {
                    byte* third = TKernel.Columns > 2 ? places.Of(Math.Min(column + c + 2, last)) : null;
                    TKernel.Several(part, places.Of(column + c), places.Of(Math.Min(column + c + 1, last)), third, lanes + c * Group * TKernel.Lanes, part.End < blocks ? null : tile + c);
                }
            }
            for (int i = 0; blocks * Block < depth && i < columns * rows.Count; i++)
                tile[i / columns * TKernel.TileColumns + i % columns] += Rest(rows.X + offsets[i / columns], places.Of(column + i % columns), depth);
            rows.Store(column, columns, tile, TKernel.TileColumns);
        }
    }

    /// <summary>What float32 rows have behind their last block.</summary>
    private static float Rest(float* x, byte* weight, int depth)
    {
        int i = depth / Block * Block;
        if (i == depth)
            return 0;
        float* w = (float*)weight;
        Vector256<float> sums = default;
        for (; i + Vector256<float>.Count <= depth; i += Vector256<float>.Count)
            sums = Vector256.MultiplyAddEstimate(Vector256.Load(x + i), Vector256.Load(w + i), sums);
        float sum = Vector256.Sum(sums);
        for (; i < depth; i++)
            sum += x[i] * w[i];
        return sum;
    }

    /// <summary>Some columns of a sum.</summary>
    private readonly record struct RowRange(RowSum Sum, int Start, int End);

    public readonly struct Use : IDisposable
    {
        public void Dispose() => t_used = false;
    }

    /// <summary>Where W's rows begin: at even distances, or where a stored matrix has them.</summary>
    private readonly struct Places
    {
        private readonly byte* _first;
        private readonly nint _stride;
        private readonly StoredMatrix _part;
        private readonly int _above;

        /// <param name="first">The row of column 0.</param>
        public Places(byte* first, nint stride)
        {
            _first = first;
            _stride = stride;
        }

        /// <param name="above">The part's first column.</param>
        public Places(in StoredMatrix part, int above) => (_part, _above) = (part, above);

        public byte* Of(int column) => _first is null ? _part.Address(column - _above) : _first + column * _stride;
    }

    /// <summary>Up to eight rows of x and y.</summary>
    private readonly struct RowGroup(Matrix y, in ProductTerm term, int row, int count, bool accumulate)
    {
        private readonly float* _y = y.Data + row * y.Stride;
        private readonly nint _strideX = term.X.Stride, _strideY = y.Stride;
        private readonly float _scale = term.Scale;

        public int Count => count;

        public float* X { get; } = term.X.Data + row * term.X.Stride;

        /// <summary>From the first row of x to each of a group's; to the last one where there are fewer.</summary>
        public void Offsets(nint* to)
        {
            for (int i = 0; i < Group; i++)
                to[i] = Math.Min(i, count - 1) * _strideX;
        }

        /// <param name="tile">[rows, columns], in rows of <paramref name="stride"/>.</param>
        public void Store(int column, int columns, float* tile, int stride)
        {
            float* target = _y + column;
            for (int i = 0; i < count; i++, target += _strideY, tile += stride)
            {
                int c = 0;
                for (; c + Vector512<float>.Count <= columns; c += Vector512<float>.Count)
                {
                    Vector512<float> sums = Vector512.Load(tile + c) * _scale;
                    (accumulate ? Vector512.Load(target + c) + sums : sums).Store(target + c);
                }
                for (; c < columns; c++)
                    target[c] = accumulate ? target[c] + _scale * tile[c] : _scale * tile[c];
            }
        }
    }
}

/// <summary>Sums of rows of x with rows of W, of which it has several under way at once.</summary>
internal unsafe interface IRowKernel
{
    /// <summary>Numbers in a register: of each sum so many lanes, added at the end.</summary>
    static abstract int Lanes { get; }

    /// <summary>Rows of W, two or three, that several of x are taken with.</summary>
    static abstract int Columns { get; }

    /// <summary>Columns of y that are written together: a multiple of four and of <see cref="Columns"/>.</summary>
    static abstract int TileColumns { get; }

    /// <summary>Numbers of W, and of its blocks' scales, that have to have room in memory.</summary>
    static abstract int Widened { get; }

    /// <summary>Blocks of the depth that so many rows of x, two to eight, are taken in at once.</summary>
    static abstract nint PartBlocks(int rows);

    /// <summary>One row of x with four of W, in all of their blocks.</summary>
    static abstract void OneByFour(in RowPart part, byte* a, byte* b, byte* c, byte* d, float* sums);

    /// <summary>Two to eight rows of x with <see cref="Columns"/> of W, in some of their blocks.</summary>
    /// <param name="c">With three columns.</param>
    /// <param name="lanes">Of the sums up to the part's first block, then up to its last; used where not all blocks are taken at once.</param>
    /// <param name="sums">Behind the last block: [8, <see cref="Columns"/>], in rows of <see cref="TileColumns"/>. Else null.</param>
    static abstract void Several(in RowPart part, byte* a, byte* b, byte* c, float* lanes, float* sums);
}

/// <summary>Some blocks of several rows of x.</summary>
/// <param name="to">From the first row of x to each of eight.</param>
/// <param name="halves"><see cref="StoredBlocks.HalfValues"/></param>
/// <param name="widened">Room for <see cref="IRowKernel.Widened"/> numbers.</param>
internal unsafe struct RowPart(int rows, float* x, nint* to, float* halves, float* widened)
{
    public nint First, End;

    public readonly int Rows => rows;

    public readonly float* X => x;

    public readonly nint* To => to;

    public readonly float* Halves => halves;

    public readonly float* Widened => widened;

    /// <summary>What a row of W is read with: its own scales where they are prepared.</summary>
    /// <param name="scales">Those of all the rows.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly float* Table<TBlock>(float* scales, int row) where TBlock : struct, IStoredBlock => TBlock.IsPrepared ? scales + row * StoredBlocks.Scales : halves;
}

/// <summary>y = Σ terms, or y += Σ terms.</summary>
internal readonly record struct RowSum(Matrix Y, bool Accumulate, params ProductTerm[] Terms)
{
    /// <summary>Multiplications.</summary>
    public long Work
    {
        get
        {
            long work = 0;
            foreach (ref readonly ProductTerm term in Terms.AsSpan())
                work += (long)Y.Rows * term.Columns * term.Depth;
            return work;
        }
    }
}
