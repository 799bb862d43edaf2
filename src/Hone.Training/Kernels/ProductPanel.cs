using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Hone.Training.Kernels;

/// <summary>Copies a block of a weight into the order in which <see cref="ProductTile"/> reads it: [depth, columns of a tile].</summary>
internal static unsafe class ProductPanel
{
    /// <summary>Of a turned block.</summary>
    private const int Lanes = 8;

    private const int RowsSlot = 5, ColumnsSlot = 6;

    /// <summary>Columns of a stored matrix that are widened together: a block's, or as many as a wide tile has.</summary>
    private const int StoredColumns = 32;

    [ThreadStatic]
    private static (StoredRows? Stored, int Column, int K, int Depth) t_widened;

    /// <param name="column">The term's column where the panel begins; negative where the panel begins before it. Columns outside the term become 0.</param>
    public static void Pack(in ProductTerm term, int column, int k, int depth, float* panel)
    {
        if (term.Weight.Stored is { } stored)
            PackStored(stored, column, k, depth, panel);
        else
            Pack(term.Weight.Values, term.Transposed, term.Columns, column, k, depth, panel);
    }

    /// <summary>
    /// Columns [column, column + width) of a stored W [depth, columns], k rows from <paramref name="k"/> on, widened where they can be read as a panel. Neighbouring panels
    /// that a block of the file covers are widened once.
    /// </summary>
    /// <param name="stride">From one row of the panel to the next.</param>
    public static float* Widened(StoredRows stored, int column, int k, int depth, out nint stride)
    {
        int first = column / StoredColumns * StoredColumns, count = Math.Min(StoredColumns, stored.Columns - first);
        Matrix block = Scratch.Take(ColumnsSlot, depth, StoredColumns);
        stride = StoredColumns;
        if (t_widened != (stored, first, k, depth))
        {
            if (count < StoredColumns)
                block.All().Clear();
            stored.WidenRows(k, depth, first, count, block.Data, StoredColumns);
            t_widened = (stored, first, k, depth);
        }
        return block.Data + (column - first);
    }

    /// <summary>A panel of Wᵀ with W [columns, depth] stored.</summary>
    private static void PackStored(StoredRows stored, int column, int k, int depth, float* panel)
    {
        int width = ProductTile.Columns, from = k / stored.Run * stored.Run, to = (k + depth + stored.Run - 1) / stored.Run * stored.Run;
        int columns = Math.Min(width, stored.Rows - column);
        Matrix rows = Scratch.Take(RowsSlot, columns, to - from);
        stored.WidenRows(column, columns, from, to - from, rows.Data, rows.Stride);
        Pack(rows, transposed: true, columns, 0, k - from, depth, panel);
    }

