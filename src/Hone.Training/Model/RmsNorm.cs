using Hone.Training.Kernels;
using static TorchSharp.torch;
using TensorPrimitives = System.Numerics.Tensors.TensorPrimitives;

namespace Hone.Training.Model;

/// <summary>
/// Root mean square normalisation (Zhang and Sennrich 2019, arXiv:1910.07467) with a frozen weight:
/// <c>y = x / sqrt(mean(x²) + ε) · w</c>, over the last dimension.
/// </summary>
internal sealed class RmsNorm(Tensor weight, double epsilon) : IDisposable
{
    private const int SmallestRange = 16;

    /// <summary>[D]</summary>
    public Tensor Weight => weight;

    /// <param name="x">[N, D]</param>
    /// <returns>y [N, D] and 1 / rms [N].</returns>
    public (Tensor Y, Tensor InverseRms) Forward(Tensor x)
    {
        using Profile.Measure measured = Profile.Of(Operation.Norms);
        Tensor inverse = TensorPool.Empty(x.size(0)), y = TensorPool.EmptyLike(x);
        Matrix source = Matrix.Of(x), target = Matrix.Of(y), scale = Matrix.Of(inverse), w = Matrix.Of(weight);
        Cores.ForRanges(source.Rows, SmallestRange, (start, end) =>
        {
            for (int n = start; n < end; n++)
            {
                Span<float> row = source.Row(n);
                float r = (float)(1 / Math.Sqrt((double)TensorPrimitives.SumOfSquares<float>(row) / row.Length + epsilon));
                scale.Row(0)[n] = r;
                Scale(row, r, w.Row(0), target.Row(n));
            }
        });
        return (y, inverse);
    }

    /// <summary>y again, from the saved 1 / rms.</summary>
    public Tensor Apply(Tensor x, Tensor inverseRms)
    {
        using Profile.Measure measured = Profile.Of(Operation.Norms);
        Tensor y = TensorPool.EmptyLike(x);
        Matrix source = Matrix.Of(x), target = Matrix.Of(y), scale = Matrix.Of(inverseRms), w = Matrix.Of(weight);
        Cores.ForRanges(source.Rows, SmallestRange, (start, end) =>
        {
            for (int n = start; n < end; n++)
                Scale(source.Row(n), scale.Row(0)[n], w.Row(0), target.Row(n));
        });
        return y;
    }

    /// <summary><c>dx = r·g − x·r³·mean(g·x)</c> with <c>g = dy·w</c> and <c>r = 1 / rms</c>; added to <paramref name="residual"/>, the gradient that passes the norm by.</summary>
    /// <returns>[N, D]</returns>
    public Tensor Backward(Tensor dy, Tensor x, Tensor inverseRms, Tensor residual)
    {
        using Profile.Measure measured = Profile.Of(Operation.Norms);
        Tensor dx = TensorPool.EmptyLike(x);
        Matrix source = Matrix.Of(x), upper = Matrix.Of(dy), target = Matrix.Of(dx), scale = Matrix.Of(inverseRms), w = Matrix.Of(weight), passed = Matrix.Of(residual);
        Cores.ForRanges(source.Rows, SmallestRange, (start, end) =>
        {
            for (int n = start; n < end; n++)
            {
                Span<float> g = target.Row(n), row = source.Row(n);
                float r = scale.Row(0)[n];
                TensorPrimitives.Multiply(upper.Row(n), w.Row(0), g);
                float correction = -r * r * r * TensorPrimitives.Dot<float>(g, row) / row.Length;
                TensorPrimitives.MultiplyAddEstimate(g, r, passed.Row(n), g);
                TensorPrimitives.MultiplyAddEstimate(row, correction, g, g);
            }
        });
        return dx;
    }

    private static void Scale(ReadOnlySpan<float> x, float r, ReadOnlySpan<float> w, Span<float> y)
    {
        TensorPrimitives.Multiply(x, r, y);
        TensorPrimitives.Multiply(y, w, y);
    }

    public void Dispose() => weight.Dispose();
}
