using Hone.Training.Kernels;
using static TorchSharp.torch;
using TensorPrimitives = System.Numerics.Tensors.TensorPrimitives;

namespace Hone.Training.Model;

/// <summary>From hidden states to logits: <c>z = m · x Wᵀ</c>, and <c>c · tanh(z / c)</c> where the model caps them.</summary>
/// <param name="weight">W [V, D]</param>
/// <param name="gradient">Where W is trained: receives dW [V, D].</param>
internal sealed class OutputHead(FrozenWeight weight, double multiplier, double? softcap, Tensor? gradient = null) : IDisposable
{
    private const int TanhSlot = 0;

    public int Vocabulary => weight.Rows;

    /// <param name="normed">[M, D]</param>
    /// <returns>[M, V]</returns>
    public Tensor Forward(Tensor normed)
    {
        Tensor logits = TensorPool.Empty(normed.size(0), Vocabulary);
        Matrix rows = Matrix.Of(logits);
        Run(Matrix.Of(normed), rows);
        if (softcap is not null)
            Cores.For(rows.Rows, r => Cap(rows.Row(r)));
        return logits;
    }

    /// <summary>Logits before the cap.</summary>
    public void Run(Matrix normed, Matrix logits)
    {
        using Profile.Measure measured = Profile.Of(Operation.Head, normed.Rows);
        weight.ForBlocks((row, block) => MatrixProduct.Run(logits.ColumnRange(row, block.Rows), false, new ProductTerm(normed, block, Transposed: true, (float)multiplier)));
    }

    /// <summary>A row's cap, in place.</summary>
    public void Cap(Span<float> logits)
    {
        if (softcap is { } cap)
            Attention.Cap(logits, cap);
    }

    /// <summary>A row's logits as the cap leaves them; kept by the thread until its next row, for <see cref="BackwardCap"/>.</summary>
    public Matrix Keep(Span<float> capped)
    {
        Matrix kept = Scratch.Take(TanhSlot, 1, softcap is null ? 0 : capped.Length);
        if (softcap is not null)
            capped.CopyTo(kept.Row(0));
        return kept;
    }

    /// <summary>The gradient before the cap from that behind it, in place: times <c>1 − (z / c)²</c>.</summary>
    public void BackwardCap(Span<float> gradient, Matrix kept)
    {
        if (softcap is not { } cap)
            return;
        Span<float> t = kept.Row(0);
        TensorPrimitives.Multiply(t, (float)(1 / cap), t);
        TensorPrimitives.Multiply(t, t, t);
        TensorPrimitives.Multiply(t, gradient, t);
        TensorPrimitives.Subtract(gradient, t, gradient);
    }

    /// <summary>dx from the gradient of the logits before the cap; adds dW where W is trained.</summary>
    /// <param name="dLogits">[M, V], or wider.</param>
    public void Backward(Tensor dLogits, Matrix normed, Matrix dNormed)
    {
        Matrix rows = Matrix.Of(dLogits).ColumnRange(0, Vocabulary);
        weight.ForBlocks((row, block) => MatrixProduct.Run(dNormed, row > 0, new ProductTerm(rows.ColumnRange(row, block.Rows), block, Transposed: false, (float)multiplier)));
        if (gradient is null)
            return;
        using Tensor turned = dLogits.narrow(1, 0, Vocabulary).t().contiguous(); // [V, M]
        MatrixProduct.Run(Matrix.Of(gradient), true, new ProductTerm(Matrix.Of(turned), normed, Transposed: false, (float)multiplier));
    }

    public void Dispose() => weight.Dispose();
}
