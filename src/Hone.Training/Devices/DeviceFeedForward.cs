using Hone.Formats.Models;
using Hone.Training.Kernels;
using Hone.Training.Model;
using static TorchSharp.torch;

namespace Hone.Training.Devices;

/// <summary>The second half of a block on a device, without its norms and its residual.</summary>
internal abstract class DeviceFeedForward(Activation activation) : IDisposable
{
    public static DeviceFeedForward Of(FeedForward part, ModelConfig config, Device device) => part switch
    {
        DenseFeedForward dense => new DeviceDenseFeedForward(dense, config.Activation, device),
        ExpertFeedForward experts => new DeviceExpertFeedForward(experts, config.Experts!, config.Activation, device),
        _ => throw new ArgumentException($"{part.GetType().Name} has no form for a device.", nameof(part)),
    };

    /// <param name="x">[N, D]</param>
    /// <returns>[N, D]</returns>
    public abstract Tensor Forward(Tensor x, DeviceAdapter? adapter);

    /// <summary>f(gate) · up</summary>
    /// <param name="gateUp">[N, 2F]</param>
    protected Tensor Unit(Tensor gateUp)
    {
        long width = gateUp.size(1) / 2;
        Tensor gate = gateUp.narrow(1, 0, width), up = gateUp.narrow(1, width, width);
        return up * activation switch
        {
            Activation.Silu => nn.functional.silu(gate),
            Activation.Gelu => nn.functional.gelu(gate),
            _ => nn.functional.gelu(gate, TorchSharp.Modules.GELU.Approximate.tanh),
        };
    }

    public abstract void Dispose();
}

internal sealed class DeviceDenseFeedForward(DenseFeedForward part, Activation activation, Device device) : DeviceFeedForward(activation)
{
    private readonly DeviceLinear _gateUp = new(part.GateUp, device), _down = new(part.Down, device);

    public override Tensor Forward(Tensor x, DeviceAdapter? adapter) => _down.Forward(Unit(_gateUp.Forward(x, adapter)), adapter);

    public override void Dispose()
    {
        _gateUp.Dispose();
        _down.Dispose();
    }
}

/// <summary><see cref="ExpertFeedForward"/>'s formulas. Which tokens an expert gets is asked of the device once a layer.</summary>
internal sealed class DeviceExpertFeedForward(ExpertFeedForward part, ExpertConfig config, Activation activation, Device device) : DeviceFeedForward(activation)
{
    private readonly Tensor _router = part.Router.to(device).DetachFromDisposeScope(); // [E, D]
    private readonly Tensor[] _gateUp = [.. part.GateUp.Select(w => w.On(device).DetachFromDisposeScope())], _down = [.. part.Down.Select(w => w.On(device).DetachFromDisposeScope())];

    public override Tensor Forward(Tensor x, DeviceAdapter? adapter)
    {
        (Tensor weights, Tensor experts) = DeviceLinear.Product(x, _router).softmax(-1).topk(config.PerToken); // [N, k] each
        if (config.Normalize)
            weights = weights / weights.sum(-1, keepdim: true);
        Tensor flat = weights.reshape(-1, 1), result = zeros_like(x);
        long[] chosen = experts.to(CPU).reshape(-1).data<long>().ToArray();
        foreach (IGrouping<long, int> share in Enumerable.Range(0, chosen.Length).GroupBy(place => chosen[place]))
        {
            Tensor places = tensor([.. share.Select(place => (long)place)]).to(x.device), rows = tensor([.. share.Select(place => (long)(place / config.PerToken))]).to(x.device);
            Tensor answer = DeviceLinear.Product(Unit(DeviceLinear.Product(x.index_select(0, rows), _gateUp[share.Key])), _down[share.Key]); // [n, D]
            result.PlusRowsInPlace(rows, answer * flat.index_select(0, places));
        }
        return result;
    }

    public override void Dispose()
    {
        _router.Dispose();
        foreach (Tensor weight in _gateUp.Concat(_down))
            weight.Dispose();
    }
}
