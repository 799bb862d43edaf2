using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Hone.Training.Kernels;
using static TorchSharp.torch;

namespace Hone.Training.Model;

/// <summary>The gated unit of the feed-forward block (Shazeer 2020, arXiv:2002.05202): <c>h = silu(gate) · up</c>.</summary>
internal static unsafe class SwiGlu
{
    private const int SmallestRange = 4;

    /// <param name="gateUp">[N, 2F]: gate, then up.</param>
    /// <returns>[N, F]</returns>
    public static Tensor Forward(Tensor gateUp)
    {
        Tensor h = TensorPool.Empty(gateUp.size(0), gateUp.size(1) / 2);
        Matrix source = Matrix.Of(gateUp), target = Matrix.Of(h);
        Cores.ForRanges(source.Rows, SmallestRange, (start, end) =>
        {
            for (int n = start; n < end; n++)
                ForwardRow(source.Data + n * source.Stride, target.Data + n * target.Stride, target.Columns);
        });
        return h;
    }

    /// <summary><c>dgate = dh·up·σ(gate)·(1 + gate·(1 − σ(gate)))</c>, <c>dup = dh·silu(gate)</c>; also h again, which the weight's gradient needs.</summary>
    /// <returns>[N, 2F] and [N, F]</returns>
    public static (Tensor DGateUp, Tensor H) Backward(Tensor dh, Tensor gateUp)
    {
        Tensor dGateUp = TensorPool.EmptyLike(gateUp), h = TensorPool.EmptyLike(dh);
        Matrix upper = Matrix.Of(dh), source = Matrix.Of(gateUp), target = Matrix.Of(dGateUp), unit = Matrix.Of(h);
        Cores.ForRanges(source.Rows, SmallestRange, (start, end) =>
        {
            for (int n = start; n < end; n++)
                BackwardRow(upper.Data + n * upper.Stride, source.Data + n * source.Stride, target.Data + n * target.Stride, unit.Data + n * unit.Stride, unit.Columns);
        });
        return (dGateUp, h);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void ForwardRow(float* gateUp, float* h, int width)
    {
        int i = 0;
        for (; Vector512.IsHardwareAccelerated && i + 16 <= width; i += 16)
        {
            Vector512<float> gate = Vector512.Load(gateUp + i), e = Exponential.Of(-gate);
            (gate / (Vector512<float>.One + e) * Vector512.Load(gateUp + width + i)).Store(h + i);
        }
        for (; i + 8 <= width; i += 8)
        {
            Vector256<float> gate = Vector256.Load(gateUp + i), e = Exponential.Of(-gate);
            (gate / (Vector256<float>.One + e) * Vector256.Load(gateUp + width + i)).Store(h + i);
        }
        for (; i < width; i++)
            h[i] = gateUp[i] / (1 + MathF.Exp(-gateUp[i])) * gateUp[width + i];
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void BackwardRow(float* dh, float* gateUp, float* dGateUp, float* h, int width)
    {
        int i = 0;
        for (; Vector512.IsHardwareAccelerated && i + 16 <= width; i += 16)
        {
            Vector512<float> gate = Vector512.Load(gateUp + i), up = Vector512.Load(gateUp + width + i), d = Vector512.Load(dh + i);
            Vector512<float> e = Exponential.Of(-gate), s = Vector512<float>.One / (Vector512<float>.One + e), silu = s * gate;
            (d * up * s * (Vector512<float>.One + gate * (e * s))).Store(dGateUp + i);
            (d * silu).Store(dGateUp + width + i);
            (silu * up).Store(h + i);
        }
        for (; i + 8 <= width; i += 8)
        {
            Vector256<float> gate = Vector256.Load(gateUp + i), up = Vector256.Load(gateUp + width + i), d = Vector256.Load(dh + i);
            Vector256<float> e = Exponential.Of(-gate), s = Vector256<float>.One / (Vector256<float>.One + e), silu = s * gate;
            // 1 − σ(g) = e·σ(g), without cancellation
            (d * up * s * (Vector256<float>.One + gate * (e * s))).Store(dGateUp + i);
            (d * silu).Store(dGateUp + width + i);
            (silu * up).Store(h + i);
        }
        for (; i < width; i++)
        {
            float gate = gateUp[i], up = gateUp[width + i], e = MathF.Min(MathF.Exp(-gate), 1e38f), s = 1 / (1 + e), silu = s * gate;
            dGateUp[i] = dh[i] * up * s * (1 + gate * (e * s));
            dGateUp[width + i] = dh[i] * silu;
            h[i] = silu * up;
        }
    }
}
