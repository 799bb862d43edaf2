using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Hone.Formats.Models.FourBit;

/// <summary>
/// A matrix in blocks of 64 four-bit codes that run through its row-major elements, across rows: <c>w = code × absmax</c>. Two codes a byte, the first in the high half.
/// With nested statistics <c>absmax = dynamic code × second absmax + offset</c>, the second one of 256 blocks each.
/// </summary>
public sealed unsafe class FourBitMatrix
{
    /// <summary>Values of a block, and blocks that share a second absmax.</summary>
    public const int BlockValues = 64, NestedBlocks = 256;

    /// <summary>Values that are widened together where the rows allow it.</summary>
    private const int Run = 32;

    private readonly byte[] _packed;
    private readonly float[] _absmax; // the second ones where nested
    private readonly byte[]? _scaleCodes;
    private readonly float _offset;
    private readonly float* _code;

    internal FourBitMatrix(FourBitKind kind, int rows, int columns, byte[] packed, float[] absmax, byte[]? scaleCodes = null, float offset = 0)
    {
        (Kind, Rows, Columns) = (kind, rows, columns);
        (_packed, _absmax, _scaleCodes, _offset) = (packed, absmax, scaleCodes, offset);
        _code = kind == FourBitKind.Nf4 ? s_nf4 : s_fp4;
    }

    public FourBitKind Kind { get; }

    public int Rows { get; }

    public int Columns { get; }

    /// <summary>Runs of a row begin and end at its multiples.</summary>
    public int RunValues => Columns % Run == 0 ? Run : 1;

    /// <summary>Two codes a byte.</summary>
    public ReadOnlySpan<byte> Packed => _packed;

    /// <summary>Of each block; where nested, the second ones.</summary>
    public ReadOnlySpan<float> AbsMax => _absmax;

    /// <summary>Of each block's absmax, where nested; else empty.</summary>
    public ReadOnlySpan<byte> ScaleCodes => _scaleCodes;

    /// <summary>The mean of the blocks' absmax, where nested.</summary>
    public float Offset => _offset;

    public long Bytes => _packed.LongLength + _absmax.LongLength * sizeof(float) + (_scaleCodes?.LongLength ?? 0);

    private static readonly float* s_nf4 = Table(FourBitCode.Values(FourBitKind.Nf4)), s_fp4 = Table(FourBitCode.Values(FourBitKind.Fp4)), s_dynamic = Table([.. FourBitCode.Dynamic]);

    /// <summary>The largest magnitude of a block.</summary>
    public float AbsMaxOf(long block) =>
        _scaleCodes is null ? _absmax[block] : s_dynamic[_scaleCodes[block]] * _absmax[block / NestedBlocks] + _offset;

    /// <summary>A run of the row-major elements.</summary>
    public void Widen(long start, int count, float* target)
    {
        fixed (byte* packed = _packed)
        {
            if (Avx2.IsSupported && start % Run == 0 && count % Run == 0)
            {
                WidenRuns(packed + start / 2, start, count, target);
                return;
            }
            for (long i = start; i < start + count; i++)
                *target++ = _code[i % 2 == 0 ? packed[i / 2] >> 4 : packed[i / 2] & 15] * AbsMaxOf(i / BlockValues);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void WidenRuns(byte* packed, long start, int count, float* target)
    {
        Vector256<float> lower = Vector256.Load(_code), upper = Vector256.Load(_code + 8);
        Vector128<byte> low = Vector128.Create((byte)15);
        for (int i = 0; i < count; i += Run, packed += Run / 2, target += Run)
        {
            Vector128<byte> pairs = Vector128.Load(packed), first = Vector128.ShiftRightLogical(pairs, 4), second = pairs & low;
            Vector128<byte> left = Sse2.UnpackLow(first, second), right = Sse2.UnpackHigh(first, second);
            Vector256<float> scale = Vector256.Create(AbsMaxOf((start + i) / BlockValues));
            (Value(left) * scale).Store(target);
            (Value(Sse2.ShiftRightLogical128BitLane(left, 8)) * scale).Store(target + 8);
            (Value(right) * scale).Store(target + 16);
            (Value(Sse2.ShiftRightLogical128BitLane(right, 8)) * scale).Store(target + 24);
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        Vector256<float> Value(Vector128<byte> codes)
        {
            Vector256<int> index = Avx2.ConvertToVector256Int32(codes);
            // The code's highest bit chooses the half of the table.
            return Avx.BlendVariable(Avx2.PermuteVar8x32(lower, index), Avx2.PermuteVar8x32(upper, index), (index << 28).AsSingle());
        }
    }

    private static float* Table(ReadOnlySpan<float> values)
    {
        float* table = (float*)NativeMemory.Alloc((nuint)values.Length, sizeof(float));
        values.CopyTo(new Span<float>(table, values.Length));
        return table;
    }
}
