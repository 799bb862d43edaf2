namespace Hone.Formats.Models.FourBit;

/// <summary>
/// Rounds a matrix to four-bit blocks as bitsandbytes does: each value over its block's largest magnitude becomes the nearest code. Runs come in order, each from a
/// multiple of a block's values on.
/// </summary>
internal sealed class FourBitQuantizer
{
    private readonly FourBitKind _kind;
    private readonly int _rows, _columns;
    private readonly byte[] _packed;
    private readonly float[] _absmax;

    // Codes by ascending value, and the middle between each and the next one.
    private readonly byte[] _codes;
    private readonly float[] _edges;
    private readonly byte _zero;

    public FourBitQuantizer(FourBitKind kind, int rows, int columns)
    {
        long elements = (long)rows * columns;
        (_kind, _rows, _columns) = (kind, rows, columns);
        (_codes, _edges) = Ordered(FourBitCode.Values(kind));
        _zero = _codes.First(c => FourBitCode.Values(kind)[c] == 0);
        _packed = GC.AllocateUninitializedArray<byte>(checked((int)((elements + 1) / 2)));
        _absmax = new float[checked((int)((elements + FourBitMatrix.BlockValues - 1) / FourBitMatrix.BlockValues))];
    }

    public void Add(long start, ReadOnlySpan<float> values)
    {
        for (int first = 0; first < values.Length; first += FourBitMatrix.BlockValues)
        {
            ReadOnlySpan<float> block = values[first..Math.Min(values.Length, first + FourBitMatrix.BlockValues)];
            float largest = 0;
            foreach (float value in block)
                largest = Math.Max(largest, Math.Abs(value));
            float inverse = 1 / largest;
            _absmax[(start + first) / FourBitMatrix.BlockValues] = largest;
            for (int i = 0; i < block.Length; i += 2)
            {
                int high = Code(block[i], inverse, largest), low = i + 1 < block.Length ? Code(block[i + 1], inverse, largest) : _zero;
                _packed[(start + first + i) / 2] = (byte)(high << 4 | low);
            }
        }
    }

    /// <param name="nested">The blocks' absmax are rounded to eight bits too.</param>
    public FourBitMatrix Finish(bool nested)
    {
        if (!nested)
            return new FourBitMatrix(_kind, _rows, _columns, _packed, _absmax);
        double sum = 0;
        foreach (float absmax in _absmax)
            sum += absmax;
        float offset = (float)(sum / _absmax.Length);
        (byte[] codes, float[] edges) = Ordered([.. FourBitCode.Dynamic]);
        var second = new float[(_absmax.Length + FourBitMatrix.NestedBlocks - 1) / FourBitMatrix.NestedBlocks];
        var scales = new byte[_absmax.Length];
        for (int b = 0; b < second.Length; b++)
        {
            int from = b * FourBitMatrix.NestedBlocks, to = Math.Min(_absmax.Length, from + FourBitMatrix.NestedBlocks);
            for (int i = from; i < to; i++)
                second[b] = Math.Max(second[b], Math.Abs(_absmax[i] - offset));
            float inverse = second[b] == 0 ? 0 : 1 / second[b];
            for (int i = from; i < to; i++)
                scales[i] = Nearest((_absmax[i] - offset) * inverse, codes, edges);
        }
        return new FourBitMatrix(_kind, _rows, _columns, _packed, second, scales, offset);
    }

    private byte Code(float value, float inverse, float largest) => largest == 0 ? _zero : Nearest(value * inverse, _codes, _edges);

    private static byte Nearest(float value, byte[] codes, float[] edges)
    {
        int low = 0, high = edges.Length;
        while (low < high)
        {
            int middle = (low + high) / 2;
            if (value > edges[middle])
                low = middle + 1;
            else
                high = middle;
        }
        return codes[low];
    }

    /// <summary>Of codes that stand for the same value, the first.</summary>
    private static (byte[] Codes, float[] Edges) Ordered(ReadOnlySpan<float> values)
    {
        float[] all = values.ToArray();
        byte[] codes = [.. Enumerable.Range(0, all.Length).OrderBy(c => all[c]).ThenBy(c => c).DistinctBy(c => all[c] + 0f).Select(c => (byte)c)];
        return (codes, [.. codes.Skip(1).Select((code, i) => (float)(((double)all[codes[i]] + all[code]) / 2))]);
    }
}
