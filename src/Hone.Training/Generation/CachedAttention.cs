using Hone.Training.Model;
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
internal sealed class CachedAttention(IReadOnlyList<(KeyValueCache Cache, int NewTokens)> streams, double scale) : Attention
{
    public override Tensor Forward(int layer, Tensor q, Tensor k, Tensor v)
    {
        Tensor result = empty_like(q); // [N, H, d]
        int start = 0;
        foreach ((KeyValueCache cache, int added) in streams)
        {
            using var scope = NewDisposeScope();
            (Tensor keys, Tensor values) = cache.Append(layer, k.narrow(0, start, added), v.narrow(0, start, added)); // [K, S, d]
            long seen = keys.shape[1];
            Tensor? mask = added == 1 ? null : full([added, seen], double.NegativeInfinity, dtype: float32).triu_(seen - added + 1);
            Tensor p = Probabilities(GroupQueries(q.narrow(0, start, added), keys.shape[0]), keys, mask, scale); // [K, G·L, S]
            result.narrow(0, start, added).copy_(UngroupQueries(p.matmul(values), added));
            start += added;
        }
        return result.view(q.shape[0], -1);
    }
}
