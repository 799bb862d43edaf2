using Hone.Training.Lora;
using Hone.Training.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace Hone.Training.Model;

/// <summary>
/// One block: <c>x + o(attention(rope(qkv(norm(x)))))</c>, then <c>x + down(swiglu(gate_up(norm(x))))</c>.
/// The backward pass is written by hand: the base is frozen, so only inputs and adapters have gradients, and only what they need is kept.
/// </summary>
internal sealed class DecoderLayer(
    int index, int heads, int keyValueHeads, int headDim,
    RmsNorm inputNorm, LoraLinear qkv, LoraLinear output, RmsNorm postAttentionNorm, LoraLinear gateUp, LoraLinear down) : IDisposable
{
    public IEnumerable<LoraLinear> Projections => [qkv, output, gateUp, down];

    /// <param name="x">[N, D]; not changed.</param>
    /// <returns>[N, D]</returns>
    public Tensor Forward(Tensor x, RopeAngles angles, Attention attention, IReadOnlyList<AdapterRows> adapters)
    {
        using var scope = NewDisposeScope();
        Tensor normed = inputNorm.Forward(x).Y;
        (Tensor q, Tensor k, Tensor v) = SplitHeads(qkv.Forward(normed, adapters), angles);
        Tensor middle = output.Forward(attention.Forward(index, q, k, v), adapters).add_(x);
        Tensor hidden = SwiGlu.Forward(gateUp.Forward(postAttentionNorm.Forward(middle).Y, adapters)); // [N, F]
        return down.Forward(hidden, adapters).add_(middle).MoveToOuterDisposeScope();
    }

    /// <summary>The same, keeping what <see cref="Backward"/> needs.</summary>
    public Tensor Forward(Tensor x, RopeAngles angles, PrefixTreeAttention attention, IReadOnlyList<AdapterRows> adapters, SavedLayer saved)
    {
        using var scope = NewDisposeScope();
        (Tensor normed, Tensor inverseRms) = inputNorm.Forward(x);
        (Tensor q, Tensor k, Tensor v) = SplitHeads(qkv.Forward(normed, adapters, saved.Qkv), angles);
        Tensor attended = attention.Forward(q, k, v, saved.Attention);                    // [N, H·d]
        Tensor middle = output.Forward(attended, adapters, saved.Output).add_(x);         // [N, D]
        (Tensor normed2, Tensor inverseRms2) = postAttentionNorm.Forward(middle);
        Tensor gate = gateUp.Forward(normed2, adapters, saved.GateUp);                    // [N, 2F]
        Tensor result = down.Forward(SwiGlu.Forward(gate), adapters, saved.Down).add_(middle); // [N, D]
        saved.Keep(x, inverseRms, q, k, v, attended, middle, inverseRms2, gate);
        return result.MoveToOuterDisposeScope();
    }

    /// <summary>Adds to the adapter's gradients.</summary>
    /// <param name="dy">[N, D]</param>
    /// <returns>dx [N, D], or null where nothing below is adapted.</returns>
    public Tensor? Backward(Tensor dy, RopeAngles angles, PrefixTreeAttention attention, LoraAdapter adapter, SavedLayer saved, bool needsInput)
    {
        using var scope = NewDisposeScope();
        // The unit's output is not kept: its gradient makes it again on the way.
        Tensor? du = down.BackwardProjected(dy, adapter, saved.Down);
        (Tensor dGateUp, Tensor unit) = SwiGlu.Backward(down.BackwardInput(dy, du, adapter), saved.GateUpOutput);
        down.BackwardA(du, unit, adapter);

        Tensor normed2 = postAttentionNorm.Apply(saved.Middle, saved.InverseRms2);
        Tensor dNormed2 = gateUp.Backward(dGateUp, normed2, adapter, saved.GateUp, needsInput: true)!;
        Tensor dMiddle = postAttentionNorm.Backward(dNormed2, saved.Middle, saved.InverseRms2).add_(dy);

        Tensor dAttended = output.Backward(dMiddle, saved.Attended, adapter, saved.Output, needsInput: true)!;
        (Tensor dq, Tensor dk, Tensor dv) = attention.Backward(dAttended, saved.Q, saved.K, saved.V, saved.Attention);
        long n = dy.shape[0];
        Tensor dQkv = cat([angles.RotateBack(dq).view(n, -1), angles.RotateBack(dk).view(n, -1), dv.view(n, -1)], 1); // [N, (H + 2K)·d]
        Tensor normed = inputNorm.Apply(saved.Input, saved.InverseRms);
        Tensor? dNormed = qkv.Backward(dQkv, normed, adapter, saved.Qkv, needsInput);
        return dNormed is null ? null : inputNorm.Backward(dNormed, saved.Input, saved.InverseRms).add_(dMiddle).MoveToOuterDisposeScope();
    }

    /// <summary>[N, (H + 2K)·d] → rotated q [N, H, d], rotated k [N, K, d], v [N, K, d].</summary>
    private (Tensor Q, Tensor K, Tensor V) SplitHeads(Tensor projected, RopeAngles angles)
    {
        Tensor all = projected.view(projected.shape[0], heads + 2 * keyValueHeads, headDim);
        Tensor v = all.narrow(1, heads + keyValueHeads, keyValueHeads).contiguous();
        return (angles.Rotate(all.narrow(1, 0, heads)), angles.Rotate(all.narrow(1, heads, keyValueHeads)), v);
    }

    public void Dispose()
    {
        inputNorm.Dispose();
        qkv.Dispose();
        output.Dispose();
        postAttentionNorm.Dispose();
        gateUp.Dispose();
        down.Dispose();
    }
}

/// <summary>What one layer keeps of its forward pass, about (3·D + H·d + (H + 2K)·d + 2F) numbers a token.</summary>
internal sealed class SavedLayer : IDisposable
{
    public SavedProjection Qkv { get; } = new();
    public SavedProjection Output { get; } = new();
    public SavedProjection GateUp { get; } = new();
    public SavedProjection Down { get; } = new();
    public SavedAttention Attention { get; } = new();
    public Tensor Input { get; private set; } = null!;
    public Tensor InverseRms { get; private set; } = null!;
    public Tensor Q { get; private set; } = null!;
    public Tensor K { get; private set; } = null!;
    public Tensor V { get; private set; } = null!;
    public Tensor Attended { get; private set; } = null!;
    public Tensor Middle { get; private set; } = null!;
    public Tensor InverseRms2 { get; private set; } = null!;
    public Tensor GateUpOutput { get; private set; } = null!;

    public void Keep(Tensor input, Tensor inverseRms, Tensor q, Tensor k, Tensor v, Tensor attended, Tensor middle, Tensor inverseRms2, Tensor gateUp)
    {
        Input = input.DetachFromDisposeScope();
        InverseRms = inverseRms.DetachFromDisposeScope();
        Q = q.DetachFromDisposeScope();
        K = k.DetachFromDisposeScope();
        V = v.DetachFromDisposeScope();
        Attended = attended.DetachFromDisposeScope();
        Middle = middle.DetachFromDisposeScope();
        InverseRms2 = inverseRms2.DetachFromDisposeScope();
        GateUpOutput = gateUp.DetachFromDisposeScope();
    }

    public void Dispose()
    {
        foreach (IDisposable? part in new IDisposable?[] { Qkv, Output, GateUp, Down, Attention, Input, InverseRms, Q, K, V, Attended, Middle, InverseRms2, GateUpOutput })
            part?.Dispose();
    }
}
