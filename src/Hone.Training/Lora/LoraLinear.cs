using TorchSharp;
using static TorchSharp.torch;

namespace Hone.Training.Lora;

/// <summary>Rows [Start, Start + Length) of a batch go through this adapter.</summary>
internal sealed record AdapterRows(LoraAdapter Adapter, long Start, long Length);

/// <summary>
/// One or more linear modules that read the same input, with a frozen stacked weight W [Σout, in] and any adapter on top:
/// <c>y = x Wᵀ + s · (x Aᵀ) Bᵀ</c>. Backward: with <c>u = x Aᵀ</c> and <c>du = s · dy B</c>,
/// <c>dB += s · dyᵀ u</c>, <c>dA += duᵀ x</c>, <c>dx = dy W + du A</c>.
/// </summary>
internal sealed class LoraLinear(ProjectionShape shape, Tensor weight, Tensor? bias = null) : IDisposable
{
    public ProjectionShape Shape => shape;

    /// <param name="x">[N, in]</param>
    /// <param name="saved">Receives <c>x Aᵀ</c> [N, Σr] for the backward pass; at most one adapter then.</param>
    /// <returns>[N, Σout]</returns>
    public Tensor Forward(Tensor x, IReadOnlyList<AdapterRows> adapters, SavedProjection? saved = null)
    {
        Tensor y = nn.functional.linear(x, weight, bias); // [N, Σout]
        foreach (AdapterRows rows in adapters)
        {
            if (rows.Adapter.Group(shape.Name) is not { } group)
                continue;
            bool all = rows.Start == 0 && rows.Length == x.shape[0];
            Tensor input = all ? x : x.narrow(0, rows.Start, rows.Length);
            Tensor output = all ? y : y.narrow(0, rows.Start, rows.Length);
            Tensor u = Dropped(input, rows.Adapter, training: saved is not null).matmul(group.A.t()); // [n, Σr]
            foreach (LoraPart part in group.Parts)
            {
                output.narrow(1, part.OutOffset, part.Out)
                    .addmm_(u.narrow(1, part.RankOffset, part.Rank), part.B.t(), 1, (float)part.Scale);
            }
            if (saved is not null)
                saved.U = u.DetachFromDisposeScope();
        }
        return y;
    }

    /// <summary>Both halves of the backward pass, where the forward pass's input is at hand.</summary>
    /// <param name="dy">[N, Σout]</param>
    /// <param name="x">The forward pass's input [N, in].</param>
    /// <returns>dx [N, in], or null where nobody needs it.</returns>
    public Tensor? Backward(Tensor dy, Tensor x, LoraAdapter adapter, SavedProjection saved, bool needsInput)
    {
        Tensor? du = BackwardProjected(dy, adapter, saved);
        BackwardA(du, x, adapter);
        return needsInput ? BackwardInput(dy, du, adapter) : null;
    }

    /// <summary>Adds dB and returns du [N, Σr]; null where the projection is not adapted.</summary>
    public Tensor? BackwardProjected(Tensor dy, LoraAdapter adapter, SavedProjection saved)
    {
        if (adapter.Group(shape.Name) is not { } group)
            return null;
        Tensor du = empty(dy.shape[0], group.A.shape[0]);
        foreach (LoraPart part in group.Parts)
        {
            Tensor dyPart = dy.narrow(1, part.OutOffset, part.Out); // [N, out]
            part.GradB!.addmm_(dyPart.t(), saved.U!.narrow(1, part.RankOffset, part.Rank), 1, (float)part.Scale);
            du.narrow(1, part.RankOffset, part.Rank).addmm_(dyPart, part.B, 0, (float)part.Scale);
        }
        return du;
    }

    /// <summary>Adds dA.</summary>
    public void BackwardA(Tensor? du, Tensor x, LoraAdapter adapter)
    {
        if (du is not null)
            adapter.Group(shape.Name)!.GradA!.addmm_(du.t(), adapter.Dropout > 0 ? x.mul(Mask(x.shape, adapter)) : x, 1, 1);
    }

    /// <summary>dx [N, in].</summary>
    public Tensor BackwardInput(Tensor dy, Tensor? du, LoraAdapter adapter)
    {
        Tensor dx = dy.matmul(weight);
        if (du is null)
            return dx;
        Tensor a = adapter.Group(shape.Name)!.A;
        return adapter.Dropout > 0 ? dx.add_(du.matmul(a).mul_(Mask(dx.shape, adapter))) : dx.addmm_(du, a, 1, 1);
    }

    private Tensor Dropped(Tensor x, LoraAdapter adapter, bool training) =>
        training && adapter.Dropout > 0 ? x.mul(Mask(x.shape, adapter)) : x;

    /// <summary>0 or 1 / (1 − p); the same in both passes of a step.</summary>
    private Tensor Mask(long[] size, LoraAdapter adapter)
    {
        var random = new SplitMix64((long)adapter.DropoutSeed, shape.Name);
        using var generator = new Generator(random.Next() >> 1);
        return rand(size, generator: generator).ge_(adapter.Dropout).div_(1 - adapter.Dropout);
    }

    public void Dispose()
    {
        weight.Dispose();
        bias?.Dispose();
    }
}

internal sealed class SavedProjection : IDisposable
{
    /// <summary>x Aᵀ [N, Σr]; null where the projection is not adapted.</summary>
    public Tensor? U { get; set; }

    public void Dispose() => U?.Dispose();
}
