using System.Numerics;
using Hone.Training.Kernels;
using static TorchSharp.torch;

namespace Hone.Training.Training;

/// <summary>
/// AdamW (Loshchilov and Hutter 2017, arXiv:1711.05101) with PyTorch's definition: <c>p ·= 1 − lr·λ</c>, <c>m = β₁m + (1−β₁)g</c>,
/// <c>v = β₂v + (1−β₂)g²</c>, <c>p −= lr/(1−β₁ᵗ) · m / (√v/√(1−β₂ᵗ) + ε)</c>. One pass over the vectors.
/// </summary>
internal sealed class AdamW(long size, double weightDecay) : IDisposable
{
    private const double Beta1 = 0.9, Beta2 = 0.999, Epsilon = 1e-8;
    private const int SmallestRange = 1 << 15;

    /// <summary>[P]</summary>
    public Tensor FirstMoment { get; } = zeros(size).DetachFromDisposeScope();

    /// <summary>[P]</summary>
    public Tensor SecondMoment { get; } = zeros(size).DetachFromDisposeScope();

    /// <param name="step">From 1.</param>
    /// <param name="gradientScale">Multiplies the gradients first: the clipping factor.</param>
    public void Update(Tensor parameters, Tensor gradients, int step, double learningRate, double gradientScale)
    {
        using Profile.Measure measured = Profile.Of(Operation.Optimizer);
        Matrix p = Matrix.Of(parameters), m = Matrix.Of(FirstMoment), v = Matrix.Of(SecondMoment), g = Matrix.Of(gradients);
        float decay = (float)(1 - learningRate * weightDecay), scale = (float)gradientScale;
        float rate = (float)(learningRate / (1 - Math.Pow(Beta1, step))), root = (float)(1 / Math.Sqrt(1 - Math.Pow(Beta2, step)));
        Cores.ForRanges(p.Columns, SmallestRange, (start, end) =>
            Update(p.Row(0)[start..end], m.Row(0)[start..end], v.Row(0)[start..end], g.Row(0)[start..end], decay, rate, root, scale));
    }

    private static void Update(Span<float> p, Span<float> m, Span<float> v, ReadOnlySpan<float> g, float decay, float rate, float root, float scale)
    {
        int i = 0;
        for (; i <= p.Length - Vector<float>.Count; i += Vector<float>.Count)
        {
            Vector<float> gradient = new Vector<float>(g[i..]) * scale;
            Vector<float> first = new Vector<float>(m[i..]) * (float)Beta1 + gradient * (float)(1 - Beta1);
            Vector<float> second = new Vector<float>(v[i..]) * (float)Beta2 + gradient * gradient * (float)(1 - Beta2);
            first.CopyTo(m[i..]);
            second.CopyTo(v[i..]);
            Vector<float> updated = new Vector<float>(p[i..]) * decay - first * rate / (Vector.SquareRoot(second) * root + new Vector<float>((float)Epsilon));
            updated.CopyTo(p[i..]);
        }
        for (; i < p.Length; i++)
        {
            float gradient = g[i] * scale;
            m[i] = m[i] * (float)Beta1 + gradient * (float)(1 - Beta1);
            v[i] = v[i] * (float)Beta2 + gradient * gradient * (float)(1 - Beta2);
            p[i] = p[i] * decay - m[i] * rate / (MathF.Sqrt(v[i]) * root + (float)Epsilon);
        }
    }

    /// <summary>Euclidean norm, summed in float64: over millions of small squares a float32 sum comes out visibly short.</summary>
    public static double Norm(Tensor vector)
    {
        using Profile.Measure measured = Profile.Of(Operation.Optimizer);
        Span<float> values = Matrix.Of(vector).All();
        Vector<double> sum = Vector<double>.Zero;
        int i = 0;
        for (; i <= values.Length - Vector<float>.Count; i += Vector<float>.Count)
        {
            Vector.Widen(new Vector<float>(values[i..]), out Vector<double> low, out Vector<double> high);
            sum += low * low + high * high;
        }
        double total = Vector.Sum(sum);
        for (; i < values.Length; i++)
            total += (double)values[i] * values[i];
        return Math.Sqrt(total);
    }

    public void Dispose()
    {
        FirstMoment.Dispose();
        SecondMoment.Dispose();
    }
}
