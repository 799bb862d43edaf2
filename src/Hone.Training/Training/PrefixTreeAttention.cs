using Hone.Formats.Models;
using Hone.Training.Kernels;
using Hone.Training.Model;
using static TorchSharp.torch;
using TensorPrimitives = System.Numerics.Tensors.TensorPrimitives;

namespace Hone.Training.Training;

/// <summary>
/// Attention over a prefix tree without a dense mask: the queries of a segment meet the keys of its ancestors and its own, block by block. Keys that a token may
/// not see are never multiplied, but for the upper triangle of a step's own keys.
/// </summary>
internal sealed unsafe class PrefixTreeAttention : Attention
{
    private const int BlockLength = ModelMemory.AttentionBlock;

    /// <summary>Queries of a block are taken in steps, each with the keys that its last one sees.</summary>
    private const int StepLength = 64;

    private const int KeySlot = 0, ValueSlot = 1, ScoreSlot = 2, GradientSlot = 3, SlopeSlot = 4;

    private readonly Block[] _blocks;
    private readonly AttentionShape _shape;
    private readonly long _probabilities;
    private readonly int _keys;

    public PrefixTreeAttention(PackedBatch batch, AttentionShape shape)
    {
        _shape = shape;
        _blocks = [.. Blocks(batch)];
        foreach (Block block in _blocks)
        {
            block.Probabilities = _probabilities;
            block.FirstKey = _keys;
            _probabilities += (long)shape.Heads * block.Length * block.Keys;
            _keys = checked(_keys + block.Keys);
        }
    }

    /// <summary>What memory a batch takes follows from it.</summary>
    public static PassSize SizeOf(PackedBatch batch)
    {
        Block[] blocks = [.. Blocks(batch)];
        return new PassSize(batch.Tokens.Length, batch.Labels.Length, blocks.Sum(b => (long)b.Length * b.Keys), blocks.Sum(b => (long)b.Keys));
    }

    private bool Keeps => _probabilities <= ModelMemory.KeptProbabilities;

    public override Tensor Forward(int layer, Tensor qkv, SavedAttention? saved)
    {
        using Profile.Measure measured = Profile.Of(Operation.Attention);
        int window = _shape.WindowOf(layer);
        Tensor result = TensorPool.Empty(qkv.size(0), _shape.QueryWidth); // [N, H·d]
        Matrix all = Matrix.Of(qkv), target = Matrix.Of(result);
        float* kept = null;
        if (saved is not null && Keeps)
        {
            saved.Probabilities = TensorPool.Empty(_probabilities).DetachFromDisposeScope();
            kept = Matrix.Of(saved.Probabilities).Data;
        }
        Cores.For(_blocks.Length * _shape.KeyValueHeads, i =>
        {
            Block block = _blocks[i / _shape.KeyValueHeads];
            int pair = i % _shape.KeyValueHeads;
            Matrix keys = Gather(all, block, _shape.KeyColumn(pair), KeySlot), values = Gather(all, block, _shape.ValueColumn(pair), ValueSlot); // [S, d]
            for (int head = pair * _shape.Group; head < (pair + 1) * _shape.Group; head++)
            {
                Matrix q = Queries(all, block, head), answer = Queries(target, block, head); // [L, d]
                for (int row = 0; row < block.Length; row += StepLength)
                {
                    (int rows, int seen) = block.Step(row);
                    Matrix weights = Weights(kept, block, head, row, rows, seen);
                    Probabilities(q.RowRange(row, rows), keys.RowRange(0, seen), weights, window);
                    MatrixProduct.RunHere(answer.RowRange(row, rows), false, new ProductTerm(weights, values.RowRange(0, seen), Transposed: false));
                }
            }
        });
        return result;
    }

