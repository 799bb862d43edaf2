using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Hone.Formats.Models;
using static TorchSharp.torch;

namespace Hone.Training.Kernels;

/// <summary>A bfloat16 matrix [rows, columns] in a tensor's memory.</summary>
internal sealed unsafe class BrainMatrix(Tensor values) : IDisposable
{
    public int Rows { get; } = (int)values.size(0);

    public int Columns { get; } = (int)values.size(1);

    public Tensor Values => values;

    public ushort* Data { get; } = (ushort*)Matrix.AddressOf(values);

    /// <summary>The same, widened as products pack it.</summary>
    public StoredRows Stored => field ??= new StoredRows([StoredMatrix.OfBrain(Data, Rows, Columns)]);

    public void Dispose() => values.Dispose();
}

/// <summary>
/// Products with a bfloat16 weight: x is rounded to bfloat16, sums are float32, the result is rounded once more. .NET has no instruction for them, the library has; its
/// products run on one thread each and share the work by tokens, so that its threads never spin beside those of <see cref="Cores"/>. Without AVX-512 its products are plain
/// loops, fifteen times slower than Hone's of float32: there those are taken, of the same rounded numbers.
/// </summary>
internal static unsafe class BrainProduct
{
    /// <summary>Rows of a turn come in multiples: the library prepares code for each number of rows that it meets.</summary>
    private const int RowStep = 16;

    /// <summary>With fewer rows a turn the columns are shared out too.</summary>
    private const int FewRows = 48;

    private const int ColumnStep = 64;

    [ThreadStatic]
    private static bool t_alone;

    /// <summary>y = Σ terms, or y += Σ terms; the first term's weight is the bfloat16 one and spans all columns of y.</summary>
    public static void Run(Matrix y, bool accumulate, ProductTerm[] terms)
    {
        ProductTerm term = terms[0];
        BrainMatrix weight = term.Weight.Brain!;
        if (term.TurnedX || term.Column != 0)
            throw new ArgumentException("A bfloat16 weight takes the first term alone, with x as it lies.", nameof(terms));
        if (Avx512BW.VL.IsSupported)
            OfTheLibrary(y, accumulate, term, weight);
        else
            Widened(y, accumulate, term, weight);
        if (terms.Length > 1)
            MatrixProduct.Run(y, true, terms[1..]);
    }

    private static void Widened(Matrix y, bool accumulate, ProductTerm term, BrainMatrix weight)
    {
        using var scope = NewDisposeScope();
        Matrix x = Matrix.Of(TensorPool.Empty(term.X.Rows, term.X.Columns)), product = Matrix.Of(TensorPool.Empty(y.Rows, y.Columns));
        Rounded(term.X, x, 1, accumulate: false);
        MatrixProduct.Run(product, false, new ProductTerm(x, weight.Stored, term.Transposed));
        Rounded(product, y, term.Scale, accumulate);
    }

    private static void OfTheLibrary(Matrix y, bool accumulate, ProductTerm term, BrainMatrix weight)
    {
        int turns = Math.Max(1, Math.Min(Cores.Count, y.Rows / FewRows)), rows = Up((y.Rows + turns - 1) / turns, RowStep);
        turns = (y.Rows + rows - 1) / rows;
        int parts = turns >= Cores.Count ? 1 : Math.Min((Cores.Count + turns - 1) / turns, Math.Max(1, y.Columns / ColumnStep)), columns = Up((y.Columns + parts - 1) / parts, ColumnStep);
        parts = (y.Columns + columns - 1) / columns;
        using var scope = NewDisposeScope();
        Tensor x = TensorPool.EmptyBrain((long)turns * rows, term.X.Columns);
        Round(term.X, (ushort*)Matrix.AddressOf(x));
        Cores.For(turns * parts, i =>
        {
            Alone();
            using var inner = NewDisposeScope();
            int row = i % turns * rows, column = i / turns * columns, width = Math.Min(columns, y.Columns - column);
            Tensor some = x.narrow(0, row, rows);
            Tensor part = term.Transposed ? weight.Values.narrow(0, column, width).t() : weight.Values.narrow(1, column, width);
            Tensor product = TensorPool.EmptyBrain(rows, width).addmm_(some, part, beta: 0, alpha: 1); // [rows, width]
            ushort* source = (ushort*)Matrix.AddressOf(product);
            for (int r = row; r < Math.Min(y.Rows, row + rows); r++, source += width)
                Widen(source, y.Data + r * y.Stride + column, width, term.Scale, accumulate);
        });
    }

