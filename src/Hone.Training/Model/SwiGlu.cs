using TorchSharp;
using static TorchSharp.torch;

namespace Hone.Training.Model;

/// <summary>The gated unit of the feed-forward block (Shazeer 2020, arXiv:2002.05202): <c>h = silu(gate) · up</c>.</summary>
internal static class SwiGlu
{
    /// <param name="gateUp">[N, 2F]: gate, then up.</param>
    /// <returns>[N, F]</returns>
    public static Tensor Forward(Tensor gateUp)
    {
        (Tensor gate, Tensor up) = Halves(gateUp);
        return sigmoid(gate).mul_(gate).mul_(up);
    }

    /// <summary><c>dgate = dh·up·σ(gate)·(1 + gate·(1 − σ(gate)))</c>, <c>dup = dh·silu(gate)</c>; also h again, which the weight's gradient needs.</summary>
    public static (Tensor DGateUp, Tensor H) Backward(Tensor dh, Tensor gateUp)
    {
        (Tensor gate, Tensor up) = Halves(gateUp);
        Tensor s = sigmoid(gate);            // [N, F]
        Tensor silu = s.mul(gate);           // [N, F]
        Tensor slope = sigmoid(gate.neg()).mul_(gate).add_(1).mul_(s); // 1 − σ(g) = σ(−g), without cancellation
        Tensor result = empty_like(gateUp);
        (Tensor dGate, Tensor dUp) = Halves(result);
        dGate.copy_(slope.mul_(up).mul_(dh));
        dUp.copy_(s.copy_(silu).mul_(dh));
        return (result, silu.mul_(up));
    }

    private static (Tensor Gate, Tensor Up) Halves(Tensor gateUp)
    {
        long width = gateUp.shape[1] / 2;
        return (gateUp.narrow(1, 0, width), gateUp.narrow(1, width, width));
    }
}