    /// <summary><c>dv = pᵀ do</c>; <c>ds = p · (dp − Σ p·dp) / √d</c> with <c>dp = do vᵀ</c>; <c>dq = ds k</c>; <c>dk = dsᵀ q</c>.</summary>
    /// <param name="dOutput">[N, H·d]</param>
    /// <returns>[N, (H + 2K)·d], as <paramref name="qkv"/>.</returns>
    public Tensor Backward(int layer, Tensor dOutput, Tensor qkv, SavedAttention saved)
    {
        using Profile.Measure measured = Profile.Of(Operation.AttentionGradient);
        int window = _shape.WindowOf(layer);
        int d = _shape.HeadDim, pairs = _shape.KeyValueHeads;
        Tensor result = TensorPool.EmptyLike(qkv);
        // Blocks share ancestors: each writes its part, and the parts are added in the blocks' order.
        using Tensor partial = TensorPool.Empty(2L * pairs * _keys, d); // keys of every pair and block, then values
        Matrix all = Matrix.Of(qkv), upper = Matrix.Of(dOutput), target = Matrix.Of(result), parts = Matrix.Of(partial);
        float* kept = saved.Probabilities is null ? null : Matrix.Of(saved.Probabilities).Data;
        Cores.For(_blocks.Length * pairs, i =>
        {
            Block block = _blocks[i / pairs];
            int pair = i % pairs;
            Matrix keys = Gather(all, block, _shape.KeyColumn(pair), KeySlot), values = Gather(all, block, _shape.ValueColumn(pair), ValueSlot); // [S, d]
            Matrix dKeys = Part(parts, block, pair), dValues = Part(parts, block, pairs + pair);
            for (int head = pair * _shape.Group; head < (pair + 1) * _shape.Group; head++)
            {
                Matrix q = Queries(all, block, head), g = Queries(upper, block, head), dQ = Queries(target, block, head); // [L, d]
                // The last step sees all keys, so it is the one that begins their sums.
                for (int row = (block.Length - 1) / StepLength * StepLength; row >= 0; row -= StepLength)
                {
                    (int rows, int seen) = block.Step(row);
                    bool more = head > pair * _shape.Group || row + rows < block.Length;
                    BackwardStep(
                        (q.RowRange(row, rows), g.RowRange(row, rows), Weights(kept, block, head, row, rows, seen)), (keys.RowRange(0, seen), values.RowRange(0, seen)), computed: kept is not null, window,
                        dQ.RowRange(row, rows), dKeys.RowRange(0, seen), dValues.RowRange(0, seen), more);
                }
            }
        });
        Cores.For(2 * pairs, i =>
        {
            Matrix sum = target.ColumnRange(_shape.KeyColumn(0) + i * d, d);
            for (int row = 0; row < sum.Rows; row++)
                sum.Row(row).Clear();
            foreach (Block block in _blocks)
            {
                Matrix part = Part(parts, block, i);
                int at = 0;
                foreach (Span span in block.Spans)
                {
                    for (int row = 0; row < span.Length; row++, at++)
                        TensorPrimitives.Add(sum.Row(span.Start + row), part.Row(at), sum.Row(span.Start + row));
                }
            }
        });
        return result;
    }

    /// <param name="of">q and do [L, d], p [L, S].</param>
    /// <param name="seen">k and v [S, d].</param>
    /// <param name="computed">p is there from the forward pass.</param>
    /// <param name="more">dk and dv are added to what is there.</param>
    private void BackwardStep((Matrix Q, Matrix Gradient, Matrix P) of, (Matrix Keys, Matrix Values) seen, bool computed, int window, Matrix dQ, Matrix dKeys, Matrix dValues, bool more)
    {
        (Matrix q, Matrix g, Matrix p) = of;
        if (!computed)
            Probabilities(q, seen.Keys, p, window);
        MatrixProduct.RunHere(dValues, more, new ProductTerm(p, g, Transposed: false, TurnedX: true));
        Matrix ds = Scratch.Take(GradientSlot, p.Rows, p.Columns); // [L, S]
        MatrixProduct.RunHere(ds, false, new ProductTerm(g, seen.Values, Transposed: true));
        for (int row = 0; row < ds.Rows; row++)
        {
            Span<float> x = ds.Row(row), weights = p.Row(row);
            TensorPrimitives.Add(x, -TensorPrimitives.Dot<float>(x, weights), x);
            TensorPrimitives.Multiply(x, weights, x);
            TensorPrimitives.Multiply(x, (float)_shape.Scale, x);
        }
        if (_shape.Softcap is { } cap)
            BackwardCap(ds, q, seen.Keys, cap);
        MatrixProduct.RunHere(dQ, false, new ProductTerm(ds, seen.Keys, Transposed: false));
        MatrixProduct.RunHere(dKeys, more, new ProductTerm(ds, q, Transposed: false, TurnedX: true));
    }

    private void Probabilities(Matrix q, Matrix keys, Matrix p, int window)
    {
        MatrixProduct.RunHere(p, false, new ProductTerm(q, keys, Transposed: true, (float)_shape.Scale));
        for (int row = 0; _shape.Softcap is { } cap && row < p.Rows; row++)
            Cap(p.Row(row), cap);
        CausalSoftmax(p, window);
    }

