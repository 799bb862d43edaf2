using Hone.Training.Kernels;
using static TorchSharp.torch;
using TensorPrimitives = System.Numerics.Tensors.TensorPrimitives;

namespace Hone.Training.Model;

/// <summary>
/// The norm of queries and keys before they turn, in place: <c>y = x / sqrt(mean(x²) + ε) · w</c> over each head, or over all heads together where the weight is
/// as long as they are.
/// </summary>
internal sealed class HeadNorm(Tensor queryWeight, Tensor keyWeight, double epsilon, AttentionShape shape) : IDisposable
{
    private const int SmallestRange = 16;

    private readonly int _queryWidth = (int)queryWeight.shape[0];
    private readonly int _keyWidth = (int)keyWeight.shape[0];

    /// <summary>[d], or [H·d] where all heads are one.</summary>
    public Tensor QueryWeight => queryWeight;

    /// <summary>[d] or [K·d]</summary>
    public Tensor KeyWeight => keyWeight;

    private int QueryUnits => shape.QueryWidth / _queryWidth;

    private int Units => QueryUnits + shape.KeyValueHeads * shape.HeadDim / _keyWidth;

    /// <param name="qkv">[N, (H + 2K)·d]</param>
    /// <param name="saved">Receives the queries and keys before the norm, and 1 / rms.</param>
    public void Forward(Tensor qkv, SavedHeadNorm? saved)
    {
        Tensor inverse = TensorPool.Empty(qkv.size(0), Units);
        if (saved is not null)
        {
            saved.Input = TensorPool.Clone(qkv.narrow(1, 0, shape.KeyColumn(shape.KeyValueHeads))).DetachFromDisposeScope();
            saved.InverseRms = inverse.DetachFromDisposeScope();
        }
        Matrix rows = Matrix.Of(qkv), scale = Matrix.Of(inverse), q = Matrix.Of(queryWeight), k = Matrix.Of(keyWeight);
        Cores.ForRanges(rows.Rows, SmallestRange, (start, end) =>
        {
            for (int n = start; n < end; n++)
            {
                for (int u = 0; u < Units; u++)
                {
                    Span<float> x = Unit(rows.Row(n), u);
                    float r = (float)(1 / Math.Sqrt((double)TensorPrimitives.SumOfSquares<float>(x) / x.Length + epsilon));
                    scale.Row(n)[u] = r;
                    TensorPrimitives.Multiply(x, r, x);
                    TensorPrimitives.Multiply(x, (u < QueryUnits ? q : k).Row(0), x);
                }
            }
        });
    }

    /// <summary><c>dx = r·g − x·r³·mean(g·x)</c> with <c>g = dy·w</c>, in place.</summary>
    public void Backward(Tensor dQkv, SavedHeadNorm saved)
    {
        Matrix rows = Matrix.Of(dQkv), before = Matrix.Of(saved.Input!), scale = Matrix.Of(saved.InverseRms!), q = Matrix.Of(queryWeight), k = Matrix.Of(keyWeight);
        Cores.ForRanges(rows.Rows, SmallestRange, (start, end) =>
        {
            for (int n = start; n < end; n++)
            {
                for (int u = 0; u < Units; u++)
                {
                    Span<float> g = Unit(rows.Row(n), u), x = Unit(before.Row(n), u);
                    float r = scale.Row(n)[u];
                    TensorPrimitives.Multiply(g, (u < QueryUnits ? q : k).Row(0), g);
                    float correction = -r * r * r * TensorPrimitives.Dot<float>(g, x) / x.Length;
                    TensorPrimitives.Multiply(g, r, g);
                    TensorPrimitives.MultiplyAddEstimate(x, correction, g, g);
                }
            }
        });
    }

    private Span<float> Unit(Span<float> row, int unit) =>
        unit < QueryUnits ? row.Slice(unit * _queryWidth, _queryWidth) : row.Slice(shape.QueryWidth + (unit - QueryUnits) * _keyWidth, _keyWidth);

    public void Dispose()
    {
        queryWeight.Dispose();
        keyWeight.Dispose();
    }
}

internal sealed class SavedHeadNorm : IDisposable
{
    /// <summary>[N, (H + K)·d]</summary>
    public Tensor? Input { get; set; }

    /// <summary>[N, units]</summary>
    public Tensor? InverseRms { get; set; }

    public void Dispose()
    {
        Input?.Dispose();
        InverseRms?.Dispose();
    }
}
