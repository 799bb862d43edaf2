using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Hone.Formats.Models;
using Hone.Training.Kernels;
using static TorchSharp.torch;

namespace Hone.Training.Model;

/// <summary>
/// The gated unit of the feed-forward block for any activation: <c>h = f(gate) · up</c>. GELU's tanh form is <c>x · σ(z)</c> with
/// <c>z = 2·√(2/π)·(x + 0.044715·x³)</c>, which SiLU is with <c>z = x</c>.
/// </summary>
internal sealed unsafe class GatedUnit(Activation activation)
{
    private const int SmallestRange = 4;
    private const float Linear = 1.5957691216057308f;          // 2·√(2/π)
    private const float Cubic = 0.044715f * 1.5957691216057308f;

    /// <param name="gateUp">[N, 2F]: gate, then up.</param>
    /// <returns>[N, F]</returns>
    public Tensor Forward(Tensor gateUp)
    {
        using Profile.Measure measured = Profile.Of(Operation.GatedUnit);
        if (activation == Activation.Silu)
            return SwiGlu.Forward(gateUp);
        if (activation == Activation.Gelu)
            return Exact(gateUp).H;
        Tensor h = TensorPool.Empty(gateUp.size(0), gateUp.size(1) / 2);
        Matrix source = Matrix.Of(gateUp), target = Matrix.Of(h);
        Cores.ForRanges(source.Rows, SmallestRange, (start, end) =>
        {
            for (int n = start; n < end; n++)
                Row(null, source.Data + n * source.Stride, null, target.Data + n * target.Stride, target.Columns);
        });
        return h;
    }

    /// <summary>The gradient of gate and up from that of h; also h again, which the weight's gradient needs.</summary>
    /// <returns>[N, 2F] and [N, F]</returns>
    public (Tensor DGateUp, Tensor H) Backward(Tensor dh, Tensor gateUp)
    {
        using Profile.Measure measured = Profile.Of(Operation.GatedUnit);
        if (activation == Activation.Silu)
            return SwiGlu.Backward(dh, gateUp);
        if (activation == Activation.Gelu)
        {
            (Tensor exact, Tensor slope, Tensor value) = Exact(gateUp);
            Tensor up = gateUp.narrow(1, exact.size(1), exact.size(1));
            return (cat([slope.mul_(up).mul_(dh), value.mul_(dh)], 1), exact);
        }
        Tensor dGateUp = TensorPool.EmptyLike(gateUp), h = TensorPool.EmptyLike(dh);
        Matrix upper = Matrix.Of(dh), source = Matrix.Of(gateUp), target = Matrix.Of(dGateUp), unit = Matrix.Of(h);
        Cores.ForRanges(source.Rows, SmallestRange, (start, end) =>
        {
            for (int n = start; n < end; n++)
                Row(upper.Data + n * upper.Stride, source.Data + n * source.Stride, target.Data + n * target.Stride, unit.Data + n * unit.Stride, unit.Columns);
        });
        return (dGateUp, h);
    }

    /// <summary>GELU with the error function: h, f′(gate) and f(gate).</summary>
    private static (Tensor H, Tensor Slope, Tensor Value) Exact(Tensor gateUp)
    {
        long width = gateUp.size(1) / 2;
        Tensor gate = gateUp.narrow(1, 0, width), up = gateUp.narrow(1, width, width);
        Tensor share = special.erf(gate.Times(Math.Sqrt(0.5))).PlusInPlace(1).TimesInPlace(0.5); // Φ(gate)
        Tensor density = gate.square().TimesInPlace(-0.5).exp_().TimesInPlace(1 / Math.Sqrt(2 * Math.PI));
        Tensor value = gate.mul(share);
        return (value.mul(up), share.Plus(density.mul_(gate)), value);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Row(float* dh, float* gateUp, float* dGateUp, float* h, int width)
    {
        int i = 0;
        for (; i + 8 <= width; i += 8)
        {
            Vector256<float> x = Vector256.Load(gateUp + i), up = Vector256.Load(gateUp + width + i), square = x * x;
            Vector256<float> e = Exponential.Of(-(x * (Vector256.Create(Linear) + square * Cubic))), s = Vector256<float>.One / (Vector256<float>.One + e), value = x * s;
            (value * up).Store(h + i);
            if (dh is null)
                continue;
            Vector256<float> d = Vector256.Load(dh + i), inner = Vector256.Create(Linear) + square * (3 * Cubic);
            (d * up * s * (Vector256<float>.One + x * inner * (e * s))).Store(dGateUp + i);
            (d * value).Store(dGateUp + width + i);
        }
        for (; i < width; i++)
        {
            float x = gateUp[i], up = gateUp[width + i], e = MathF.Min(MathF.Exp(-(x * (Linear + x * x * Cubic))), 1e38f), s = 1 / (1 + e);
            h[i] = x * s * up;
            if (dh is null)
                continue;
            dGateUp[i] = dh[i] * up * s * (1 + x * (Linear + 3 * Cubic * x * x) * (e * s));
            dGateUp[width + i] = dh[i] * x * s;
        }
    }
}
