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
    int index, AttentionShape shape,
    RmsNorm inputNorm, LoraLinear qkv, LoraLinear output, RmsNorm postAttentionNorm, LoraLinear gateUp, LoraLinear down) : IDisposable
{
    private readonly int _turnedHeads = shape.Heads + shape.KeyValueHeads;

    public IEnumerable<LoraLinear> Projections => [qkv, output, gateUp, down];

    /// <param name="x">[N, D]; not changed.</param>
    /// <returns>[N, D]</returns>
    public Tensor Forward(Tensor x, RopeAngles angles, Attention attention, IReadOnlyList<AdapterRows> adapters)
    {
        using var scope = NewDisposeScope();
        Tensor projected = qkv.Forward(inputNorm.Forward(x).Y, adapters); // [N, (H + 2K)·d]
        angles.Rotate(projected, _turnedHeads, shape.HeadDim);
        Tensor middle = output.Forward(attention.Forward(index, projected), adapters).add_(x);
        Tensor hidden = SwiGlu.Forward(gateUp.Forward(postAttentionNorm.Forward(middle).Y, adapters)); // [N, F]
        return down.Forward(hidden, adapters).add_(middle).MoveToOuterDisposeScope();
    }

    /// <summary>The same, keeping what <see cref="Backward"/> needs.</summary>
    /// <param name="wanted">[U] int64: the tokens whose result anybody reads; null: all. Behind the attention the others are not computed.</param>
    /// <returns>[N, D] or [U, D]</returns>
    public Tensor Forward(Tensor x, RopeAngles angles, PrefixTreeAttention attention, LoraAdapter? adapter, SavedLayer? saved, Tensor? wanted)
    {
        using var scope = NewDisposeScope();
        (Tensor normed, Tensor inverseRms) = inputNorm.Forward(x);
        Tensor projected = qkv.Forward(normed, All(x), saved?.QkvInput); // [N, (H + 2K)·d]
        angles.Rotate(projected, _turnedHeads, shape.HeadDim);
        Tensor attended = attention.Forward(projected, saved?.Attention); // [N, H·d]
        Tensor passed = x;
        if (wanted is not null)
            (attended, passed) = (attended.index_select(0, wanted), x.index_select(0, wanted)); // [U, …] from here on
        Tensor middle = output.Forward(attended, All(attended), saved?.Output).add_(passed); // [N, D]
        (Tensor normed2, Tensor inverseRms2) = postAttentionNorm.Forward(middle);
        Tensor gate = gateUp.Forward(normed2, All(normed2), saved?.GateUp); // [N, 2F]
        Tensor unit = SwiGlu.Forward(gate);
        Tensor result = down.Forward(unit, All(unit), saved?.Down).add_(middle); // [N, D]
        saved?.Keep(x, inverseRms, projected, attended, middle, inverseRms2, gate);
        return result.MoveToOuterDisposeScope();

        AdapterRows[] All(Tensor rows) => adapter is null ? [] : [new AdapterRows(adapter, 0, rows.shape[0])];
    }

    /// <summary>Adds to the adapter's gradients.</summary>
    /// <param name="dy">[N, D], or [U, D] where only some tokens were wanted.</param>
    /// <returns>dx [N, D], or null where nothing below is adapted.</returns>
    public Tensor? Backward(Tensor dy, RopeAngles angles, PrefixTreeAttention attention, LoraAdapter adapter, SavedLayer saved, Tensor? wanted, bool needsInput)
    {
        using var scope = NewDisposeScope();
        // The unit's output is not kept: its gradient makes it again on the way.
        Tensor? du = down.BackwardProjected(dy, adapter, saved.Down);
        (Tensor dGateUp, Tensor unit) = SwiGlu.Backward(down.BackwardInput(dy, du, adapter, saved.Down), saved.GateUpOutput);
        down.BackwardA(du, unit, adapter);

        Tensor normed2 = postAttentionNorm.Apply(saved.Middle, saved.InverseRms2);
        Tensor dNormed2 = gateUp.Backward(dGateUp, normed2, adapter, saved.GateUp, needsInput: true)!;
        Tensor dMiddle = postAttentionNorm.Backward(dNormed2, saved.Middle, saved.InverseRms2, dy);

        Tensor dAttended = output.Backward(dMiddle, saved.Attended, adapter, saved.Output, needsInput: true)!;
        if (wanted is not null)
        {
            dAttended = zeros(saved.Qkv.shape[0], dAttended.shape[1]).index_copy_(0, wanted, dAttended);
            dMiddle = zeros_like(saved.Input).index_copy_(0, wanted, dMiddle);
        }
        Tensor dQkv = attention.Backward(dAttended, saved.Qkv, saved.Attention); // [N, (H + 2K)·d]
        angles.RotateBack(dQkv, _turnedHeads, shape.HeadDim);
        Tensor normed = inputNorm.Apply(saved.Input, saved.InverseRms);
        Tensor? dNormed = qkv.Backward(dQkv, normed, adapter, saved.QkvInput, needsInput);
        return dNormed is null ? null : inputNorm.Backward(dNormed, saved.Input, saved.InverseRms, dMiddle).MoveToOuterDisposeScope();
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

/// <summary>What one layer keeps of its forward pass, about (2·D + H·d + (H + 2K)·d + 2F) numbers a token.</summary>
internal sealed class SavedLayer : IDisposable
{
    public SavedProjection QkvInput { get; } = new();
    public SavedProjection Output { get; } = new();
    public SavedProjection GateUp { get; } = new();
    public SavedProjection Down { get; } = new();
    public SavedAttention Attention { get; } = new();
    public Tensor Input { get; private set; } = null!;
    public Tensor InverseRms { get; private set; } = null!;

    /// <summary>Queries and keys turned.</summary>
    public Tensor Qkv { get; private set; } = null!;
    public Tensor Attended { get; private set; } = null!;
    public Tensor Middle { get; private set; } = null!;
    public Tensor InverseRms2 { get; private set; } = null!;
    public Tensor GateUpOutput { get; private set; } = null!;

    public void Keep(Tensor input, Tensor inverseRms, Tensor qkv, Tensor attended, Tensor middle, Tensor inverseRms2, Tensor gateUp)
    {
        Input = input.DetachFromDisposeScope();
        InverseRms = inverseRms.DetachFromDisposeScope();
        Qkv = qkv.DetachFromDisposeScope();
        Attended = attended.DetachFromDisposeScope();
        Middle = middle.DetachFromDisposeScope();
        InverseRms2 = inverseRms2.DetachFromDisposeScope();
        GateUpOutput = gateUp.DetachFromDisposeScope();
    }

    public void Dispose()
    {
        foreach (IDisposable? part in new IDisposable?[] { QkvInput, Output, GateUp, Down, Attention, Input, InverseRms, Qkv, Attended, Middle, InverseRms2, GateUpOutput })
            part?.Dispose();
    }
}
