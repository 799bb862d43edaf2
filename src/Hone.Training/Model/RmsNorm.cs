using TorchSharp;
using static TorchSharp.torch;

namespace Hone.Training.Model;

/// <summary>
/// Root mean square normalisation (Zhang and Sennrich 2019, arXiv:1910.07467) with a frozen weight:
/// <c>y = x / sqrt(mean(x²) + ε) · w</c>, over the last dimension.
/// </summary>
internal sealed class RmsNorm(Tensor weight, double epsilon) : IDisposable
{
    /// <param name="x">[N, D]</param>
    /// <returns>y [N, D] and 1 / rms [N, 1].</returns>
    public (Tensor Y, Tensor InverseRms) Forward(Tensor x)
    {
        Tensor inverse = x.square().mean([-1], keepdim: true).add_(epsilon).rsqrt_(); // [N, 1]
        return (Apply(x, inverse), inverse);
    }

    /// <summary>y again, from the saved 1 / rms.</summary>
    public Tensor Apply(Tensor x, Tensor inverseRms) => x.mul(inverseRms).mul_(weight);

    /// <summary><c>dx = r·g − x·r³·mean(g·x)</c> with <c>g = dy·w</c> and <c>r = 1 / rms</c>.</summary>
    public Tensor Backward(Tensor dy, Tensor x, Tensor inverseRms)
    {
        Tensor g = dy.mul(weight);
        Tensor correction = g.mul(x).mean([-1], keepdim: true).mul_(inverseRms.pow(3)); // [N, 1]
        return g.mul_(inverseRms).addcmul_(x, correction, -1);
    }

    public void Dispose() => weight.Dispose();
}
