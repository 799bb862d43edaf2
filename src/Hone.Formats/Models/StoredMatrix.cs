using System.Runtime.Intrinsics.X86;
using Hone.Formats.Gguf;
using Hone.Formats.Models.FourBit;

namespace Hone.Formats.Models;

/// <summary>
/// A matrix [rows, columns] as a model's mapped file stores it, widened row by row or block by block: the values that <see cref="ModelWeights.ReadFloat32"/>
/// gives; or one rounded to four-bit blocks. It must not be used once the model is disposed.
/// </summary>
public readonly unsafe struct StoredMatrix
{
    /// <summary>Of a run that is asked for, before the one that is widened.</summary>
    private const int RowsAhead = 16;

    private const int CacheLine = 64;

    /// <summary>No file's type.</summary>
    private const GgmlType FourBits = (GgmlType)(-1);

    private readonly byte* _data;
    private readonly GgmlType _type;
    private readonly long _rowBytes;
    private readonly int _blockBytes;
    private readonly int _halfHead;
    private readonly FourBitMatrix? _fourBit;

    private StoredMatrix(byte* data, GgmlType type, int rows, int columns, int permutedHeads)
    {
        (Block, _blockBytes) = GgmlTypes.Block(type)!.Value;
        _data = data;
        (_type, Rows, Columns) = (type, rows, columns);
        _rowBytes = (long)(columns / Block) * _blockBytes;
        _halfHead = permutedHeads > 0 ? rows / permutedHeads / 2 : 0;
    }

    private StoredMatrix(FourBitMatrix matrix)
    {
        (_fourBit, _type) = (matrix, FourBits);
        (Block, Rows, Columns) = (matrix.RunValues, matrix.Rows, matrix.Columns);
    }

    /// <summary>The file's; a number that no file has for what was rounded at load.</summary>
    public GgmlType Type => _type;

    public int Rows { get; }

    public int Columns { get; }

    /// <summary>Values of a block: 1, 32 or 256 of a row.</summary>
    public int Block { get; }

    /// <summary>Values that are widened together: of what is widened in registers at most 32, else a block's.</summary>
    public int Run => StoredBlocks.Has(_type) ? Math.Min(Block, StoredBlocks.Values) : Block;

    /// <summary>Whether products widen it as they pack it. A panel of what has longer runs would widen most of one in vain.</summary>
    public bool HasParts => Run <= StoredBlocks.Values;

    /// <param name="permutedHeads">As in <see cref="GgufFile.Stored"/>.</param>
    internal static StoredMatrix? Of(byte* data, GgmlType type, int rows, int columns, int permutedHeads = 0) =>
        GgmlTypes.Block(type) is not null ? new StoredMatrix(data, type, rows, columns, permutedHeads) : null;

    public static StoredMatrix Of(FourBitMatrix matrix) => new(matrix);

    /// <param name="data">bfloat16 [rows, columns], which must outlive the matrix.</param>
    public static StoredMatrix OfBrain(ushort* data, int rows, int columns) => new((byte*)data, GgmlType.BF16, rows, columns, 0);

    /// <summary>A run of one row; <paramref name="column"/> and <paramref name="count"/> are multiples of <see cref="Block"/>.</summary>
    public void WidenRow(int row, int column, int count, float* target)
    {
        if (_fourBit is null)
            Dequantizer.Decode(_type, Address(row) + (long)(column / Block) * _blockBytes, target, count);
        else
            _fourBit.Widen((long)row * Columns + column, count, target);
    }

    /// <summary>A run of several rows, each <paramref name="stride"/> behind the one before; <paramref name="column"/> and <paramref name="count"/> are multiples of <see cref="Run"/>.</summary>
    public void WidenRows(int row, int rows, int column, int count, float* target, nint stride)
    {
        switch (Avx512F.IsSupported ? _type : GgmlType.F64)
        {
            case GgmlType.Q4_0: WidenWide<WideBlocks.Nibbles>(row, rows, column, count, target, stride); return;
            case GgmlType.Q4_1: WidenWide<WideBlocks.NibblesAndMinimum>(row, rows, column, count, target, stride); return;
            case GgmlType.Q5_0: WidenWide<WideBlocks.FiveBits>(row, rows, column, count, target, stride); return;
            case GgmlType.Q5_1: WidenWide<WideBlocks.FiveBitsAndMinimum>(row, rows, column, count, target, stride); return;
            case GgmlType.Q8_0: WidenWide<WideBlocks.SignedBytes>(row, rows, column, count, target, stride); return;
            case GgmlType.IQ4_NL: WidenWide<WideBlocks.NonLinearNibbles>(row, rows, column, count, target, stride); return;
            case GgmlType.Q4_K: WidenWide<WideBlocks.SuperNibbles>(row, rows, column, count, target, stride); return;
            case GgmlType.Q5_K: WidenWide<WideBlocks.SuperFiveBits>(row, rows, column, count, target, stride); return;
            case GgmlType.Q6_K: WidenWide<WideBlocks.SuperSixBits>(row, rows, column, count, target, stride); return;
        }
        switch (Avx2.IsSupported ? _type : GgmlType.F64)
        {
            case GgmlType.Q4_0: WidenBlocks<StoredBlocks.Nibbles>(row, rows, column, count, target, stride); break;
            case GgmlType.Q4_1: WidenBlocks<StoredBlocks.NibblesAndMinimum>(row, rows, column, count, target, stride); break;
            case GgmlType.Q5_0: WidenBlocks<StoredBlocks.FiveBits>(row, rows, column, count, target, stride); break;
            case GgmlType.Q5_1: WidenBlocks<StoredBlocks.FiveBitsAndMinimum>(row, rows, column, count, target, stride); break;
            case GgmlType.Q8_0: WidenBlocks<StoredBlocks.SignedBytes>(row, rows, column, count, target, stride); break;
            case GgmlType.IQ4_NL: WidenBlocks<StoredBlocks.NonLinearNibbles>(row, rows, column, count, target, stride); break;
            case GgmlType.Q4_K: WidenBlocks<StoredBlocks.SuperNibbles>(row, rows, column, count, target, stride); break;
            case GgmlType.Q5_K: WidenBlocks<StoredBlocks.SuperFiveBits>(row, rows, column, count, target, stride); break;
            case GgmlType.Q6_K: WidenBlocks<StoredBlocks.SuperSixBits>(row, rows, column, count, target, stride); break;
            default:
                for (int end = row + rows; row < end; row++, target += stride)
                {
                    Ask(Math.Min(row + RowsAhead, end - 1), column, count);
                    WidenRow(row, column, count, target);
                }
                break;
        }
    }

    /// <summary>A run that is widened soon, for short runs of long rows: the processor does not see by itself where the next one lies.</summary>
    private void Ask(int row, int column, int count)
    {
        if (!Sse.IsSupported || _fourBit is not null)
            return;
        byte* values = Address(row), first = values + (long)(column / Block) * _blockBytes, last = values + (long)((column + count + Block - 1) / Block) * _blockBytes - 1;
        for (byte* line = first; line < last; line += CacheLine)
            Sse.Prefetch0(line);
        Sse.Prefetch0(last);
    }

    private void WidenBlocks<TBlock>(int row, int rows, int column, int count, float* target, nint stride) where TBlock : struct, INarrowBlock
    {
        for (int end = row + rows; row < end; row++, target += stride)
        {
            Ask(Math.Min(row + RowsAhead, end - 1), column, count);
            StoredBlocks.Widen<TBlock>(Address(row), column / StoredBlocks.Values, count / StoredBlocks.Values, target);
        }
    }

    private void WidenWide<TBlock>(int row, int rows, int column, int count, float* target, nint stride) where TBlock : struct, IWideBlock
    {
        for (int end = row + rows; row < end; row++, target += stride)
        {
            Ask(Math.Min(row + RowsAhead, end - 1), column, count);
            WideBlocks.Widen<TBlock>(Address(row), column / StoredBlocks.Values, count / StoredBlocks.Values, target);
        }
    }

    /// <summary>Where a row begins; it goes on without gaps.</summary>
    public byte* Address(int row)
    {
        if (_halfHead > 0)
        {
            int head = row / (2 * _halfHead), within = row % (2 * _halfHead);
            row = head * 2 * _halfHead + within % _halfHead * 2 + within / _halfHead;
        }
        return _data + row * _rowBytes;
    }
}
