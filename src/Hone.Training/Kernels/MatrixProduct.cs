using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Hone.Training.Kernels;

/// <summary><c>x · Wᵀ</c> with W [columns, depth] where <see cref="Transposed"/>, else <c>x · W</c> with W [depth, columns].</summary>
/// <param name="Scale">Multiplies the term.</param>
/// <param name="Column">The column of the sum where the term's columns begin.</param>
/// <param name="TurnedX">X is [depth, rows] and used as <c>Xᵀ</c>.</param>
internal readonly record struct ProductTerm(Matrix X, Operand Weight, bool Transposed, float Scale = 1, int Column = 0, bool TurnedX = false)
{
    public int Columns => Transposed ? Weight.Rows : Weight.Columns;

    public int Depth => TurnedX ? X.Rows : X.Columns;
}

/// <summary>
/// float32 matrix products. Weights are packed panel by panel as they are needed, which costs a few percent from some dozens of rows on and keeps no second
/// copy. Several terms are summed in one pass over the result, so an adapter's product rides on that of the frozen weight.
/// </summary>
internal static unsafe class MatrixProduct
{
    /// <summary>Depth of a panel: a panel and the rows beside it stay in the first-level cache, and sums of sums are more exact than one long sum.</summary>
    public const int PanelDepth = 288;

    /// <summary>Rows of a block: at most so many, of which a step's slice of x about fills the second-level cache; a turned weight, whose packing costs more, is packed for more of them.</summary>
    private const int MostRows = 512, MostRowsTurned = 1024;

    /// <summary>Rows of a block where smaller ones are needed to give every core turns.</summary>
    private const int LeastRows = 240;

    /// <summary>Of a loop, so that a core that others use slows it by little.</summary>
    private const int TurnsACore = 16;

    /// <summary>
    /// The product of a longer depth, that of the output matrix's gradient, is one of parts: x and W of a part stay in the last cache while each panel reads x anew.
    /// </summary>
    private const int LongDepth = 16 * PanelDepth;

    /// <summary>With so few tiles of rows a weight whose rows lie as a panel's is read where it is.</summary>
    private const int UnpackedTiles = 4;

    [ThreadStatic]
    private static float[]? t_panel;

    /// <summary>y = Σ terms, or y += Σ terms, on all cores; a column's sum does not depend on their number.</summary>
    /// <param name="terms">The first one spans all columns of y unless <paramref name="accumulate"/>.</param>
    public static void Run(Matrix y, bool accumulate, params ProductTerm[] terms)
    {
        if (terms[0].Weight.Brain is not null)
        {
            BrainProduct.Run(y, accumulate, terms);
            return;
        }
        if (RowProduct.IsUsed && terms.All(t => t is { Transposed: true, TurnedX: false }))
        {
            RowProduct.Run(y, accumulate, terms);
            return;
        }
        int panels = Blocks(y.Columns, ProductTile.Columns);
        bool fewPanels = panels < Cores.Count * 4;
        int blocks = fewPanels ? Math.Min(Cores.Count * 3, Blocks(y.Rows, ProductTile.Rows * 4))
            : Math.Max(Blocks(y.Rows, terms[0].Transposed ? MostRowsTurned : MostRows), Math.Min(Cores.Count * TurnsACore / panels, Blocks(y.Rows, LeastRows)));
        int rows = Blocks(Blocks(y.Rows, blocks), ProductTile.Rows) * ProductTile.Rows;
        blocks = Blocks(y.Rows, rows);
        int group = fewPanels ? panels : Math.Max(1, panels * blocks / (Cores.Count * TurnsACore)), groups = Blocks(panels, group);
        int depth = terms[0].Depth, reach = terms.Length == 1 && depth > LongDepth ? LongDepth / StepDepth(depth) * StepDepth(depth) : depth;
        for (int from = 0; from < depth; from += reach)
        {
            int start = from, end = from + reach < depth ? from + reach : int.MaxValue;
            Cores.For(groups * blocks, i =>
            {
                int row = i % blocks * rows, panel = i / blocks * group;
                // The turn that this thread most likely takes next begins with another panel, unless it is one of other rows.
                int next = (i + Cores.Count) / blocks * group;
                Block(y, accumulate || start > 0, terms, row, Math.Min(y.Rows, row + rows), panel, Math.Min(panels, panel + group), next < panels ? next : panel, start, end);
            });
        }
    }

    /// <summary>A term's sums are summed in steps of this depth.</summary>
    private static int StepDepth(int depth) => Blocks(Blocks(depth, Blocks(depth, PanelDepth)), 8) * 8;

    /// <summary>The same on the calling thread alone.</summary>
    public static void RunHere(Matrix y, bool accumulate, params ReadOnlySpan<ProductTerm> terms) =>
        Block(y, accumulate, terms, 0, y.Rows, 0, Blocks(y.Columns, ProductTile.Columns), 0);

