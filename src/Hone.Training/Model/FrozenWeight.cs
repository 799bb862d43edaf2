using System.Buffers;
using Hone.Formats.Models;
using Hone.Training.Kernels;
using static TorchSharp.torch;

namespace Hone.Training.Model;

/// <summary>Rows [Row, Row + Rows) of a frozen matrix are the tensor of this name.</summary>
internal readonly record struct WeightPart(string Name, int Row, int Rows);

/// <summary>
/// A frozen matrix [rows, columns], or several stacked: widened to float32 once, or left as the model's file stores it and widened whenever it is used, with the
/// same numbers; or rounded to bfloat16. Used by one thread.
/// </summary>
internal sealed unsafe class FrozenWeight : IDisposable
{
    /// <summary>Values of a stored matrix that are widened at a time where it is used in blocks: 16 MB.</summary>
    private const int BlockValues = 4 << 20;

    /// <summary>Of one load: all cores share even the largest matrix.</summary>
    private const int LoadValues = 1 << 20;

    /// <summary>Of one load that rounds: read into 256 KiB, which the next load of the thread takes again.</summary>
    private const int RoundValues = 1 << 16;

    private readonly WeightPart[] _parts;
    private readonly ReadTensor _read;
    private readonly WidenBuffer? _buffer;
    private readonly bool _borrowed;
    private readonly StoredRows? _stored;
    private readonly BrainMatrix? _brain;
    private Tensor? _values;

    /// <param name="stored">Gives the parts that can be widened as they are packed.</param>
    /// <param name="buffer">Where another stored matrix is widened; null: it is widened once, by <see cref="Loads"/>.</param>
    /// <param name="brain">It is rounded to bfloat16 by <see cref="Loads"/>.</param>
    public FrozenWeight(int columns, WeightPart[] parts, ReadTensor read, Func<string, StoredMatrix?>? stored, WidenBuffer? buffer, bool brain = false)
    {
        (_parts, _read, _buffer) = (parts, read, buffer);
        Rows = parts.Sum(p => p.Rows);
        Columns = columns;
        if (stored is not null && Array.ConvertAll(parts, p => stored(p.Name)) is var all && all.All(m => m is not null))
            _stored = new StoredRows([.. all.Select(m => m!.Value)]);
        if (brain)
            _brain = new BrainMatrix(empty(Rows, columns, dtype: bfloat16).DetachFromDisposeScope());
        else if (buffer is null)
            _values = empty(Rows, columns).DetachFromDisposeScope();
    }

    /// <summary>A matrix in memory, which stays its owner's.</summary>
    public FrozenWeight(Tensor values)
    {
        (_parts, _read, _values, _borrowed) = ([], (_, _, _) => { }, values, true);
        (Rows, Columns) = ((int)values.shape[0], (int)values.shape[1]);
    }

    public int Rows { get; }

    public int Columns { get; }

    /// <summary>It is held as bfloat16.</summary>
    public bool IsBrain => _brain is not null;

    /// <summary>The loads that make the matrix ready, to be run in any order by any thread; none where it stays as it is stored.</summary>
    public IEnumerable<Action> Loads => _brain is null && _values is null ? [] : _parts.SelectMany(Runs).Select(run => (Action)(() => Load(run.Part, run.Row, run.Rows)));

    private IEnumerable<(WeightPart Part, int Row, int Rows)> Runs(WeightPart part)
    {
        int rows = Math.Max(1, (IsBrain ? RoundValues : LoadValues) / Columns);
        for (int row = 0; row < part.Rows; row += rows)
            yield return (part, row, Math.Min(rows, part.Rows - row));
    }

    private void Load(WeightPart part, int row, int rows)
    {
        long start = (long)row * Columns;
        int target = checked((part.Row + row) * Columns), length = checked(rows * Columns);
        float[]? rented = _values is null ? ArrayPool<float>.Shared.Rent(length) : null;
        Span<float> values = rented is null ? Matrix.Of(_values!).All().Slice(target, length) : rented.AsSpan(0, length);
        _read(part.Name, start, values);
        DecoderLoader.RefuseNotFinite(part.Name, start, values);
        if (rented is null)
            return;
        BrainProduct.Round(values, _brain!.Data + target);
        ArrayPool<float>.Shared.Return(rented);
    }