    /// <summary><c>ds · (1 − tanh²(s / c))</c></summary>
    private void BackwardCap(Matrix ds, Matrix q, Matrix keys, double cap)
    {
        Matrix slope = Scratch.Take(SlopeSlot, ds.Rows, ds.Columns);
        MatrixProduct.RunHere(slope, false, new ProductTerm(q, keys, Transposed: true, (float)(_shape.Scale / cap)));
        for (int row = 0; row < ds.Rows; row++)
        {
            Span<float> t = slope.Row(row), x = ds.Row(row);
            TensorPrimitives.Tanh(t, t);
            TensorPrimitives.Multiply(t, t, t);
            TensorPrimitives.Multiply(t, x, t);
            TensorPrimitives.Subtract(x, t, x);
        }
    }

    /// <summary>A block's rows of one query head [L, d], of queries or of what is shaped like them.</summary>
    private Matrix Queries(Matrix rows, Block block, int head) =>
        rows.RowRange(block.Start, block.Length).ColumnRange(head * _shape.HeadDim, _shape.HeadDim);

    /// <summary>Room for a step's probabilities [L, S]: among those that are kept, or the thread's own until its next step.</summary>
    private static Matrix Weights(float* kept, Block block, int head, int row, int rows, int seen) => kept is null
        ? Scratch.Take(ScoreSlot, rows, seen)
        : new Matrix(kept + block.Probabilities + ((long)head * block.Length + row) * block.Keys, rows, seen, block.Keys);

    private Matrix Part(Matrix parts, Block block, int index) => parts.RowRange(index * _keys + block.FirstKey, block.Keys);

    /// <summary>The keys or values that a block sees, [S, d].</summary>
    private Matrix Gather(Matrix all, Block block, int column, int slot)
    {
        Matrix columns = all.ColumnRange(column, _shape.HeadDim);
        if (block.Spans.Length == 1)
            return columns.RowRange(block.Spans[0].Start, block.Spans[0].Length);
        Matrix seen = Scratch.Take(slot, block.Keys, _shape.HeadDim);
        int at = 0;
        foreach (Span span in block.Spans)
        {
            for (int row = 0; row < span.Length; row++)
                columns.Row(span.Start + row).CopyTo(seen.Row(at++));
        }
        return seen;
    }

    private static IEnumerable<Block> Blocks(PackedBatch batch)
    {
        foreach (Segment segment in batch.Segments)
        {
            var ancestors = new List<Span>();
            for (int parent = segment.Parent; parent >= 0; parent = batch.Segments[parent].Parent)
                ancestors.Insert(0, new Span(batch.Segments[parent].Start, batch.Segments[parent].Length));
            int before = ancestors.Sum(a => a.Length);
            for (int start = 0; start < segment.Length; start += BlockLength)
            {
                int length = Math.Min(BlockLength, segment.Length - start);
                yield return new Block(segment.Start + start, length, before + start + length, [.. Merged([.. ancestors, new Span(segment.Start, start + length)])]);
            }
        }
    }

    /// <summary>Neighbouring spans as one: a first child lies right behind its parent.</summary>
    private static List<Span> Merged(List<Span> spans)
    {
        var merged = new List<Span>();
        foreach (Span span in spans)
        {
            if (merged.Count > 0 && merged[^1].Start + merged[^1].Length == span.Start)
                merged[^1] = new Span(merged[^1].Start, merged[^1].Length + span.Length);
            else
                merged.Add(span);
        }
        return merged;
    }

    private sealed record Block(int Start, int Length, int Keys, Span[] Spans)
    {
        /// <summary>Where the block's probabilities begin among those kept: [H, L, S].</summary>
        public long Probabilities { get; set; }

        /// <summary>Keys of the blocks before it.</summary>
        public int FirstKey { get; set; }

        /// <summary>How many queries one step takes from this row on, and how many keys the last of them sees.</summary>
        public (int Rows, int Seen) Step(int row)
        {
            int rows = Math.Min(StepLength, Length - row);
            return (rows, Keys - Length + row + rows);
        }
    }

    private readonly record struct Span(int Start, int Length);
}

internal sealed class SavedAttention : IDisposable
{
    /// <summary>Of all blocks, [H, L, S] each; null where they are computed again.</summary>
    public Tensor? Probabilities { get; set; }

    public void Dispose() => Probabilities?.Dispose();
}
