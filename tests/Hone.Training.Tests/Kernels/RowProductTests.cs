using Hone.Formats.Gguf;
using Hone.Formats.Models;
using Hone.Training.Kernels;
using static TorchSharp.torch;

namespace Hone.Training.Tests.Kernels;

public sealed class RowProductTests
{
    /// <summary>Sums of terms of any shape, on columns of a wider matrix, equal float64 sums.</summary>
    [Fact]
    public void Run_RandomTerms_EqualsFloat64Sums()
    {
        Cores.Use(2);
        for (int seed = 0; seed < 200; seed++)
        {
            using var scope = NewDisposeScope();
            var random = new SplitMix64((ulong)seed);
            int rows = 1 + random.NextInt(20), columns = 1 + random.NextInt(300);
            bool accumulate = random.NextInt(2) == 0;
            Tensor y = rand(rows, columns + 3);
            Matrix target = Matrix.Of(y).ColumnRange(2, columns);
            double[,] expected = new double[rows, columns];
            for (int r = 0; r < rows; r++)
            {
                for (int c = 0; c < columns; c++)
                    expected[r, c] = accumulate ? target.Row(r)[c] : 0;
            }
            (float Before, float After) around = (y[0, 1].item<float>(), y[rows - 1, columns + 2].item<float>());

            var terms = new ProductTerm[1 + random.NextInt(3)];
            for (int t = 0; t < terms.Length; t++)
            {
                int depth = 1 + random.NextInt(seed % 8 == 0 ? 2_000 : 200);
                int first = t == 0 && !accumulate ? 0 : random.NextInt(columns), width = t == 0 && !accumulate ? columns : 1 + random.NextInt(columns - first);
                Matrix x = Matrix.Of(rand(rows, depth + 5) - 0.5).ColumnRange(3, depth), w = Matrix.Of(rand(width, depth + 1) - 0.5).ColumnRange(1, depth);
                terms[t] = new ProductTerm(x, w, Transposed: true, random.NextInt(2) == 0 ? 1 : 0.5f, first);
                for (int r = 0; r < rows; r++)
                {
                    for (int c = 0; c < width; c++)
                    {
                        double sum = 0;
                        for (int k = 0; k < depth; k++)
                            sum += (double)x.Row(r)[k] * w.Row(c)[k];
                        expected[r, first + c] += sum * terms[t].Scale;
                    }
                }
            }
            int one = random.NextInt(rows);
            Matrix alone = Matrix.Of(y[one].clone().unsqueeze(0)).ColumnRange(2, columns);
            using (RowProduct.Begin())
            {
                MatrixProduct.Run(target, accumulate, terms);
                MatrixProduct.Run(alone, accumulate, [.. terms.Select(t => t with { X = t.X.RowRange(one, 1) })]);
            }
            Assert.True(alone.Row(0).SequenceEqual(target.Row(one)), $"seed {seed}: row {one} alone");
            for (int r = 0; r < rows; r++)
            {
                for (int c = 0; c < columns; c++)
                    Assert.True(Math.Abs(target.Row(r)[c] - expected[r, c]) < 1e-4, $"seed {seed}: [{r}, {c}] is {target.Row(r)[c]}, not {expected[r, c]}");
            }
            Assert.Equal(around, (y[0, 1].item<float>(), y[rows - 1, columns + 2].item<float>()));
        }
    }

    /// <summary>Every block type: the bits of the widened matrix's product, for any number of rows; and a row's bits are the same alone and beside others.</summary>
    [Fact]
    public unsafe void Run_StoredMatrix_BitsOfTheWidenedOneAndOfEachRowAlone()
    {
        Cores.Use(2);
        var types = new HashSet<GgmlType>();
        using GgufFile file = GgufFile.Open(Path.Combine(Reference.Repository, "tests", "Hone.Formats.Tests", "references", "gguf", "types.gguf"));
        foreach (GgufTensor tensor in file.Tensors.Where(t => t.Shape is [> 1, > 1]))
        {
            using var scope = NewDisposeScope();
            StoredMatrix stored = file.Stored(tensor)!.Value;
            types.Add(stored.Type);
            Tensor widened = empty(stored.Rows, stored.Columns);
            Matrix values = Matrix.Of(widened);
            file.ReadFloat32(tensor.Name, values.All());
            Matrix together = Matrix.Of(empty(stored.Rows, stored.Columns));
            stored.WidenRows(0, stored.Rows, 0, stored.Columns, together.Data, together.Stride);
            Assert.True(together.All().SequenceEqual(values.All()), $"{tensor.Name} {stored.Type}, widened together");
            Matrix x = Matrix.Of(rand(9, stored.Columns) - 0.5);
            for (int rows = 1; rows <= x.Rows; rows++)
            {
                Matrix ofStored = Matrix.Of(empty(rows, stored.Rows)), ofWidened = Matrix.Of(empty(rows, stored.Rows)), alone = Matrix.Of(empty(1, stored.Rows));
                using (RowProduct.Begin())
                {
                    MatrixProduct.Run(ofStored, false, new ProductTerm(x.RowRange(0, rows), new StoredRows([stored]), Transposed: true));
                    MatrixProduct.Run(ofWidened, false, new ProductTerm(x.RowRange(0, rows), values, Transposed: true));
                    MatrixProduct.Run(alone, false, new ProductTerm(x.RowRange(rows - 1, 1), values, Transposed: true));
                }
                Assert.True(ofStored.All().SequenceEqual(ofWidened.All()), $"{tensor.Name} {stored.Type}, {rows} rows");
                Assert.True(alone.All().SequenceEqual(ofWidened.Row(rows - 1)), $"{tensor.Name} {stored.Type}, row {rows} alone");
            }
        }
        Assert.Superset(Enum.GetValues<GgmlType>().Where(StoredBlocks.Has).ToHashSet(), types);
    }

