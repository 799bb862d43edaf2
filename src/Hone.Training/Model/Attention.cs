using TorchSharp;
using static TorchSharp.torch;

namespace Hone.Training.Model;

/// <summary>Whom each token of a batch attends to, and with whose keys and values: the one part of a decoder pass in which tokens meet.</summary>
internal abstract class Attention
{
    /// <param name="q">[N, H, d]</param>
    /// <param name="k">[N, K, d], K key-value heads</param>
    /// <param name="v">[N, K, d]</param>
    /// <returns>[N, H·d]</returns>
    public abstract Tensor Forward(int layer, Tensor q, Tensor k, Tensor v);

    /// <summary>Queries grouped by key-value head: [L, H, d] → [K, G·L, d] with G = H / K.</summary>
    protected static Tensor GroupQueries(Tensor q, long keyValueHeads)
    {
        long length = q.shape[0], groups = q.shape[1] / keyValueHeads, width = q.shape[2];
        return q.view(length, keyValueHeads, groups, width).permute(1, 2, 0, 3).reshape(keyValueHeads, groups * length, width);
    }

    /// <summary>The reverse: [K, G·L, d] → [L, H, d].</summary>
    protected static Tensor UngroupQueries(Tensor grouped, long length)
    {
        long heads = grouped.shape[0], groups = grouped.shape[1] / length, width = grouped.shape[2];
        return grouped.view(heads, groups, length, width).permute(2, 0, 1, 3).reshape(length, heads * groups, width);
    }

    /// <summary><c>softmax(q kᵀ / √d + mask)</c>.</summary>
    /// <param name="q">[K, G·L, d]</param>
    /// <param name="k">[K, S, d]</param>
    /// <param name="mask">[L, S], 0 or −∞; null: every key is seen.</param>
    /// <returns>[K, G·L, S]</returns>
    protected static Tensor Probabilities(Tensor q, Tensor k, Tensor? mask, double scale)
    {
        Tensor scores = q.matmul(k.transpose(1, 2)).mul_(scale);
        if (mask is not null)
        {
            long length = mask.shape[0], keys = mask.shape[1];
            scores.view(scores.shape[0], -1, length, keys).add_(mask);
        }
        return scores.softmax(-1);
    }
}
