using Hone.Training.Kernels;
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
        Tensor y = empty(x.shape[0], weight.shape[0]); // [N, Σout]
        if (bias is not null)
            y.copy_(bias);
        Matrix input = Matrix.Of(x), output = Matrix.Of(y);
        var frozen = new ProductTerm(input, Matrix.Of(weight), Transposed: true);
        if (adapters is [{ Start: 0 } only] && only.Length == input.Rows && only.Adapter.Group(shape.Name) is { } whole)
        {
            MatrixProduct.Run(output, bias is not null, [frozen, .. Low(whole, x, only.Adapter, saved)]);
            return y;
        }
        MatrixProduct.Run(output, bias is not null, frozen);
        foreach (AdapterRows rows in adapters)
        {
            if (rows.Adapter.Group(shape.Name) is { } group)
                MatrixProduct.Run(output.RowRange((int)rows.Start, (int)rows.Length), true, Low(group, x.narrow(0, rows.Start, rows.Length), rows.Adapter, saved));
        }
        return y;
    }

    /// <summary>The adapter's terms of the product: <c>s · u Bᵀ</c> for each module.</summary>
    private ProductTerm[] Low(LoraGroup group, Tensor x, LoraAdapter adapter, SavedProjection? saved)
    {
        Tensor u = empty(x.shape[0], group.A.shape[0]); // [n, Σr]
        Matrix low = Matrix.Of(u);
        MatrixProduct.Run(low, false, new ProductTerm(Matrix.Of(Dropped(x, adapter, training: saved is not null)), Matrix.Of(group.A), Transposed: true));
        if (saved is not null)
            saved.U = u.DetachFromDisposeScope();
        return [.. group.Parts.Select(p => new ProductTerm(low.ColumnRange(p.RankOffset, p.Rank), Matrix.Of(p.B), Transposed: true, (float)p.Scale, p.OutOffset))];
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
        Tensor du = empty(dy.shape[0], group.A.shape[0]), uTurned = saved.U!.t().contiguous(); // [N, Σr], [Σr, N]
        Matrix upper = Matrix.Of(dy), low = Matrix.Of(du), turned = Matrix.Of(uTurned);
        foreach (LoraPart part in group.Parts)
        {
            Matrix dyPart = upper.ColumnRange(part.OutOffset, part.Out); // [N, out]
            using Tensor dB = empty(part.Rank, part.Out);
            MatrixProduct.Run(Matrix.Of(dB), false, new ProductTerm(turned.RowRange(part.RankOffset, part.Rank), dyPart, Transposed: false, (float)part.Scale));
            part.GradB!.add_(dB.t());
            MatrixProduct.Run(low.ColumnRange(part.RankOffset, part.Rank), false, new ProductTerm(dyPart, Matrix.Of(part.B), Transposed: false, (float)part.Scale));
        }
        return du;
    }

    /// <summary>Adds dA.</summary>
    public void BackwardA(Tensor? du, Tensor x, LoraAdapter adapter)
    {
        if (du is null)
            return;
        using Tensor turned = du.t().contiguous(); // [Σr, N]
        MatrixProduct.Run(Matrix.Of(adapter.Group(shape.Name)!.GradA!), true, new ProductTerm(Matrix.Of(turned), Matrix.Of(Dropped(x, adapter, training: true)), Transposed: false));
    }

    /// <summary>dx [N, in].</summary>
    public Tensor BackwardInput(Tensor dy, Tensor? du, LoraAdapter adapter)
    {
        Tensor dx = empty(dy.shape[0], weight.shape[1]);
        var frozen = new ProductTerm(Matrix.Of(dy), Matrix.Of(weight), Transposed: false);
        if (du is null)
        {
            MatrixProduct.Run(Matrix.Of(dx), false, frozen);
            return dx;
        }
        var low = new ProductTerm(Matrix.Of(du), Matrix.Of(adapter.Group(shape.Name)!.A), Transposed: false);
        if (adapter.Dropout == 0)
        {
            MatrixProduct.Run(Matrix.Of(dx), false, frozen, low);
            return dx;
        }
        using Tensor masked = empty(dx.shape);
        MatrixProduct.Run(Matrix.Of(dx), false, frozen);
        MatrixProduct.Run(Matrix.Of(masked), false, low);
        return dx.add_(masked.mul_(Mask(dx.shape, adapter)));
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