    /// <summary>Rows of W that are taken in parts of the depth where several of x share them: the same bits as those of one, of one row of x and of up to nine.</summary>
    [Theory]
    [InlineData(GgmlType.F16)]
    [InlineData(GgmlType.Q4_1)]
    [InlineData(GgmlType.Q5_0)]
    [InlineData(GgmlType.Q8_0)]
    [InlineData(GgmlType.Q4_K)]
    [InlineData(GgmlType.Q5_K)]
    [InlineData(GgmlType.Q6_K)]
    public unsafe void Run_LongStoredRows_BitsOfTheWidenedOnesAndOfEachRowAlone(GgmlType type)
    {
        const int Rows = 7, Columns = 9_216;
        Cores.Use(2);
        var random = new SplitMix64(6);
        using var scope = NewDisposeScope();
        // No byte has the bit that makes a half infinite.
        WithStored(type, Rows, Columns, () => (uint)random.Next() & 0xBFBF_BFBF, stored =>
        {
            Matrix values = Matrix.Of(empty(Rows, Columns)), x = Matrix.Of(rand(9, Columns) - 0.5);
            stored.WidenRows(0, Rows, 0, Columns, values.Data, values.Stride);
            for (int rows = 1; rows <= x.Rows; rows++)
            {
                Matrix ofStored = Matrix.Of(empty(rows, Rows)), ofWidened = Matrix.Of(empty(rows, Rows)), alone = Matrix.Of(empty(1, Rows));
                using (RowProduct.Begin())
                {
                    MatrixProduct.Run(ofStored, false, new ProductTerm(x.RowRange(0, rows), new StoredRows([stored]), Transposed: true));
                    MatrixProduct.Run(ofWidened, false, new ProductTerm(x.RowRange(0, rows), values, Transposed: true));
                    MatrixProduct.Run(alone, false, new ProductTerm(x.RowRange(rows - 1, 1), new StoredRows([stored]), Transposed: true));
                }
                Assert.Equal(ofWidened.All().ToArray(), ofStored.All().ToArray());
                Assert.Equal(ofWidened.Row(rows - 1).ToArray(), alone.All().ToArray());
                for (int column = 0; column < Rows; column++)
                {
                    double sum = 0, size = 0;
                    for (int k = 0; k < Columns; k++)
                    {
                        double product = (double)x.Row(rows - 1)[k] * values.Row(column)[k];
                        (sum, size) = (sum + product, size + Math.Abs(product));
                    }
                    Assert.InRange(alone.All()[column], sum - 1e-5 * size, sum + 1e-5 * size);
                }
            }
        });
    }

    /// <summary>Rows of 16-bit values whose length is no multiple of a block: what is behind the last block is not float32.</summary>
    [Theory]
    [InlineData(GgmlType.BF16)]
    [InlineData(GgmlType.F16)]
    public unsafe void Bug_StoredRowsOfOddWidth_ReadTheirRestAsWhatItIs(GgmlType type)
    {
        const int Rows = 6, Columns = 48;
        var random = new SplitMix64(5);
        uint Sixteen() => type == GgmlType.BF16 ? BitConverter.SingleToUInt32Bits((float)random.NextDouble() - 0.5f) >> 16 : BitConverter.HalfToUInt16Bits((Half)(random.NextDouble() - 0.5));
        using var scope = NewDisposeScope();
        WithStored(type, Rows, Columns, () => Sixteen() | Sixteen() << 16, stored =>
        {
            Matrix values = Matrix.Of(empty(Rows, Columns)), x = Matrix.Of(rand(3, Columns) - 0.5);
            for (int row = 0; row < Rows; row++)
                stored.WidenRow(row, 0, Columns, values.Data + row * values.Stride);
            foreach (int rows in new[] { 1, 3 })
            {
                Matrix ofStored = Matrix.Of(empty(rows, Rows)), ofWidened = Matrix.Of(empty(rows, Rows));
                using (RowProduct.Begin())
                {
                    MatrixProduct.Run(ofStored, false, new ProductTerm(x.RowRange(0, rows), new StoredRows([stored]), Transposed: true));
                    MatrixProduct.Run(ofWidened, false, new ProductTerm(x.RowRange(0, rows), values, Transposed: true));
                }
                Assert.Equal(ofWidened.All().ToArray(), ofStored.All().ToArray());
            }
        });
    }

    /// <summary>A matrix in a file whose bytes are those of the words.</summary>
    internal static void WithStored(GgmlType type, int rows, int columns, Func<uint> word, Action<StoredMatrix> run)
    {
        string path = Path.Combine(Path.GetTempPath(), $"hone-{Guid.NewGuid():N}.gguf");
        try
        {
            float[] words = [.. Enumerable.Range(0, rows * columns).Select(_ => BitConverter.UInt32BitsToSingle(word()))];
            using (FileStream stream = File.Create(path))
            {
                foreach (ReadOnlyMemory<byte> piece in GgufWriter.Pieces([], [new GgufTensorSource("matrix", [rows, columns], () => words)]))
                    stream.Write(piece.Span);
                // Behind the name, the number of sizes and the sizes: the type.
                byte[] written = new byte[stream.Position];
                stream.Position = 0;
                stream.ReadExactly(written);
                stream.Position = written.AsSpan().IndexOf("matrix"u8) + 6 + 4 + 16;
                stream.WriteByte((byte)type);
            }
            using GgufFile file = GgufFile.Open(path);
            run(file.Stored(file.Tensors[0])!.Value);
        }
        finally
        {
            File.Delete(path);
        }
    }
}
