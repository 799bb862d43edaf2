using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Hone.Formats.Gguf;
using Hone.Formats.Models;

namespace Hone.Training.Kernels;

/// <summary>
/// <c>x · Wᵀ</c> for the few rows that answering has, W read where it lies and stored values widened in registers. Up to eight rows of x share one reading of
/// W. A row's sums are the same bits whatever rows are beside it, and whether W is stored or was widened before.
/// </summary>
internal static unsafe class RowProduct
{
    /// <summary>Rows of x that share a reading of W.</summary>
    private const int Group = 8;

    private const int Block = StoredBlocks.Values;

    /// <summary>Columns of y that are one turn of a loop at least.</summary>
    private const int SmallestRange = 32;

    private const int WidenedSlot = 5;

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

    /// <summary>The same on the calling thread alone.</summary>
    public static void RunHere(Matrix y, bool accumulate, params ReadOnlySpan<ProductTerm> terms) => Columns(y, accumulate, terms, 0, y.Columns);

    private static void Columns(Matrix y, bool accumulate, ReadOnlySpan<ProductTerm> terms, int start, int end)
    {
        bool adds = accumulate;
        foreach (ref readonly ProductTerm term in terms)
        {
            int from = Math.Max(start, term.Column), to = Math.Min(end, term.Column + term.Columns);
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

    private static void TakeStored(in StoredMatrix part, int above, int from, int to, int depth, in RowGroup rows)
    {
        if (Avx2.IsSupported && (part.Type is GgmlType.F32 or GgmlType.BF16 or GgmlType.Q4_0 or GgmlType.Q4_1 or GgmlType.Q8_0))
        {
            Take(part.Type, new Places(part, above), from, to, depth, rows);
            return;
        }
        Matrix widened = Scratch.Take(WidenedSlot, 1, depth);
        for (int column = from; column < to; column++)
        {
            part.WidenRow(column - above, 0, depth, widened.Data);
            Take(GgmlType.F32, new Places((byte*)widened.Data, 0), column, column + 1, depth, rows);
        }
    }

    private static void Take(GgmlType type, Places places, int from, int to, int depth, in RowGroup rows)
    {
        switch (type)
        {
            case GgmlType.F32: Take<StoredBlocks.Float32>(places, from, to, depth, rows); break;
            case GgmlType.BF16: Take<StoredBlocks.BrainFloat>(places, from, to, depth, rows); break;
            case GgmlType.Q4_0: Take<StoredBlocks.Nibbles>(places, from, to, depth, rows); break;
            case GgmlType.Q4_1: Take<StoredBlocks.NibblesAndMinimum>(places, from, to, depth, rows); break;
            case GgmlType.Q8_0: Take<StoredBlocks.SignedBytes>(places, from, to, depth, rows); break;
        }
    }

    private static void Take<TBlocks>(Places places, int from, int to, int depth, in RowGroup rows) where TBlocks : struct, IStoredBlock
    {
        float* sums = stackalloc float[Group];
        float* halves = StoredBlocks.HalfValues;
        int blocks = depth / Block, step = rows.Count > 1 ? 1 : 2;
        for (int column = from; column < to; column += step)
        {
            byte* weight = places.Of(column), next = places.Of(Math.Min(column + 1, to - 1));
            if (step == 1)
                RowsByOne<TBlocks>(weight, blocks, halves, rows, sums);
            else
                OneByTwo<TBlocks>(weight, next, blocks, halves, rows.X, sums);
            for (int i = 0; i < rows.Count; i++)
                rows.Store(column, i, sums[i] + Rest(rows.X + rows.Offset(i), weight, depth));
            if (step == 2 && column + 1 < to)
                rows.Store(column + 1, 0, sums[1] + Rest(rows.X, next, depth));
        }
    }

    /// <summary>One row of x with two of W, whose sums do not wait for each other.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void OneByTwo<TBlocks>(byte* a, byte* b, int blocks, float* halves, float* x, float* sums) where TBlocks : struct, IStoredBlock
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
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void RowsByOne<TBlocks>(byte* weight, int blocks, float* halves, in RowGroup rows, float* sums) where TBlocks : struct, IStoredBlock
    {
        Vector256<float> s0 = default, s1 = default, s2 = default, s3 = default, s4 = default, s5 = default, s6 = default, s7 = default;
        float* x = rows.X;
        nint x1 = rows.Offset(1), x2 = rows.Offset(2), x3 = rows.Offset(3), x4 = rows.Offset(4), x5 = rows.Offset(5), x6 = rows.Offset(6), x7 = rows.Offset(7);
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

    /// <summary>What float32 rows have behind their last block.</summary>
    private static float Rest(float* x, byte* weight, int depth)
    {
        float sum = 0;
        for (int i = depth / Block * Block; i < depth; i++)
            sum += x[i] * ((float*)weight)[i];
        return sum;
    }

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

        /// <summary>To row i of x; to the last one where there are fewer.</summary>
        public nint Offset(int i) => Math.Min(i, count - 1) * _strideX;

        public void Store(int column, int i, float sum)
        {
            float* target = _y + i * _strideY + column;
            *target = accumulate ? *target + _scale * sum : _scale * sum;
        }
    }
}
