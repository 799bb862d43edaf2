using Hone.Training.Kernels;
using Hone.Training.Model;
using Hone.Training.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace Hone.Training.Generation;

/// <summary>Keys and values of one stream, a pair of [K, capacity, d] a layer; grows by doubling.</summary>
internal sealed unsafe class KeyValueCache(int layers) : IDisposable
{
    private const int Smallest = 64;

    private readonly (Tensor? Keys, Tensor? Values, int Capacity)[] _layers = new (Tensor?, Tensor?, int)[layers];

    /// <summary>Tokens in the cache.</summary>
    public int Length { get; set; }

    /// <summary>Tokens for which there is room where there is room for <paramref name="length"/>.</summary>
    public static long CapacityFor(long length) => Math.Max(Smallest, (long)System.Numerics.BitOperations.RoundUpToPowerOf2((ulong)length));

    public long Bytes => _layers.Sum(l => l.Keys is null ? 0 : 2 * l.Keys.numel() * sizeof(float));

    /// <summary>The first tokens of another cache become this one's, which is empty.</summary>
    public void CopyFrom(KeyValueCache other, int length)
    {
        for (int layer = 0; layer < _layers.Length; layer++)
        {
            Tensor keys = other._layers[layer].Keys!;
            (int heads, int d) = ((int)keys.shape[0], (int)keys.shape[2]);
            CachedHeads from = other.Room(layer, 0, heads, d), to = Room(layer, length, heads, d);
            for (int head = 0; head < heads; head++)
            {
                from.Keys(head, length).All().CopyTo(to.Keys(head, length).All());
                from.Values(head, length).All().CopyTo(to.Values(head, length).All());
            }
        }
        Length = length;
    }

    /// <summary>A layer's keys and values, with room for more tokens behind those of the cache.</summary>
    public CachedHeads Room(int layer, int more, int heads, int d)
    {
        ref (Tensor? Keys, Tensor? Values, int Capacity) place = ref _layers[layer];
        if (place.Capacity < Length + more || place.Keys is null)
        {
            int capacity = (int)CapacityFor(Length + more);
            place = (Larger(place.Keys, heads, capacity, d), Larger(place.Values, heads, capacity, d), capacity);
        }
        return new CachedHeads(Matrix.Of(place.Keys!).Data, Matrix.Of(place.Values!).Data, place.Capacity, d);
    }

    private Tensor Larger(Tensor? present, int heads, int capacity, int d)
    {
        Tensor larger = empty(heads, capacity, d).DetachFromDisposeScope();
        if (present is not null)
        {
            larger.narrow(1, 0, Length).copy_(present.narrow(1, 0, Length));
            present.Dispose();
        }
        return larger;
    }

    public void Dispose()
    {
        foreach ((Tensor? keys, Tensor? values, _) in _layers)
        {
            keys?.Dispose();
            values?.Dispose();
        }
    }
}

/// <summary>Memory of one layer's keys and values, [K, capacity, d] each.</summary>
internal readonly unsafe struct CachedHeads(float* keys, float* values, int capacity, int d)
{
    private readonly nint _keys = (nint)keys, _values = (nint)values;

    /// <summary>The first tokens' keys of a head [length, d].</summary>
    public Matrix Keys(int head, int length) => new((float*)_keys + (nint)head * capacity * d, length, d, d);

    /// <inheritdoc cref="Keys"/>
    public Matrix Values(int head, int length) => new((float*)_values + (nint)head * capacity * d, length, d, d);
}

/// <summary>New tokens of several streams in one batch: each stream's see its cache and the stream's own tokens before them. One token a stream where products are taken row by row.</summary>
internal sealed unsafe class CachedAttention(IReadOnlyList<(KeyValueCache Cache, int NewTokens)> streams, AttentionShape shape) : Attention
{
    private const int ScoreSlot = 2;

    public override Tensor Forward(int layer, Tensor qkv, SavedAttention? saved)
    {
        if (saved is not null)
            throw new InvalidOperationException("Attention with a cache has no backward pass.");
        int window = shape.WindowOf(layer);
        int tokens = (int)qkv.shape[0], d = shape.HeadDim, group = shape.Group;
        Tensor result = empty(tokens, shape.QueryWidth); // [N, H·d]
        var places = new (CachedHeads Heads, int Start)[streams.Count];
        for (int s = 0, start = 0; s < streams.Count; start += streams[s++].NewTokens)
            places[s] = (streams[s].Cache.Room(layer, streams[s].NewTokens, shape.KeyValueHeads, d), start);
        bool rowByRow = RowProduct.IsUsed;
        Matrix all = Matrix.Of(qkv), target = Matrix.Of(result);
        Cores.For(streams.Count * shape.KeyValueHeads, i =>
        {
            int s = i / shape.KeyValueHeads, pair = i % shape.KeyValueHeads, added = streams[s].NewTokens, known = streams[s].Cache.Length, seen = known + added;
            (CachedHeads heads, int start) = places[s];
            Matrix keys = heads.Keys(pair, seen), values = heads.Values(pair, seen), own = all.RowRange(start, added);
            for (int row = 0; row < added; row++)
            {
                own.Row(row).Slice((shape.Heads + pair) * d, d).CopyTo(keys.Row(known + row));
                own.Row(row).Slice((shape.Heads + shape.KeyValueHeads + pair) * d, d).CopyTo(values.Row(known + row));
            }
            if (rowByRow)
            {
                // The group's heads as rows: [G, d]
                nint column = pair * group * d;
                Matrix scores = Scratch.Take(ScoreSlot, group, seen);
                RowProduct.RunHere(scores, false, new ProductTerm(new Matrix(own.Data + column, group, d, d), keys, Transposed: true, (float)shape.Scale));
                Cap(scores);
                int first = Math.Max(0, seen - window);
                for (int g = 0; g < group; g++)
                {
                    scores.Row(g)[..first].Clear();
                    Softmax(scores.Data + g * scores.Stride + first, seen - first);
                }
                MatrixProduct.RunHere(new Matrix(target.Data + start * target.Stride + column, group, d, d), false, new ProductTerm(scores, values, Transposed: false));
                return;
            }
            for (int head = pair * group; head < (pair + 1) * group; head++)
            {
                Matrix scores = Scratch.Take(ScoreSlot, added, seen);
                MatrixProduct.RunHere(scores, false, new ProductTerm(own.ColumnRange(head * d, d), keys, Transposed: true, (float)shape.Scale));
                Cap(scores);
                CausalSoftmax(scores, window);
                MatrixProduct.RunHere(target.RowRange(start, added).ColumnRange(head * d, d), false, new ProductTerm(scores, values, Transposed: false));
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