    /// <param name="start">Of each term's depth.</param>
    /// <param name="end">Of each term's depth, or beyond it.</param>
    private static void Block(
        Matrix y, bool accumulate, ReadOnlySpan<ProductTerm> terms, int rowStart, int rowEnd, int panelStart, int panelEnd, int next, int start = 0, int end = int.MaxValue)
    {
        int width = ProductTile.Columns, height = ProductTile.Rows;
        float* panel = Panel();
        float* edge = panel + PanelDepth * width;
        int tiles = Blocks(rowEnd - rowStart, height);
        bool first = !accumulate, few = tiles <= UnpackedTiles;
        foreach (ref readonly ProductTerm term in terms)
        {
            nint strideX = term.TurnedX ? 1 : term.X.Stride, stepX = term.TurnedX ? term.X.Stride : 1;
            int depth = StepDepth(term.Depth);
            for (int k = start; k < Math.Min(term.Depth, end); k += depth)
            {
                int length = Math.Min(depth, term.Depth - k);
                for (int p = panelStart; p < panelEnd; p++)
                {
                    int column = p * width;
                    if (column + width <= term.Column || column >= term.Column + term.Columns)
                        continue;
                    int columns = Math.Min(width, y.Columns - column);
                    float* weight = panel;
                    nint stride = width;
                    int inTerm = column - term.Column;
                    if (term is { Transposed: false, Weight.Stored: { } stored })
                    {
                        weight = ProductPanel.Widened(stored, inTerm, k, length, out stride);
                    }
                    else if (few && !term.Transposed && inTerm >= 0 && inTerm + width <= term.Columns)
                    {
                        weight = term.Weight.Values.Data + k * term.Weight.Values.Stride + inTerm;
                        stride = term.Weight.Values.Stride;
                    }
                    else
                    {
                        ProductPanel.Pack(term, inTerm, k, length, panel);
                    }
                    Ahead ahead = term.Transposed || weight != panel ? default : Ahead.Of(term, width, p + 1 < panelEnd ? (p + 1, k) : k + depth < term.Depth ? (panelStart, k + depth) : (next, 0), depth, tiles);
                    for (int row = rowStart; row < rowEnd; row += height)
                    {
                        ahead.Fetch();
                        int rows = Math.Min(height, rowEnd - row);
                        float* x = term.X.Data + row * strideX + k * stepX, target = y.Data + row * y.Stride + column;
                        if (columns == width)
                            ProductTile.Run(x, strideX, stepX, rows, weight, stride, length, target, y.Stride, term.Scale, !first);
                        else
                            Edge(x, strideX, stepX, rows, weight, stride, length, target, y.Stride, term.Scale, !first, columns, edge);
                    }
                }
                first = false;
            }
        }
    }

    /// <summary>A tile that hangs over the right edge of y.</summary>
    private static void Edge(float* x, nint strideX, nint stepX, int rows, float* panel, nint stridePanel, int depth, float* y, nint strideY, float scale, bool accumulate, int columns, float* edge)
    {
        int width = ProductTile.Columns;
        ProductTile.Run(x, strideX, stepX, rows, panel, stridePanel, depth, edge, width, scale, accumulate: false);
        for (int row = 0; row < rows; row++)
        {
            for (int column = 0; column < columns; column++)
            {
                float value = edge[row * width + column];
                y[row * strideY + column] = accumulate ? y[row * strideY + column] + value : value;
            }
        }
    }

    /// <summary>The thread's own panel, and room for one tile behind it.</summary>
    private static float* Panel()
    {
        const int CacheLine = 64;
        t_panel ??= GC.AllocateUninitializedArray<float>((PanelDepth + ProductTile.Rows) * ProductTile.Columns + CacheLine / sizeof(float), pinned: true);
        nint address = (nint)Unsafe.AsPointer(ref MemoryMarshal.GetArrayDataReference(t_panel));
        return (float*)((address + CacheLine - 1) / CacheLine * CacheLine);
    }

    /// <summary>The next panel's lines, asked for tile by tile while this one is computed with.</summary>
    private struct Ahead
    {
        private float* _source;
        private nint _stride;
        private int _done, _each, _rows;

        public static Ahead Of(in ProductTerm term, int width, (int Panel, int K) place, int depth, int tiles)
        {
            int column = place.Panel * width - term.Column, rows = Math.Min(depth, term.Depth - place.K);
            if (column < 0 || column + width > term.Columns)
                return default;
            Matrix weight = term.Weight.Values;
            return new Ahead { _source = weight.Data + place.K * weight.Stride + column, _stride = weight.Stride, _each = Blocks(rows, tiles), _rows = rows };
        }

        public void Fetch()
        {
            int rows = Math.Min(_each, _rows - _done);
            if (rows <= 0)
                return;
            ProductPanel.Prefetch(_source, _stride, _done, rows);
            _done += rows;
        }
    }

    private static int Blocks(int count, int size) => (count + size - 1) / size;
}
