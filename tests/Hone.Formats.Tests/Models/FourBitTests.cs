using Hone.Formats.Models.FourBit;
using Hone.Formats.Safetensors;

namespace Hone.Formats.Tests.Models;

/// <summary>Codes and values bit by bit as bitsandbytes has them, see the references' README.</summary>
[Trait("Category", "Reference")]
public sealed class FourBitTests
{
    private const float OffsetTolerance = 1e-6f; // relative: the order of a sum

    public static TheoryData<string> Cases => [.. s_references.SelectMany(file => file.Tensors).Select(t => t.Name).Where(n => n.EndsWith(".packed", StringComparison.Ordinal)).Select(n => n[..^".packed".Length]).Distinct()];

    [Fact]
    public void Values_AllCodes_EqualReference()
    {
        Assert.NotEmpty(s_references);
        foreach (SafetensorsFile file in s_references)
        {
            Assert.Equal(Floats(file, "code.nf4"), FourBitCode.Values(FourBitKind.Nf4));
            Assert.Equal(Floats(file, "code.fp4"), FourBitCode.Values(FourBitKind.Fp4));
            Assert.Equal(Floats(file, "code.dynamic"), FourBitCode.Dynamic);
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Quantize_ReferenceCase_SameCodesScalesAndValues(string name)
    {
        foreach (SafetensorsFile file in s_references.Where(f => f.Find(name + ".packed") is not null))
        {
            long[] shape = file.Find(name + ".input")!.Shape;
            FourBitKind kind = name.StartsWith("nf4", StringComparison.Ordinal) ? FourBitKind.Nf4 : FourBitKind.Fp4;
            bool nested = file.Find(name + ".absmax.codes") is not null;
            (int rows, int columns) = shape.Length == 1 ? (1, (int)shape[0]) : ((int)shape[0], (int)shape[1]);
            float[] input = Floats(file, name + ".input");
            var quantizer = new FourBitQuantizer(kind, rows, columns);
            for (int start = 0; start < input.Length; start += 128)
                quantizer.Add(start, input.AsSpan(start, Math.Min(128, input.Length - start)));
            FourBitMatrix matrix = quantizer.Finish(nested);

            byte[] packed = file.ReadBytes(name + ".packed").ToArray();
            for (int i = 0; i < input.Length; i++)
            {
                bool zeros = name.EndsWith("-zeros", StringComparison.Ordinal) && i / FourBitMatrix.BlockValues == 2;
                (int expected, int actual) = (CodeAt(packed, i), CodeAt(matrix.Packed, i));
                Assert.True(expected == actual || zeros || kind == FourBitKind.Fp4 && expected % 8 == 0 && actual % 8 == 0, $"{name}: code {i} is {actual}, the reference has {expected}");
            }
            float[] output = Floats(file, name + ".output"), widened = Widened(matrix, 0, output.Length);
            if (!nested)
            {
                Assert.Equal(Floats(file, name + ".absmax"), matrix.AbsMax);
                Assert.Equal(output, widened);
                continue;
            }
            float offset = Floats(file, name + ".absmax.offset")[0];
            Assert.InRange(matrix.Offset, offset - OffsetTolerance * Math.Abs(offset), offset + OffsetTolerance * Math.Abs(offset));
            Assert.Equal(file.ReadBytes(name + ".absmax.codes"), matrix.ScaleCodes);
            float[] second = Floats(file, name + ".absmax.absmax");
            for (int i = 0; i < second.Length; i++)
                Assert.InRange(matrix.AbsMax[i], second[i] - 2 * OffsetTolerance * offset, second[i] + 2 * OffsetTolerance * offset);
            // Given the reference's own offset and second absmax the values are exact.
            var given = new FourBitMatrix(kind, rows, columns, matrix.Packed.ToArray(), second, matrix.ScaleCodes.ToArray(), offset);
            Assert.Equal(Floats(file, name + ".absmax"), Enumerable.Range(0, (input.Length + 63) / 64).Select(b => given.AbsMaxOf(b)));
            Assert.Equal(output, Widened(given, 0, output.Length));
        }
    }

    /// <summary>Any run, in registers or one by one, is the same values.</summary>
    [Theory]
    [InlineData(96, false)]
    [InlineData(33, false)]
    [InlineData(96, true)]
    public void Widen_AnyRun_IsTheWholesPart(int columns, bool nested)
    {
        const int Rows = 7;
        var random = new Random(3);
        var quantizer = new FourBitQuantizer(FourBitKind.Nf4, Rows, columns);
        quantizer.Add(0, [.. Enumerable.Range(0, Rows * columns).Select(_ => (float)random.NextDouble() - 0.5f)]);
        FourBitMatrix matrix = quantizer.Finish(nested);
        float[] whole = [.. Enumerable.Range(0, Rows * columns).SelectMany(i => Widened(matrix, i, 1))];
        Assert.Equal(whole, Widened(matrix, 0, whole.Length / 32 * 32).Concat(Widened(matrix, whole.Length / 32 * 32, whole.Length % 32)));
        Assert.Equal(whole[64..192], Widened(matrix, 64, 128));
        Assert.Equal(whole[31..100], Widened(matrix, 31, 69));
    }

    private static int CodeAt(ReadOnlySpan<byte> packed, int i) => i % 2 == 0 ? packed[i / 2] >> 4 : packed[i / 2] & 15;

    private static unsafe float[] Widened(FourBitMatrix matrix, long start, int count)
    {
        var values = new float[count];
        fixed (float* target = values)
            matrix.Widen(start, count, target);
        return values;
    }

    private static float[] Floats(SafetensorsFile file, string name)
    {
        var values = new float[file.Find(name)!.Elements];
        file.ReadFloat32(name, values);
        return values;
    }

    private static readonly SafetensorsFile[] s_references = [.. References.Folders("nf4").SelectMany(folder => Directory.EnumerateFiles(folder, "*.safetensors")).Select(SafetensorsFile.Open)];
}
