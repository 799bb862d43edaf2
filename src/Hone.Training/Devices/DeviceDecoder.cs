using Hone.Formats.Models;
using Hone.Training.Kernels;
using Hone.Training.Lora;
using Hone.Training.Model;
using Hone.Training.Training;
using static TorchSharp.torch;

namespace Hone.Training.Devices;

/// <summary>
/// The decoder on a device: a copy of a loaded one's weights, the library's operations, and gradients from its tape, one tape a layer. So nothing is differentiated
/// below the lowest adapted layer, and a layer's tape can be made again when its turn comes. Linear weights, their products and attention are bfloat16 where the
/// loaded decoder's weights are; all else is float32.
/// </summary>
internal sealed class DeviceDecoder : TrainingDecoder
{
    private readonly Decoder _decoder;
    private readonly ModelConfig _config;
    private readonly Device _device;
    private readonly DeviceLayer[] _layers;
    private readonly Tensor _embedding, _head, _finalNorm; // [V, D], [V, D], [D]

    /// <param name="decoder">Must outlive this one.</param>
    public DeviceDecoder(Decoder decoder, Device device)
    {
        (_decoder, _config, _device) = (decoder, decoder.Config, device);
        _embedding = decoder.Embedding.On(device).DetachFromDisposeScope();
        _head = ReferenceEquals(decoder.Embedding, decoder.HeadWeight) ? _embedding : decoder.HeadWeight.On(device).DetachFromDisposeScope();
        _finalNorm = decoder.FinalNorm.Weight.to(device).DetachFromDisposeScope();
        ScalarType attends = decoder.Layers[0].Qkv.Weight.IsBrain ? bfloat16 : float32;
        _layers = [.. decoder.Layers.Select((layer, l) => new DeviceLayer(layer, l, _config, attends, device))];
    }

    /// <summary>Logits of every token [N, V], in the machine's own memory.</summary>
    public Tensor Logits(PackedBatch batch, LoraAdapter? adapter)
    {
        using var scope = NewDisposeScope();
        using var none = no_grad();
        using DeviceAdapter? own = Own(adapter);
        DeviceBatch placed = Place(batch);
        Tensor x = Embed(placed, own);
        foreach (DeviceLayer layer in _layers)
            x = layer.Forward(x, placed, own, labelledAlone: false);
        return Logits(Norm(x, _finalNorm, _config.NormEpsilon), HeadOf(own)).to(CPU).MoveToOuterDisposeScope();
    }

    public override LabelLoss ForwardBackward(PackedBatch batch, LoraAdapter adapter, double divisor) => ForwardBackward(batch, adapter, (normed, head) =>
    {
        Tensor dNormed = zeros_like(normed);
        (double[] losses, bool[] correct) = LabelLosses(normed, head, batch.Labels, [.. batch.Weights.Select(w => (float)(w / divisor))], dNormed);
        return (LabelLoss.Of(losses, correct, batch.Weights, divisor), dNormed);
    });

    public override PreferenceLoss ForwardBackward(PackedBatch batch, LoraAdapter adapter, double beta, double divisor, double[] reference) => ForwardBackward(batch, adapter, (normed, head) =>
    {
        double[] policy;
        using (no_grad())
            policy = PreferenceLoss.RowSums(batch, Array.ConvertAll(LabelLosses(normed, head, batch.Labels, null, null).Losses, loss => -loss));
        (PreferenceLoss loss, float[] weights) = PreferenceLoss.Of(batch, policy, reference, beta, divisor);
        Tensor dNormed = zeros_like(normed);
        LabelLosses(normed, head, batch.Labels, weights, dNormed);
        return (loss, dNormed);
    });

    public override LabelLoss Loss(PackedBatch batch, LoraAdapter? adapter, double divisor)
    {
        (double[] losses, bool[] correct) = Evaluate(batch, adapter);
        return LabelLoss.Of(losses, correct, batch.Weights, divisor);
    }

    public override double[] LogProbabilities(PackedBatch batch, LoraAdapter? adapter) => Array.ConvertAll(Evaluate(batch, adapter).Losses, loss => -loss);

    /// <param name="head">From the labels' normed hidden states [M, D] and the output matrix [V, D] to the loss and their gradient [M, D].</param>
    private TLoss ForwardBackward<TLoss>(PackedBatch batch, LoraAdapter adapter, Func<Tensor, Tensor, (TLoss Loss, Tensor DNormed)> head)
    {
        using var scope = NewDisposeScope();
        using var own = new DeviceAdapter(adapter, _device, learns: true);
        DeviceBatch placed = Place(batch);
        int last = _layers.Length - 1, lowest = adapter.Embedding is null ? _decoder.LowestAdapted(adapter) : 0;
        Tensor embedded = Embed(placed, own), x = embedded.detach(); // [N, D]
        var tapes = new Tape[_layers.Length];
        for (int l = 0; l <= last; l++)
        {
            // With its output's tape, or the input alone.
            if (l >= lowest && !(Recomputes && l < last))
                tapes[l] = Record(l, x);
            else
            {
                using var none = no_grad();
                tapes[l] = new Tape(x, _layers[l].Forward(x, placed, own, l == last));
            }
            x = tapes[l].Output.detach(); // [U, D] from the last one
            if (Recomputes && l < last)
                tapes[l].Output.Dispose();
        }

        Tensor ofLabels = x.index_select(0, placed.RowOfLabel).requires_grad_(); // [M, D]
        Tensor normed = Norm(ofLabels, _finalNorm, _config.NormEpsilon);
        (TLoss loss, Tensor dNormed) = head(normed.detach(), HeadOf(own));
        autograd.backward([normed], [dNormed]);
        Tensor dx = zeros_like(x).PlusRowsInPlace(placed.RowOfLabel, ofLabels.grad!); // [U, D]
        for (int l = last; l >= lowest; l--)
        {
            using var inner = NewDisposeScope();
            Tape tape = Recomputes && l < last ? Record(l, tapes[l].Input) : tapes[l];
            autograd.backward([tape.Output], [dx]);
            tape.Output.Dispose();
            if (tape.Input.grad is not { } below)
                break;
            dx.Dispose();
            dx = below.MoveToOuterDisposeScope(); // [N, D]
        }
        if (adapter.Embedding is not null)
            autograd.backward([embedded], [dx]);
        own.AddGradients();
        return loss;

        Tape Record(int l, Tensor input)
        {
            Tensor leaf = input.detach().requires_grad_(l > lowest || adapter.Embedding is not null);
            return new Tape(leaf, _layers[l].Forward(leaf, placed, own, l == last));
        }
    }