    /// <param name="columns">Of the weight, as the product sees it.</param>
    private static void Pack(Matrix weight, bool transposed, int columns, int column, int k, int depth, float* panel)
    {
        int width = ProductTile.Columns;
        if (!transposed && Vector512.IsHardwareAccelerated && width == 32 && column >= 0 && column + width <= columns)
        {
            Copy(weight.Data + k * weight.Stride + column, weight.Stride, depth, panel);
            return;
        }
        for (int group = 0; group < width; group += Lanes)
        {
            int first = column + group;
            if (first >= 0 && first + Lanes <= columns)
                Whole(weight, transposed, first, k, depth, panel + group, width);
            else if (first <= -Lanes || first >= columns)
                Clear(depth, panel + group, width);
            else
                Part(weight, transposed, columns, first, k, depth, panel + group, width);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Whole(Matrix weight, bool transposed, int column, int k, int depth, float* panel, int width)
    {
        nint stride = weight.Stride;
        if (!transposed)
        {
            float* source = weight.Data + k * stride + column;
            for (int i = 0; i < depth; i++, source += stride, panel += width)
                Vector256.Load(source).Store(panel);
            return;
        }
        float* rows = weight.Data + column * stride + k;
        int done = 0;
        for (; done + Lanes <= depth; done += Lanes)
            Turn(rows + done, stride, panel + done * width, width);
        for (; done < depth; done++)
        {
            for (int lane = 0; lane < Lanes; lane++)
                panel[done * width + lane] = rows[lane * stride + done];
        }
    }

    /// <summary>32 columns of W as they are.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Copy(float* source, nint stride, int depth, float* panel)
    {
        for (int i = 0; i < depth; i++, source += stride, panel += 32)
        {
            Vector512<float> left = Vector512.Load(source), right = Vector512.Load(source + 16);
            left.StoreAligned(panel);
            right.StoreAligned(panel + 16);
        }
    }

    /// <summary>A part of the lines that a panel of an unpacked W is copied from, on their way from memory while another panel is computed with.</summary>
    /// <param name="done">Rows already asked for.</param>
    public static void Prefetch(float* source, nint stride, int done, int rows)
    {
        if (!Sse.IsSupported)
            return;
        for (float* row = source + done * stride; rows > 0; rows--, row += stride)
        {
            Sse.Prefetch1(row);
            Sse.Prefetch1(row + 16);
        }
    }

    private static void Clear(int depth, float* panel, int width)
    {
        for (int i = 0; i < depth; i++, panel += width)
            Vector256<float>.Zero.Store(panel);
    }

    private static void Part(Matrix weight, bool transposed, int columns, int column, int k, int depth, float* panel, int width)
    {
        for (int i = 0; i < depth; i++)
        {
            for (int lane = 0; lane < Lanes; lane++)
            {
                int c = column + lane;
                panel[i * width + lane] = (uint)c >= (uint)columns ? 0
                    : transposed ? weight.Data[c * weight.Stride + k + i]
                    : weight.Data[(k + i) * weight.Stride + c];
            }
        }
    }

    /// <summary>An 8 × 8 block, rows to columns.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Turn(float* source, nint stride, float* target, nint width)
    {
        if (!Avx.IsSupported)
        {
            for (int row = 0; row < Lanes; row++)
            {
                for (int column = 0; column < Lanes; column++)
                    target[column * width + row] = source[row * stride + column];
            }
            return;
        }
        Vector256<float> r0 = Vector256.Load(source), r1 = Vector256.Load(source + stride), r2 = Vector256.Load(source + 2 * stride), r3 = Vector256.Load(source + 3 * stride);
        Vector256<float> r4 = Vector256.Load(source + 4 * stride), r5 = Vector256.Load(source + 5 * stride), r6 = Vector256.Load(source + 6 * stride), r7 = Vector256.Load(source + 7 * stride);
        Vector256<float> t0 = Avx.UnpackLow(r0, r1), t1 = Avx.UnpackHigh(r0, r1), t2 = Avx.UnpackLow(r2, r3), t3 = Avx.UnpackHigh(r2, r3);
        Vector256<float> t4 = Avx.UnpackLow(r4, r5), t5 = Avx.UnpackHigh(r4, r5), t6 = Avx.UnpackLow(r6, r7), t7 = Avx.UnpackHigh(r6, r7);
        Vector256<float> u0 = Avx.Shuffle(t0, t2, 0x44), u1 = Avx.Shuffle(t0, t2, 0xEE), u2 = Avx.Shuffle(t1, t3, 0x44), u3 = Avx.Shuffle(t1, t3, 0xEE);
        Vector256<float> u4 = Avx.Shuffle(t4, t6, 0x44), u5 = Avx.Shuffle(t4, t6, 0xEE), u6 = Avx.Shuffle(t5, t7, 0x44), u7 = Avx.Shuffle(t5, t7, 0xEE);
        Avx.Permute2x128(u0, u4, 0x20).Store(target);
        Avx.Permute2x128(u1, u5, 0x20).Store(target + width);
        Avx.Permute2x128(u2, u6, 0x20).Store(target + 2 * width);
        Avx.Permute2x128(u3, u7, 0x20).Store(target + 3 * width);
        Avx.Permute2x128(u0, u4, 0x31).Store(target + 4 * width);
        Avx.Permute2x128(u1, u5, 0x31).Store(target + 5 * width);
        Avx.Permute2x128(u2, u6, 0x31).Store(target + 6 * width);
        Avx.Permute2x128(u3, u7, 0x31).Store(target + 7 * width);
    }
}
