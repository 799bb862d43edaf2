using Hone.Formats.Gguf;
using Hone.Formats.Models;
using Hone.Training.Kernels;
using static TorchSharp.torch;

namespace Hone.Training.Tests.Kernels;

public sealed unsafe class MatrixProductTests
{
    /// <summary>Stored weights, widened run by run as they are packed, also where a panel's depth ends within a block of 256: the bits of the widened ones.</summary>
    [Theory]
    [InlineData(GgmlType.F16)]
    [InlineData(GgmlType.Q4_1)]
    [InlineData(GgmlType.Q8_0)]
    [InlineData(GgmlType.Q4_K)]
    [InlineData(GgmlType.Q5_K)]
    [InlineData(GgmlType.Q6_K)]
    public void Run_StoredMatrix_BitsOfTheWidenedOne(GgmlType type)
    {
        const int Rows = 330, Columns = 2_304;
        Cores.Use(2);
        var random = new SplitMix64(7);
        using var scope = NewDisposeScope();
        RowProductTests.WithStored(type, Rows, Columns, () => (uint)random.Next() & 0xBFBF_BFBF, stored =>
        {
            Assert.Equal(stored.Block <= StoredBlocks.Values || System.Runtime.Intrinsics.X86.Avx2.IsSupported, stored.HasParts);
            if (!stored.HasParts)
                return;
            Matrix values = Matrix.Of(empty(Rows, Columns));
            Widen(stored, values);
            foreach (bool turned in new[] { true, false })
            {
                Matrix x = Matrix.Of(rand(70, turned ? Columns : Rows) - 0.5), ofStored = Matrix.Of(empty(70, turned ? Rows : Columns)), ofWidened = Matrix.Of(empty(70, turned ? Rows : Columns));
                MatrixProduct.Run(ofStored, false, new ProductTerm(x, new StoredRows([stored]), turned));
                MatrixProduct.Run(ofWidened, false, new ProductTerm(x, values, turned));
                Assert.Equal(ofWidened.All().ToArray(), ofStored.All().ToArray());
            }
        });
    }

    /// <summary>Sums of terms of any shape and orientation, on columns of a wider matrix, equal float64 sums.</summary>
    [Fact]
    public void Run_RandomTerms_EqualsFloat64Sums()
    {
        Cores.Use(2);
        for (int seed = 0; seed < 300; seed++)
        {
            using var scope = NewDisposeScope();
            var random = new SplitMix64((ulong)seed);
            int rows = 1 + random.NextInt(seed % 3 == 0 ? 4 : 600), columns = 1 + random.NextInt(100);
            bool accumulate = random.NextInt(2) == 0;
            Tensor y = rand(rows, columns + 3);
            Matrix target = Matrix.Of(y).ColumnRange(2, columns);
            double[,] expected = new double[rows, columns];
            for (int r = 0; r < rows; r++)
            {
                for (int c = 0; c < columns; c++)
                    expected[r, c] = accumulate ? target.Row(r)[c] : 0;
            }
            float before = y[0, 1].item<float>(), after = y[rows - 1, columns + 2].item<float>();

            var terms = new ProductTerm[1 + random.NextInt(3)];
            for (int t = 0; t < terms.Length; t++)
            {
                int depth = 1 + random.NextInt(700);
                int first = t == 0 && !accumulate ? 0 : random.NextInt(columns), width = t == 0 && !accumulate ? columns : 1 + random.NextInt(columns - first);
                bool transposed = random.NextInt(3) > 0, turned = random.NextInt(3) == 0;
                Tensor x = turned ? rand(depth, rows + 5) - 0.5 : rand(rows, depth + 5) - 0.5, w = transposed ? rand(width, depth + 1) - 0.5 : rand(depth, width + 1) - 0.5;
                Matrix weight = transposed ? Matrix.Of(w).ColumnRange(1, depth) : Matrix.Of(w).ColumnRange(1, width);
                Matrix all = Matrix.Of(x).ColumnRange(3, turned ? rows : depth);
                terms[t] = new ProductTerm(all, weight, transposed, random.NextInt(2) == 0 ? 1 : 0.5f, first, turned);
                for (int r = 0; r < rows; r++)
                {
                    for (int c = 0; c < width; c++)
                    {
                        double sum = 0;
                        for (int k = 0; k < depth; k++)
                            sum += (double)(turned ? all.Row(k)[r] : all.Row(r)[k]) * (transposed ? weight.Row(c)[k] : weight.Row(k)[c]);
                        expected[r, first + c] += sum * terms[t].Scale;
                    }
                }
            }
            MatrixProduct.Run(target, accumulate, terms);
            for (int r = 0; r < rows; r++)
            {
                for (int c = 0; c < columns; c++)
                    Assert.True(Math.Abs(target.Row(r)[c] - expected[r, c]) < 1e-4, $"seed {seed}: [{r}, {c}] is {target.Row(r)[c]}, not {expected[r, c]}");
            }
            Assert.Equal((before, after), (y[0, 1].item<float>(), y[rows - 1, columns + 2].item<float>()));
        }
    }

    /// <summary>The tiles of both vector widths, the other one emulated.</summary>
    [Fact]
    public void Tile_EveryRowCount_EqualsPlainSums()
    {
        const int Depth = 37;
        foreach ((int height, int width) in new[] { (6, 16), (8, 32) })
        {
            for (int rows = 1; rows <= height; rows++)
            {
                using var scope = NewDisposeScope();
                Tensor x = rand(rows, Depth).PlusInPlace(-0.5), panel = rand(Depth, width).PlusInPlace(-0.5), y = rand(rows, width), expected = y.Plus(x.matmul(panel).Times(0.5));
                Matrix mx = Matrix.Of(x), my = Matrix.Of(y);
                if (width == 16)
                    ProductTile.Narrow(mx.Data, mx.Stride, 1, rows, Matrix.Of(panel).Data, Matrix.Of(panel).Stride, Depth, my.Data, my.Stride, scale: 0.5f, accumulate: true);
                else
                    ProductTile.Wide(mx.Data, mx.Stride, 1, rows, Matrix.Of(panel).Data, Matrix.Of(panel).Stride, Depth, my.Data, my.Stride, scale: 0.5f, accumulate: true);
                Assert.True(allclose(y, expected, 1e-5, 1e-5), $"{height} × {width}, {rows} rows");
            }
        }
    }

    /// <summary>The same bits whatever the number of threads.</summary>
    [Fact]
    public void Run_OneOrManyThreads_SameBits()
    {
        using var scope = NewDisposeScope();
        Tensor x = rand(217, 576), w = rand(960, 576), one = empty(217, 960), many = empty(217, 960);
        var term = new ProductTerm(Matrix.Of(x), Matrix.Of(w), Transposed: true);
        Cores.Use(1);
        MatrixProduct.Run(Matrix.Of(one), false, term);
        Cores.Use(4);
        MatrixProduct.Run(Matrix.Of(many), false, term);
        Cores.Use(2);
        Assert.Equal(Reference.Floats(one), Reference.Floats(many));
    }

    private static unsafe void Widen(StoredMatrix stored, Matrix target)
    {
        for (int row = 0; row < stored.Rows; row++)
            stored.WidenRow(row, 0, stored.Columns, target.Data + row * target.Stride);
    }
}
