using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Hone.Training.Kernels;

/// <summary>
/// <c>x · Wᵀ</c> with W's rows where a tile has its rows, and rows of x where it has its columns: W is read once, in order, where it lies, and only x, which is
/// small beside it, is packed. The sums are those of <see cref="MatrixProduct"/>, bit by bit.
/// </summary>
internal static unsafe class TurnedProduct
{
    /// <summary>Rows of x that are packed at a time.</summary>
    private const int BlockRows = 1024;

    /// <summary>Numbers of W in a turn of the loop: they stay in the second-level cache while the panels of x pass.</summary>
    private const int TurnValues = 96 << 10;

    /// <summary>With fewer columns of y there is too little to share out.</summary>
    private const int FewestColumns = 64;

    private const int SumSlot = 5, StoredSlot = 6;

    private const int CacheLine = 64;

    [ThreadStatic]
    private static float[]? t_panels;

    public static bool Takes(Matrix y, ReadOnlySpan<ProductTerm> terms)
    {
        foreach (ref readonly ProductTerm term in terms)
        {
            if (!term.Transposed || term.TurnedX)
                return false;
        }
        return y.Columns >= FewestColumns && y.Rows >= ProductTile.Rows;
    }

    /// <summary>y = Σ terms, or y += Σ terms, on all cores; a column's sum does not depend on their number.</summary>
    public static void Run(Matrix y, bool accumulate, ProductTerm[] terms)
    {
        int height = ProductTile.Rows, deepest = terms.Max(t => t.Depth);
        int tiles = Blocks(y.Columns, height);
        int turns = Math.Max(Blocks(tiles, Math.Max(1, TurnValues / deepest / height)), Math.Min(tiles, Cores.Count * 6));
        int columns = Blocks(tiles, turns) * height;
        turns = Blocks(y.Columns, columns);
        for (int row = 0; row < y.Rows; row += BlockRows)
        {
            Matrix rows = y.RowRange(row, Math.Min(BlockRows, y.Rows - row));
            Panels panels = Pack(terms, row, rows.Rows);
            Cores.For(turns, turn => Columns(rows, accumulate, terms, panels, turn * columns, Math.Min(y.Columns, (turn + 1) * columns)));
        }
    }

    private static Panels Pack(ProductTerm[] terms, int row, int rows)
    {
        int width = ProductTile.Columns, count = Blocks(rows, width);
        long length = CacheLine / sizeof(float);
        var starts = new long[terms.Length];
        for (int t = 0; t < terms.Length; t++)
        {
            starts[t] = length;
            length += (long)count * width * terms[t].Depth;
        }
        if (t_panels is null || t_panels.Length < length)
            t_panels = GC.AllocateUninitializedArray<float>(checked((int)length), pinned: true);
        nint address = (nint)Unsafe.AsPointer(ref MemoryMarshal.GetArrayDataReference(t_panels));
        var panels = new Panels((float*)(address / CacheLine * CacheLine), starts);
        Cores.For(count, panel =>
        {
            for (int t = 0; t < terms.Length; t++)
            {
                Matrix x = terms[t].X.RowRange(row, rows);
                ProductPanel.Pack(x, transposed: true, rows, panel * width, 0, x.Columns, panels.Of(t, panel, x.Columns));
            }
        });
        return panels;
    }

    /// <summary>Columns [start, end) of y.</summary>
    private static void Columns(Matrix y, bool accumulate, ProductTerm[] terms, Panels panels, int start, int end)
    {
        int width = ProductTile.Columns, height = ProductTile.Rows;
        Matrix sums = Scratch.Take(SumSlot, end - start, width); // yᵀ
        float* stored = terms[0].Weight.Stored is { } rows ? Widen(rows, start, end) : null;
        for (int panel = 0; panel * width < y.Rows; panel++)
        {
            Matrix target = y.RowRange(panel * width, Math.Min(width, y.Rows - panel * width)).ColumnRange(start, end - start);
            bool adds = accumulate;
            if (adds)
                Turn(target, sums);
            for (int t = 0; t < terms.Length; t++)
            {
                ref readonly ProductTerm term = ref terms[t];
                int first = Math.Max(start, term.Column), last = Math.Min(end, term.Column + term.Columns);
                bool widened = stored is not null && t == 0;
                nint stride = widened ? term.Depth : term.Weight.Values.Stride;
                float* weight = widened ? stored - start * stride : term.Weight.Values.Data - term.Column * stride; // column 0's
                float* x = panels.Of(t, panel, term.Depth);
                int depth = MatrixProduct.StepDepth(term.Depth);
                for (int k = 0; k < term.Depth; k += depth)
                {
                    int length = Math.Min(depth, term.Depth - k);
                    for (int column = first; column < last; column += height)
                    {
                        ProductTile.Run(weight + column * stride + k, stride, 1, Math.Min(height, last - column), x + (nint)k * width, width, length,
                            sums.Data + (column - start) * sums.Stride, sums.Stride, term.Scale, adds);
                    }
                    adds = true;
                }
            }
            Turn(sums, target);
        }
    }

    private static float* Widen(StoredRows stored, int start, int end)
    {
        Matrix widened = Scratch.Take(StoredSlot, end - start, stored.Columns);
        stored.WidenRows(start, end - start, 0, stored.Columns, widened.Data, widened.Stride);
        return widened.Data;
    }

    /// <summary>to = fromᵀ, as far as both reach.</summary>
    private static void Turn(Matrix from, Matrix to)
    {
        const int Lanes = ProductPanel.Lanes;
        int rows = Math.Min(from.Rows, to.Columns), columns = Math.Min(from.Columns, to.Rows);
        for (int row = 0; row < rows; row += Lanes)
        {
            for (int column = 0; column < columns; column += Lanes)
            {
                float* source = from.Data + row * from.Stride + column, target = to.Data + column * to.Stride + row;
                if (row + Lanes <= rows && column + Lanes <= columns)
                {
                    ProductPanel.Turn(source, from.Stride, target, to.Stride);
                    continue;
                }
                for (int r = 0; r < Math.Min(Lanes, rows - row); r++)
                {
                    for (int c = 0; c < Math.Min(Lanes, columns - column); c++)
                        target[c * to.Stride + r] = source[r * from.Stride + c];
                }
            }
        }
    }

    private static int Blocks(int count, int size) => (count + size - 1) / size;

    /// <summary>The terms' x, each panel [depth, columns of a tile].</summary>
    private readonly struct Panels(float* data, long[] starts)
    {
        public float* Of(int term, int panel, int depth) => data + starts[term] + (long)panel * depth * ProductTile.Columns;
    }
}
