using Hone.Training.Kernels;
using Hone.Training.Lora;
using static TorchSharp.torch;

namespace Hone.Training.Devices;

/// <summary><see cref="LoraLinear"/> on a device: the same formulas by the library's operations, the gradients from its tape.</summary>
internal sealed class DeviceLinear(LoraLinear linear, Device device) : IDisposable
{
    private readonly ProjectionShape _shape = linear.Shape;
    private readonly Tensor _weight = linear.Weight.On(device).DetachFromDisposeScope();         // [Σout, in]
    private readonly Tensor? _bias = linear.Bias?.to(device).DetachFromDisposeScope();           // [Σout]

    /// <param name="x">[N, in]</param>
    /// <returns>[N, Σout]</returns>
    public Tensor Forward(Tensor x, DeviceAdapter? adapter)
    {
        Tensor y = Product(x, _weight);
        if (adapter?.Group(_shape.Name) is { } group)
        {
            Tensor u = nn.functional.linear(adapter.Dropped(x, _shape.Name), adapter.Of(group.A));   // [N, Σr]
            Tensor[] modules = [.. _shape.Modules.Select(m =>
            {
                Tensor own = y.narrow(1, m.Offset, m.Out);                                           // [N, out]
                return group.Parts.FirstOrDefault(p => p.Module == m.Name) is { } part ? Adapted(own, u, part, group, adapter) : own;
            })];
            y = modules.Length == 1 ? modules[0] : cat(modules, 1);
        }
        return _bias is null ? y : y.Plus(_bias);
    }

    /// <summary><c>c · (y + s · (u Bᵀ + b))</c></summary>
    private Tensor Adapted(Tensor y, Tensor u, LoraPart part, LoraGroup group, DeviceAdapter adapter)
    {
        Tensor b = adapter.Of(part.B);
        Tensor low = nn.functional.linear(u.narrow(1, part.RankOffset, part.Rank), b);               // [N, out]
        if (part.Bias is not null)
            low = low.Plus(adapter.Of(part.Bias));
        y = y.Plus(low.TimesInPlace(part.Scale));
        if (part.Magnitude is null)
            return y;
        Tensor norms;
        using (no_grad())
        {
            using var scope = NewDisposeScope();
            Tensor a = adapter.Of(group.A).narrow(0, part.RankOffset, part.Rank);
            Tensor adapted = _weight.narrow(0, part.OutOffset, part.Out).to(float32).Plus(b.matmul(a).TimesInPlace(part.Scale)); // W + s·B A
            norms = adapted.square().sum(1).sqrt().MoveToOuterDisposeScope();                        // [out]
        }
        return y * (adapter.Of(part.Magnitude) / norms);
    }

    /// <summary>x Wᵀ; with a bfloat16 weight its input and its result are rounded, its sums are not.</summary>
    public static Tensor Product(Tensor x, Tensor weight) => nn.functional.linear(x.to(weight.dtype), weight).to(float32);

    public void Dispose()
    {
        _weight.Dispose();
        _bias?.Dispose();
    }
}
