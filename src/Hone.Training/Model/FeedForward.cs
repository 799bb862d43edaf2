using Hone.Training.Lora;
using static TorchSharp.torch;

namespace Hone.Training.Model;

/// <summary>The second half of a block, without its norms and its residual.</summary>
internal abstract class FeedForward : IDisposable
{
    /// <summary>The products that an adapter can stand on.</summary>
    public abstract IEnumerable<LoraLinear> Projections { get; }

    /// <param name="x">[N, D]</param>
    /// <param name="saved">Receives what <see cref="Backward"/> needs; null while evaluating.</param>
    /// <returns>[N, D]</returns>
    public abstract Tensor Forward(Tensor x, IReadOnlyList<AdapterRows> adapters, SavedFeedForward? saved);

    /// <summary>Adds to the adapter's gradients.</summary>
    /// <param name="dy">[N, D]</param>
    /// <param name="x">The forward pass's input, [N, D].</param>
    /// <returns>dx [N, D]</returns>
    public abstract Tensor Backward(Tensor dy, Func<Tensor> x, LoraAdapter adapter, SavedFeedForward saved);

    public abstract void Dispose();
}

/// <summary><c>down(f(gate(x)) · up(x))</c></summary>
internal sealed class DenseFeedForward(LoraLinear gateUp, GatedUnit unit, LoraLinear down) : FeedForward
{
    public LoraLinear GateUp => gateUp;

    public LoraLinear Down => down;

    public override IEnumerable<LoraLinear> Projections => [gateUp, down];

    public override Tensor Forward(Tensor x, IReadOnlyList<AdapterRows> adapters, SavedFeedForward? saved)
    {
        Tensor gate = gateUp.Forward(x, adapters, saved?.GateUp); // [N, 2F]
        if (saved is not null)
            saved.GateUpOutput = gate.DetachFromDisposeScope();
        return down.Forward(unit.Forward(gate), adapters, saved?.Down);
    }

    public override Tensor Backward(Tensor dy, Func<Tensor> x, LoraAdapter adapter, SavedFeedForward saved)
    {
        // The unit's output is not kept: its gradient makes it again on the way.
        Tensor? du = down.BackwardProjected(dy, adapter, saved.Down);
        (Tensor dGateUp, Tensor h) = unit.Backward(down.BackwardInput(dy, du, adapter, saved.Down), saved.GateUpOutput!);
        down.BackwardA(du, h, adapter);
        return gateUp.Backward(dGateUp, x(), adapter, saved.GateUp, needsInput: true)!;
    }

    public override void Dispose()
    {
        gateUp.Dispose();
        down.Dispose();
    }
}

internal sealed class SavedFeedForward : IDisposable
{
    public SavedProjection GateUp { get; } = new();
    public SavedProjection Down { get; } = new();

    /// <summary>[N, 2F]; null with experts, which compute it again.</summary>
    public Tensor? GateUpOutput { get; set; }

    public void Dispose()
    {
        GateUp.Dispose();
        Down.Dispose();
        GateUpOutput?.Dispose();
    }
}
