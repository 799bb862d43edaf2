using Hone.Training.Kernels;
using Hone.Training.Model;
using Hone.Training.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace Hone.Training.Generation;

/// <summary>Keys and values of one stream, a pair of [K, capacity, d] a layer; grows by doubling.</summary>
internal sealed class KeyValueCache(int layers) : IDisposable
{
    private readonly Tensor?[] _keys = new Tensor?[layers];
    private readonly Tensor?[] _values = new Tensor?[layers];

    /// <summary>Tokens in the cache.</summary>
    public int Length { get; set; }

    public long Bytes => _keys.Concat(_values).Sum(t => t is null ? 0 : t.numel() * sizeof(float));

    /// <summary>The first tokens of another cache become this one's, which is empty.</summary>
    public void CopyFrom(KeyValueCache other, int length)
    {
        using var scope = NewDisposeScope();
        for (int layer = 0; layer < _keys.Length; layer++)
        {
            Append(ref _keys[layer], other._keys[layer]!.narrow(1, 0, length).transpose(0, 1));
            Append(ref _values[layer], other._values[layer]!.narrow(1, 0, length).transpose(0, 1));
        }
        Length = length;
    }

    /// <summary>Appends and returns all keys and values so far, [K, S, d] each.</summary>
    /// <param name="k">[L, K, d]</param>
    public (Tensor Keys, Tensor Values) Append(int layer, Tensor k, Tensor v) => (Append(ref _keys[layer], k), Append(ref _values[layer], v));

    private Tensor Append(ref Tensor? cache, Tensor added)
    {
        long length = Length + added.shape[0];
        if (cache is null || cache.shape[1] < length)
        {
            long capacity = Math.Max(64, (long)System.Numerics.BitOperations.RoundUpToPowerOf2((ulong)length));
            Tensor larger = empty(added.shape[1], capacity, added.shape[2]).DetachFromDisposeScope();
            if (cache is not null)
            {
                larger.narrow(1, 0, Length).copy_(cache.narrow(1, 0, Length));
                cache.Dispose();
            }
            cache = larger;
        }
        cache.narrow(1, Length, added.shape[0]).copy_(added.transpose(0, 1));
        return cache.narrow(1, 0, length);
    }

    public void Dispose()
    {
        foreach (Tensor? tensor in _keys.Concat(_values))
            tensor?.Dispose();
    }
}

/// <summary>New tokens of several streams in one batch: each stream's see its cache and the stream's own tokens before them.</summary>
internal sealed unsafe class CachedAttention(IReadOnlyList<(KeyValueCache Cache, int NewTokens)> streams, AttentionShape shape) : Attention
{
    private const int ScoreSlot = 2;

    public override Tensor Forward(int layer, Tensor qkv, SavedAttention? saved)
    {
        if (saved is not null)
            throw new InvalidOperationException("Attention with a cache has no backward pass.");
        int window = shape.WindowOf(layer);
        int tokens = (int)qkv.shape[0], d = shape.HeadDim, group = shape.Group;
        Tensor heads = qkv.view(tokens, shape.Width / d, d), result = empty(tokens, shape.QueryWidth); // [N, H·d]
        var starts = new int[streams.Count];
        var caches = new (nint Keys, nint Values, int Capacity)[streams.Count];
        for (int s = 0, start = 0; s < streams.Count; s++)
        {
            using var scope = NewDisposeScope();
            (KeyValueCache cache, int added) = streams[s];
            Tensor of = heads.narrow(0, start, added);
            (Tensor keys, Tensor values) = cache.Append(layer, of.narrow(1, shape.Heads, shape.KeyValueHeads), of.narrow(1, shape.Heads + shape.KeyValueHeads, shape.KeyValueHeads));
            caches[s] = ((nint)Matrix.Of(keys).Data, (nint)Matrix.Of(values).Data, (int)(keys.stride(0) / d));
            starts[s] = start;
            start += added;
        }
        Matrix all = Matrix.Of(qkv), target = Matrix.Of(result);
        Cores.For(streams.Count * shape.KeyValueHeads, i =>
        {
            int s = i / shape.KeyValueHeads, pair = i % shape.KeyValueHeads, added = streams[s].NewTokens, seen = streams[s].Cache.Length + added;
            nint offset = (nint)pair * caches[s].Capacity * d;
            var keys = new Matrix((float*)caches[s].Keys + offset, seen, d, d);
            var values = new Matrix((float*)caches[s].Values + offset, seen, d, d);
            if (added == 1)
            {
                // The group's heads as rows: [G, d]
                nint column = pair * group * d;
                Matrix scores = Scratch.Take(ScoreSlot, group, seen);
                MatrixProduct.RunHere(scores, false, new ProductTerm(new Matrix(all.Data + starts[s] * all.Stride + column, group, d, d), keys, Transposed: true, (float)shape.Scale));
                Cap(scores);
                int first = Math.Max(0, seen - window);
                for (int g = 0; g < group; g++)
                {
                    scores.Row(g)[..first].Clear();
                    Softmax(scores.Data + g * scores.Stride + first, seen - first);
                }
                MatrixProduct.RunHere(new Matrix(target.Data + starts[s] * target.Stride + column, group, d, d), false, new ProductTerm(scores, values, Transposed: false));
                return;
            }
            for (int head = pair * group; head < (pair + 1) * group; head++)
            {
                Matrix scores = Scratch.Take(ScoreSlot, added, seen);
                MatrixProduct.RunHere(scores, false, new ProductTerm(all.RowRange(starts[s], added).ColumnRange(head * d, d), keys, Transposed: true, (float)shape.Scale));
                Cap(scores);
                CausalSoftmax(scores, window);
                MatrixProduct.RunHere(target.RowRange(starts[s], added).ColumnRange(head * d, d), false, new ProductTerm(scores, values, Transposed: false));
            }
        });
        return result;
    }

    private void Cap(Matrix scores)
    {
        for (int row = 0; shape.Softcap is { } cap && row < scores.Rows; row++)
            Cap(scores.Row(row), cap);
    }
}
