using Hone.Training.Kernels;
using Hone.Training.Lora;
using static TorchSharp.torch;

namespace Hone.Training.Devices;

/// <summary>
/// An adapter's parameters on a device for one pass: one copy there, and one of the gradients back. A tensor of the adapter is a leaf of the library's tape, made
/// where it is first used.
/// </summary>
internal sealed class DeviceAdapter : IDisposable
{
    private readonly LoraAdapter _adapter;
    private readonly bool _learns;
    private readonly Tensor _parameters; // [P]
    private readonly Dictionary<long, Tensor> _leaves = []; // by their place in the parameters

    /// <param name="learns">The leaves gather gradients, and dropout is on.</param>
    public DeviceAdapter(LoraAdapter adapter, Device device, bool learns)
    {
        (_adapter, _learns) = (adapter, learns);
        _parameters = adapter.Parameters.to(device).DetachFromDisposeScope();
    }

    public WholeMatrix? Embedding => _adapter.Embedding;

    public WholeMatrix? Head => _adapter.Head;

    public LoraGroup? Group(string projection) => _adapter.Group(projection);

    /// <param name="parameter">A view of the adapter's parameters.</param>
    public Tensor Of(Tensor parameter)
    {
        long place = parameter.storage_offset();
        if (!_leaves.TryGetValue(place, out Tensor? leaf))
        {
            using Tensor flat = _parameters.narrow(0, place, parameter.numel()), shaped = flat.view(parameter.shape);
            _leaves[place] = leaf = shaped.detach().requires_grad_(_learns).DetachFromDisposeScope();
        }
        return leaf;
    }

    /// <summary>The input of a projection's A: with dropout while learning.</summary>
    public Tensor Dropped(Tensor x, string projection)
    {
        if (!_learns || _adapter.Dropout == 0)
            return x;
        using Tensor draws = _adapter.DropoutDraws(x.shape, projection, x.device), least = tensor([(float)_adapter.Dropout]).to(x.device);
        return x * draws.ge(least).to(float32).TimesInPlace(1 / (float)(1 - _adapter.Dropout));
    }

    /// <summary>Adds what the leaves have gathered to the adapter's gradients.</summary>
    public void AddGradients()
    {
        using var scope = NewDisposeScope();
        Tensor all = zeros_like(_parameters); // [P]
        foreach ((long place, Tensor leaf) in _leaves)
        {
            if (leaf.grad is { } gradient)
                all.narrow(0, place, leaf.numel()).copy_(gradient.reshape(-1));
        }
        _adapter.Gradients!.PlusInPlace(all.to(CPU));
    }

    public void Dispose()
    {
        foreach (Tensor leaf in _leaves.Values)
            leaf.Dispose();
        _parameters.Dispose();
    }
}