    /// <summary>The whole matrix for a product; valid until the next use of any weight of the model.</summary>
    public Operand Values() => _brain is not null ? _brain : IsTakenAsStored ? _stored! : Widened();

    /// <summary>Products widen it as they go.</summary>
    private bool IsTakenAsStored => _stored is not null && (_stored.HasParts || RowProduct.IsUsed);

    /// <summary>The whole matrix as numbers; with one that is not float32, until the next use of any weight of the model.</summary>
    public Matrix Widened()
    {
        if (_values is not null)
            return Matrix.Of(_values);
        Matrix widened = _buffer!.Take(Rows, Columns);
        if (_stored is { } stored)
        {
            Cores.ForRanges(Rows, 64, (start, end) => stored.WidenRows(start, end - start, 0, Columns, widened.Data + start * widened.Stride, widened.Stride));
            return widened;
        }
        if (_brain is not null)
        {
            BrainProduct.Widen(_brain.Data, widened.All());
            return widened;
        }
        foreach (WeightPart part in _parts)
            _read(part.Name, 0, widened.RowRange(part.Row, part.Rows).All());
        return widened;
    }

    /// <summary>The matrix block by block, each with its first row; one block where products take it as it is. For matrices of one part.</summary>
    public void ForBlocks(Action<int, Operand> body)
    {
        if (_values is not null || IsTakenAsStored)
        {
            body(0, Values());
            return;
        }
        // Blocks end where a product's panels do, so that sums over them are the same sums.
        int rows = Math.Min(Rows, Math.Max(1, BlockValues / Columns / MatrixProduct.PanelDepth) * MatrixProduct.PanelDepth);
        for (int row = 0; row < Rows; row += rows)
        {
            Matrix block = _buffer!.Take(Math.Min(rows, Rows - row), Columns);
            int first = row;
            Cores.ForRanges(block.Rows, 64, (start, end) => _read(_parts[0].Name, (long)(first + start) * Columns, block.RowRange(start, end - start).All()));
            body(row, block);
        }
    }

    /// <summary>Some rows [n, columns], copied. For matrices of one part.</summary>
    public Tensor Gather(int[] rows)
    {
        Tensor gathered = TensorPool.Empty(rows.Length, Columns);
        Matrix target = Matrix.Of(gathered);
        for (int i = 0; i < rows.Length; i++)
        {
            if (_values is not null)
                Matrix.Of(_values).Row(rows[i]).CopyTo(target.Row(i));
            else
                _read(_parts[0].Name, (long)rows[i] * Columns, target.Row(i));
        }
        return gathered;
    }

    /// <summary>For matrices of one part.</summary>
    public void CopyTo(Tensor target)
    {
        if (_values is not null)
            target.copy_(_values);
        else
            _read(_parts[0].Name, 0, Matrix.Of(target).All());
    }

    /// <summary>[rows, columns] on a device: bfloat16 where the matrix is held so, else float32. On the CPU the matrix itself where it is held as numbers.</summary>
    public Tensor On(Device device)
    {
        if ((_values ?? _brain?.Values) is { } held)
            return held.to(device);
        using Tensor widened = empty(Rows, Columns);
        Widened().All().CopyTo(Matrix.Of(widened).All());
        return widened.to(device);
    }

    public void Dispose()
    {
        if (!_borrowed)
            _values?.Dispose();
        _brain?.Dispose();
    }
}

/// <summary>Memory of a decoder in which stored weights are widened, one at a time; it grows to the largest.</summary>
internal sealed class WidenBuffer : IDisposable
{
    private Tensor? _values;

    public Matrix Take(int rows, int columns)
    {
        long length = (long)rows * columns;
        if (_values is null || _values.size(0) < length)
        {
            _values?.Dispose();
            _values = empty(length).DetachFromDisposeScope();
        }
        return Matrix.Of(_values).Shaped(rows, columns);
    }

    public void Dispose() => _values?.Dispose();
}