    private (double[] Losses, bool[] Correct) Evaluate(PackedBatch batch, LoraAdapter? adapter)
    {
        using var scope = NewDisposeScope();
        using var none = no_grad();
        using DeviceAdapter? own = Own(adapter);
        DeviceBatch placed = Place(batch);
        Tensor x = Embed(placed, own); // [N, D]
        for (int l = 0; l < _layers.Length; l++)
        {
            Tensor next = _layers[l].Forward(x, placed, own, l == _layers.Length - 1);
            x.Dispose();
            x = next;
        }
        return LabelLosses(Norm(x.index_select(0, placed.RowOfLabel), _finalNorm, _config.NormEpsilon), HeadOf(own), batch.Labels, null, null);
    }

    /// <summary>−log p of each label and whether it was the likeliest, in chunks: the logits of all labels never exist at once.</summary>
    /// <param name="normed">[M, D]</param>
    /// <param name="scales">Of each label's gradient; needed with <paramref name="dNormed"/> alone.</param>
    /// <param name="dNormed">[M, D], receives the gradient.</param>
    private (double[] Losses, bool[] Correct) LabelLosses(Tensor normed, Tensor head, int[] labels, float[]? scales, Tensor? dNormed)
    {
        var losses = new double[labels.Length];
        var correct = new bool[labels.Length];
        for (int start = 0; start < labels.Length; start += ModelMemory.ChunkLabels)
        {
            using var scope = NewDisposeScope();
            int count = Math.Min(ModelMemory.ChunkLabels, labels.Length - start);
            Tensor part = normed.narrow(0, start, count).detach().requires_grad_(dNormed is not null); // [m, D]
            Tensor target = tensor(labels.AsSpan(start, count).ToArray(), dtype: int64).to(_device);   // [m]
            Tensor logits = Logits(part, head);                                                       // [m, V]
            Tensor ofLabels = nn.functional.cross_entropy(logits, target, reduction: nn.Reduction.None);
            if (dNormed is not null)
            {
                autograd.backward([ofLabels], [tensor(scales!.AsSpan(start, count).ToArray()).to(_device)]);
                dNormed.narrow(0, start, count).copy_(part.grad!);
            }
            Tensor likeliest = logits.gather(1, target.unsqueeze(1)).squeeze(1).ge(logits.amax([1]));
            float[] chunk = ofLabels.detach().to(CPU).data<float>().ToArray();
            bool[] right = likeliest.to(CPU).data<bool>().ToArray();
            for (int i = 0; i < count; i++)
                (losses[start + i], correct[start + i]) = (chunk[i], right[i]);
        }
        return (losses, correct);
    }

    private Tensor Logits(Tensor normed, Tensor head)
    {
        Tensor logits = nn.functional.linear(normed, head).TimesInPlace(_config.LogitMultiplier);
        return _config.LogitSoftcap is { } cap ? logits.Times(1 / cap).tanh().Times(cap) : logits;
    }

    /// <returns>[N, D]</returns>
    private Tensor Embed(DeviceBatch batch, DeviceAdapter? adapter) =>
        (adapter?.Embedding is { } own ? adapter.Of(own.Weight) : _embedding).index_select(0, batch.Tokens).Times(_config.EmbeddingMultiplier);

    private Tensor HeadOf(DeviceAdapter? adapter) => adapter?.Head is { } own ? adapter.Of(own.Weight) : _head;

    private DeviceAdapter? Own(LoraAdapter? adapter) => adapter is null ? null : new DeviceAdapter(adapter, _device, learns: false);

    private DeviceBatch Place(PackedBatch batch) => new(batch, _decoder.Rope, _decoder.AttentionShape, _device);

    /// <inheritdoc cref="RmsNorm"/>
    public static Tensor Norm(Tensor x, Tensor weight, double epsilon) => x * x.square().mean([-1], keepdim: true).PlusInPlace(epsilon).rsqrt() * weight;

    public override void Dispose()
    {
        foreach (DeviceLayer layer in _layers)
            layer.Dispose();
        foreach (Tensor weight in new[] { _embedding, _head, _finalNorm })
            weight.Dispose();
    }

    /// <summary>A layer's input, a leaf, and its output.</summary>
    private readonly record struct Tape(Tensor Input, Tensor Output);
}
