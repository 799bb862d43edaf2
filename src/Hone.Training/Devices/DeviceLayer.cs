using Hone.Formats.Models;
using Hone.Training.Kernels;
using Hone.Training.Model;
using static TorchSharp.torch;

namespace Hone.Training.Devices;

/// <summary><see cref="DecoderLayer"/> on a device.</summary>
internal sealed class DeviceLayer : IDisposable
{
    private readonly int _index;
    private readonly ModelConfig _config;
    private readonly AttentionShape _shape;
    private readonly DeviceLinear _qkv, _output;
    private readonly DeviceFeedForward _feedForward;
    private readonly Tensor? _beforeAttention, _query, _key, _afterAttention, _beforeFeedForward, _afterFeedForward;
    private readonly ScalarType _attends;

    /// <param name="attends">What queries, keys and values are rounded to where tokens meet.</param>
    public DeviceLayer(DecoderLayer layer, int index, ModelConfig config, ScalarType attends, Device device)
    {
        (_index, _config, _shape, _attends) = (index, config, Decoder.ShapeOf(config), attends);
        (_qkv, _output, _feedForward) = (new DeviceLinear(layer.Qkv, device), new DeviceLinear(layer.Output, device), DeviceFeedForward.Of(layer.FeedForward, config, device));
        _beforeAttention = On(layer.Norms.BeforeAttention?.Weight);
        _query = On(layer.Norms.Heads?.QueryWeight);
        _key = On(layer.Norms.Heads?.KeyWeight);
        _afterAttention = On(layer.Norms.AfterAttention?.Weight);
        _beforeFeedForward = On(layer.Norms.BeforeFeedForward?.Weight);
        _afterFeedForward = On(layer.Norms.AfterFeedForward?.Weight);

        Tensor? On(Tensor? weight) => weight?.to(device).DetachFromDisposeScope();
    }

    /// <param name="x">[N, D]; not changed.</param>
    /// <param name="labelledAlone">Behind the attention only the tokens that predict a label are computed.</param>
    /// <returns>[N, D] or [U, D]</returns>
    public Tensor Forward(Tensor x, DeviceBatch batch, DeviceAdapter? adapter, bool labelledAlone)
    {
        using var scope = NewDisposeScope();
        Tensor attended = Attend(_qkv.Forward(Norm(x, _beforeAttention), adapter), batch);              // [N, H·d]
        if (labelledAlone)
            (attended, x) = (attended.index_select(0, batch.Labelled), x.index_select(0, batch.Labelled)); // [U, …] from here on
        Tensor middle = Added(Norm(_output.Forward(attended, adapter), _afterAttention), x);            // [N, D]
        Tensor answer = _feedForward.Forward(Norm(middle, _beforeFeedForward), adapter);
        return Added(Norm(answer, _afterFeedForward), middle).MoveToOuterDisposeScope();
    }

    /// <param name="qkv">[N, (H + 2K)·d]</param>
    /// <returns>[N, H·d]</returns>
    private Tensor Attend(Tensor qkv, DeviceBatch batch)
    {
        int keyColumn = _shape.KeyColumn(0), valueColumn = _shape.ValueColumn(0);
        Tensor q = Turned(Heads(NormHeads(qkv.narrow(1, 0, keyColumn), _query)), batch);                          // [N, H, d]
        Tensor k = Turned(Heads(NormHeads(qkv.narrow(1, keyColumn, valueColumn - keyColumn), _key)), batch);      // [N, K, d]
        Tensor v = Heads(qkv.narrow(1, valueColumn, valueColumn - keyColumn));
        if (batch.QueryGrowth is not null)
            q = q * batch.QueryGrowth;
        Tensor? mask = batch.Mask(_index);
        (q, k, v) = (Batch(q), Shared(k), Shared(v));                                                             // [1, H, N, d]
        Tensor answer = _shape.Softcap is { } cap ? Capped(q, k, v, mask, cap) : nn.functional.scaled_dot_product_attention(
            Scaled(q, _shape.Scale * Math.Sqrt(_shape.HeadDim)).to(_attends), k.to(_attends), v.to(_attends), mask, 0, mask is null).to(float32);
        return answer.squeeze(0).transpose(0, 1).reshape(qkv.size(0), _shape.QueryWidth);
    }

    private Tensor Capped(Tensor q, Tensor k, Tensor v, Tensor? mask, double cap)
    {
        Tensor scores = q.matmul(k.transpose(-2, -1)).TimesInPlace(_shape.Scale / cap).tanh().Times(cap);         // [1, H, N, N]
        mask ??= ones(q.size(2), q.size(2), dtype: ScalarType.Bool, device: q.device).tril();
        return where(mask, scores, tensor(float.NegativeInfinity).to(q.device)).softmax(-1).matmul(v);
    }

    private Tensor Heads(Tensor x) => x.reshape(x.size(0), -1, _shape.HeadDim);

    private static Tensor Batch(Tensor x) => x.transpose(0, 1).unsqueeze(0);

    /// <summary>Keys or values, once for each query head.</summary>
    private Tensor Shared(Tensor x) => Batch(_shape.Group == 1 ? x : x.repeat_interleave(_shape.Group, 1));

    /// <param name="x">[N, heads, d]</param>
    private Tensor Turned(Tensor x, DeviceBatch batch)
    {
        if (batch.Angles(_index) is not var (cos, sin))
            return x;
        long half = cos.size(-1), rest = x.size(-1) - 2 * half;
        Tensor a = x.narrow(-1, 0, half), b = x.narrow(-1, half, half);
        Tensor[] parts = [a * cos - b * sin, (b * cos).Plus(a * sin), .. rest > 0 ? [x.narrow(-1, 2 * half, rest)] : Array.Empty<Tensor>()];
        return cat(parts, -1);
    }

    /// <summary>Over each head, or over all heads together where the weight is as long as they are.</summary>
    private Tensor NormHeads(Tensor x, Tensor? weight) => weight is null ? x : Norm(x.reshape(x.size(0), -1, weight.size(0)), weight);

    private Tensor Norm(Tensor x, Tensor? weight) => weight is null ? x : DeviceDecoder.Norm(x, weight, _config.NormEpsilon);

    private Tensor Added(Tensor answer, Tensor x) => Scaled(answer, _config.ResidualMultiplier).Plus(x);

    private static Tensor Scaled(Tensor x, double factor) => factor == 1 ? x : x.Times(factor);

    public void Dispose()
    {
        foreach (IDisposable? part in new IDisposable?[] { _qkv, _output, _feedForward, _beforeAttention, _query, _key, _afterAttention, _beforeFeedForward, _afterFeedForward })
            part?.Dispose();
    }
}
