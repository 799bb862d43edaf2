using Hone.Training.Model;
using TorchSharp;
using static TorchSharp.torch;

namespace Hone.Training.Training;

/// <summary>
/// Attention over a prefix tree without a dense mask: the queries of a segment meet the keys of its ancestors and its own, block by block. Keys that a token may
/// not see are never multiplied, but for the upper triangle of a block's own keys.
/// </summary>
internal sealed class PrefixTreeAttention : Attention, IDisposable
{
    private const int BlockLength = 256;

    /// <summary>Probabilities kept for the backward pass rather than computed again, as long as a layer's are fewer than this many.</summary>
    private const long KeptProbabilities = 8 << 20;

    private readonly Block[] _blocks;
    private readonly double _scale;
    private readonly bool _keep;

    public PrefixTreeAttention(PackedBatch batch, int heads, double scale)
    {
        _scale = scale;
        _blocks = [.. Blocks(batch)];
        _keep = _blocks.Sum(b => (long)heads * b.Length * b.Keys) <= KeptProbabilities;
    }

    public override Tensor Forward(int layer, Tensor q, Tensor k, Tensor v) => Forward(q, k, v, null);

    /// <param name="saved">Receives what the backward pass needs; null while evaluating.</param>
    public Tensor Forward(Tensor q, Tensor k, Tensor v, SavedAttention? saved)
    {
        long heads = k.shape[1];
        Tensor result = empty_like(q); // [N, H, d]
        saved?.Probabilities.EnsureCapacity(_blocks.Length);
        foreach (Block block in _blocks)
        {
            using var scope = NewDisposeScope();
            Tensor grouped = GroupQueries(q.narrow(0, block.Start, block.Length), heads);   // [K, G·L, d]
            Tensor p = Probabilities(grouped, Gather(k, block), block.Mask, _scale);        // [K, G·L, S]
            result.narrow(0, block.Start, block.Length).copy_(UngroupQueries(p.matmul(Gather(v, block)), block.Length));
            if (saved is not null && _keep)
                saved.Probabilities.Add(p.DetachFromDisposeScope());
        }
        return result.view(q.shape[0], -1);
    }

    /// <summary><c>dv = pᵀ do</c>; <c>ds = p · (dp − Σ p·dp)</c> with <c>dp = do vᵀ</c>; <c>dq = ds k / √d</c>; <c>dk = dsᵀ q / √d</c>.</summary>
    /// <param name="dOutput">[N, H·d]</param>
    public (Tensor Dq, Tensor Dk, Tensor Dv) Backward(Tensor dOutput, Tensor q, Tensor k, Tensor v, SavedAttention saved)
    {
        long heads = k.shape[1];
        Tensor dOut = dOutput.view(q.shape);
        Tensor dq = empty_like(q), dk = zeros_like(k), dv = zeros_like(v);
        for (int b = 0; b < _blocks.Length; b++)
        {
            using var scope = NewDisposeScope();
            Block block = _blocks[b];
            Tensor grouped = GroupQueries(q.narrow(0, block.Start, block.Length), heads); // [K, G·L, d]
            Tensor keys = Gather(k, block), values = Gather(v, block);                    // [K, S, d]
            Tensor p = _keep ? saved.Probabilities[b] : Probabilities(grouped, keys, block.Mask, _scale);
            Tensor g = GroupQueries(dOut.narrow(0, block.Start, block.Length), heads);    // [K, G·L, d]
            Tensor ds = g.matmul(values.transpose(1, 2));                                 // [K, G·L, S]
            ds.sub_(ds.mul(p).sum(-1, keepdim: true)).mul_(p).mul_(_scale);
            Scatter(dv, block, p.transpose(1, 2).matmul(g));
            Scatter(dk, block, ds.transpose(1, 2).matmul(grouped));
            dq.narrow(0, block.Start, block.Length).copy_(UngroupQueries(ds.matmul(keys), block.Length));
        }
        return (dq, dk, dv);
    }

    /// <summary>The keys or values that a block sees, [N, K, d] → [K, S, d].</summary>
    private static Tensor Gather(Tensor x, Block block)
    {
        Tensor seen = block.Spans.Length == 1
            ? x.narrow(0, block.Spans[0].Start, block.Spans[0].Length)
            : cat([.. block.Spans.Select(s => x.narrow(0, s.Start, s.Length))], 0);
        return seen.transpose(0, 1).contiguous();
    }

    private static void Scatter(Tensor target, Block block, Tensor gathered)
    {
        Tensor byToken = gathered.transpose(0, 1); // [S, K, d]
        long at = 0;
        foreach (Span span in block.Spans)
        {
            target.narrow(0, span.Start, span.Length).add_(byToken.narrow(0, at, span.Length));
            at += span.Length;
        }
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
                Span[] spans = [.. Merged([.. ancestors, new Span(segment.Start, start + length)])];
                yield return new Block(segment.Start + start, length, before + start + length, spans, CausalMask(length, before + start + length));
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

    /// <summary>[L, S]: −∞ above the diagonal that ends in the lower right corner. A single query sees everything: no mask.</summary>
    private static Tensor? CausalMask(int length, int keys) =>
        length == 1 ? null : full([length, keys], double.NegativeInfinity, dtype: float32).triu_(keys - length + 1).DetachFromDisposeScope();

    public void Dispose()
    {
        foreach (Block block in _blocks)
            block.Mask?.Dispose();
    }

    private sealed record Block(int Start, int Length, int Keys, Span[] Spans, Tensor? Mask);

    private readonly record struct Span(int Start, int Length);
}

internal sealed class SavedAttention : IDisposable
{
    /// <summary>[K, G·L, S] a block; empty where they are computed again.</summary>
    public List<Tensor> Probabilities { get; } = [];

    public void Dispose()
    {
        foreach (Tensor p in Probabilities)
            p.Dispose();
    }
}