    /// <summary>To the nearest bfloat16, ties to even.</summary>
    public static void Round(ReadOnlySpan<float> source, ushort* target)
    {
        int i = 0;
        for (; i + 32 <= source.Length; i += 32)
            Vector512.Narrow(Nearest(Vector512.Create(source[i..])) >> 16, Nearest(Vector512.Create(source[(i + 16)..])) >> 16).Store(target + i);
        for (; i < source.Length; i++)
            target[i] = (ushort)(Nearest(source[i]) >> 16);
    }

    /// <summary>In the upper half of its bits, what is left in the lower counts for nothing.</summary>
    private static Vector512<uint> Nearest(Vector512<float> x)
    {
        Vector512<uint> bits = x.AsUInt32();
        return bits + Vector512.Create(0x7FFFu) + (bits >> 16 & Vector512<uint>.One);
    }

    private static uint Nearest(float x)
    {
        uint bits = BitConverter.SingleToUInt32Bits(x);
        return bits + 0x7FFF + (bits >> 16 & 1);
    }

    /// <summary>y = x as bfloat16 holds it · scale, or y += that.</summary>
    private static void Rounded(Matrix x, Matrix y, float scale, bool accumulate) => Cores.ForRanges(x.Rows, RowStep, (start, end) =>
    {
        for (int row = start; row < end; row++)
            Rounded(x.Row(row), y.Data + row * y.Stride, scale, accumulate);
    });

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Rounded(ReadOnlySpan<float> x, float* y, float scale, bool accumulate)
    {
        const uint Upper = 0xFFFF_0000;
        int i = 0;
        Vector512<uint> upper = Vector512.Create(Upper);
        Vector512<float> factor = Vector512.Create(scale);
        for (; i + 16 <= x.Length; i += 16)
        {
            Vector512<float> values = (Nearest(Vector512.Create(x[i..])) & upper).AsSingle() * factor;
            (accumulate ? values + Vector512.Load(y + i) : values).Store(y + i);
        }
        for (; i < x.Length; i++)
        {
            float value = BitConverter.UInt32BitsToSingle(Nearest(x[i]) & Upper) * scale;
            y[i] = accumulate ? y[i] + value : value;
        }
    }

    public static void Widen(ushort* source, Span<float> target)
    {
        fixed (float* y = target)
            Widen(source, y, target.Length, 1, accumulate: false);
    }

    private static void Round(Matrix x, ushort* target) => Cores.ForRanges(x.Rows, RowStep, (start, end) =>
    {
        for (int row = start; row < end; row++)
            Round(x.Row(row), target + (long)row * x.Columns);
    });

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Widen(ushort* source, float* y, int count, float scale, bool accumulate)
    {
        int i = 0;
        Vector512<float> factor = Vector512.Create(scale);
        for (; i + 32 <= count; i += 32)
        {
            (Vector512<uint> left, Vector512<uint> right) = Vector512.Widen(Vector512.Load(source + i));
            Vector512<float> a = (left << 16).AsSingle() * factor, b = (right << 16).AsSingle() * factor;
            if (accumulate)
                (a, b) = (a + Vector512.Load(y + i), b + Vector512.Load(y + i + 16));
            a.Store(y + i);
            b.Store(y + i + 16);
        }
        for (; i < count; i++)
        {
            float value = BitConverter.UInt32BitsToSingle((uint)source[i] << 16) * scale;
            y[i] = accumulate ? y[i] + value : value;
        }
    }

    /// <summary>The library's number of threads is each thread's own.</summary>
    private static void Alone()
    {
        if (!t_alone)
            set_num_threads(1);
        t_alone = true;
    }

    private static int Up(int count, int step) => (count + step - 1) / step * step;
}
