using Hone.Training.Kernels;
using Hone.Training.Lora;
using Hone.Training.Training;
using static TorchSharp.torch;

namespace Hone.Training.Model;

/// <summary>The norms of a block; null where the family has none there.</summary>
internal sealed record LayerNorms(RmsNorm? BeforeAttention, HeadNorm? Heads, RmsNorm? AfterAttention, RmsNorm? BeforeFeedForward, RmsNorm? AfterFeedForward) : IDisposable
{
    public void Dispose()
    {
        foreach (IDisposable? norm in new IDisposable?[] { BeforeAttention, Heads, AfterAttention, BeforeFeedForward, AfterFeedForward })
            norm?.Dispose();
    }
}

/// <summary>
/// One block: <c>x + m·norm(o(attention(rope(norm(qkv(norm(x)))))))</c>, then <c>x + m·norm(feedforward(norm(x)))</c>, with those norms that the family has.
/// The backward pass is written by hand: the base is frozen, so only inputs and adapters have gradients, and only what they need is kept.
/// </summary>
internal sealed class DecoderLayer(
    int index, AttentionShape shape, double residualMultiplier, LayerNorms norms, LoraLinear qkv, LoraLinear output, FeedForward feedForward) : IDisposable
{
    private readonly int _turnedHeads = shape.Heads + shape.KeyValueHeads;

    public LayerNorms Norms => norms;

    public LoraLinear Qkv => qkv;

    public LoraLinear Output => output;

    public FeedForward FeedForward => feedForward;

    public IEnumerable<LoraLinear> Projections => [qkv, output, .. feedForward.Projections];

    /// <param name="x">[N, D]; not changed.</param>
    /// <returns>[N, D]</returns>
    public Tensor Forward(Tensor x, LayerPositions positions, Attention attention, IReadOnlyList<AdapterRows> adapters) =>
        Forward(x, positions, attention, _ => adapters, null, null);

    /// <summary>The same, keeping what <see cref="Backward"/> needs.</summary>
    /// <param name="saved">Null while evaluating.</param>
    /// <param name="wanted">[U] int64: the tokens whose result anybody reads; null: all. Behind the attention the others are not computed.</param>
    /// <returns>[N, D] or [U, D]</returns>
    public Tensor Forward(Tensor x, LayerPositions positions, PrefixTreeAttention attention, LoraAdapter? adapter, SavedLayer? saved, Tensor? wanted) =>
        Forward(x, positions, attention, rows => adapter is null ? [] : [new AdapterRows(adapter, 0, rows)], saved, wanted);

    private Tensor Forward(Tensor x, LayerPositions positions, Attention attention, Func<long, IReadOnlyList<AdapterRows>> adapters, SavedLayer? saved, Tensor? wanted)
    {
        using var scope = NewDisposeScope();
        Tensor normed = Norm(norms.BeforeAttention, x, saved?.BeforeAttention);
        Tensor projected = qkv.Forward(normed, adapters(x.size(0)), saved?.QkvInput);           // [N, (H + 2K)·d]
        norms.Heads?.Forward(projected, saved?.HeadNorm);
        positions.Turn(projected, _turnedHeads, shape);
        Tensor attended = attention.Forward(index, projected, saved?.Attention);                 // [N, H·d]
        Tensor passed = x;
        if (wanted is not null)
            (attended, passed) = (attended.index_select(0, wanted), x.index_select(0, wanted));  // [U, …] from here on
        IReadOnlyList<AdapterRows> rows = adapters(passed.size(0));
        Tensor answer = Norm(norms.AfterAttention, output.Forward(attended, rows, saved?.Output), saved?.AfterAttention);
        Tensor middle = Added(answer, passed);                                                   // [N, D]
        Tensor normed2 = Norm(norms.BeforeFeedForward, middle, saved?.BeforeFeedForward);
        Tensor answer2 = Norm(norms.AfterFeedForward, feedForward.Forward(normed2, rows, saved?.FeedForward), saved?.AfterFeedForward);
        Tensor result = Added(answer2, middle);
        saved?.Keep(x, projected, attended, middle);
        return result.MoveToOuterDisposeScope();
    }

    /// <summary>Adds to the adapter's gradients.</summary>
    /// <param name="dy">[N, D], or [U, D] where only some tokens were wanted.</param>
    /// <returns>dx [N, D], or null where nothing below is adapted.</returns>
    public Tensor? Backward(Tensor dy, LayerPositions positions, PrefixTreeAttention attention, LoraAdapter adapter, SavedLayer saved, Tensor? wanted, bool needsInput)
    {
        using var scope = NewDisposeScope();
        Tensor dAnswer2 = BackwardAfter(norms.AfterFeedForward, Scaled(dy), saved.AfterFeedForward);
        Tensor dNormed2 = feedForward.Backward(dAnswer2, () => Again(norms.BeforeFeedForward, saved.Middle, saved.BeforeFeedForward), adapter, saved.FeedForward);
        Tensor dMiddle = BackwardBefore(norms.BeforeFeedForward, dNormed2, saved.Middle, saved.BeforeFeedForward, dy);

        Tensor dAnswer = BackwardAfter(norms.AfterAttention, Scaled(dMiddle), saved.AfterAttention);
        Tensor dAttended = output.Backward(dAnswer, saved.Attended, adapter, saved.Output, needsInput: true)!;
        if (wanted is not null)
        {
            dAttended = TensorPool.Zeros(saved.Qkv.size(0), dAttended.size(1)).index_copy_(0, wanted, dAttended);
            dMiddle = TensorPool.ZerosLike(saved.Input).index_copy_(0, wanted, dMiddle);
        }
        Tensor dQkv = attention.Backward(index, dAttended, saved.Qkv, saved.Attention);          // [N, (H + 2K)·d]
        positions.TurnBack(dQkv, _turnedHeads, shape);
        norms.Heads?.Backward(dQkv, saved.HeadNorm);
        Tensor? dNormed = qkv.Backward(dQkv, Again(norms.BeforeAttention, saved.Input, saved.BeforeAttention), adapter, saved.QkvInput, needsInput);
        return dNormed is null ? null : BackwardBefore(norms.BeforeAttention, dNormed, saved.Input, saved.BeforeAttention, dMiddle).MoveToOuterDisposeScope();
    }

    private Tensor Added(Tensor answer, Tensor x)
    {
        using Profile.Measure measured = Profile.Of(Operation.Residual);
        return (residualMultiplier == 1 ? answer : answer.TimesInPlace(residualMultiplier)).PlusInPlace(x);
    }

    private Tensor Scaled(Tensor dy) => residualMultiplier == 1 ? dy : TensorPool.Clone(dy).TimesInPlace(residualMultiplier);

    private static Tensor Norm(RmsNorm? norm, Tensor x, SavedNorm? saved)
    {
        if (norm is null)
            return x;
        (Tensor y, Tensor inverseRms) = norm.Forward(x);
        saved?.Keep(x, inverseRms);
        return y;
    }

    private static Tensor Again(RmsNorm? norm, Tensor x, SavedNorm saved) => norm is null ? x : norm.Apply(x, saved.InverseRms!);

    /// <summary>Through a norm whose input is a sum: <paramref name="passed"/> is the gradient that passes it by.</summary>
    private static Tensor BackwardBefore(RmsNorm? norm, Tensor dy, Tensor x, SavedNorm saved, Tensor passed) =>
        norm is null ? TensorPool.Clone(dy).PlusInPlace(passed) : norm.Backward(dy, x, saved.InverseRms!, passed);

    private static Tensor BackwardAfter(RmsNorm? norm, Tensor dy, SavedNorm saved) =>
        norm is null ? dy : norm.Backward(dy, saved.Input!, saved.InverseRms!, TensorPool.ZerosLike(dy));

    public void Dispose()
    {
        norms.Dispose();
        qkv.Dispose();
        output.Dispose();
        feedForward.Dispose();
    }
}

/// <summary>What one layer keeps of its forward pass, about (2·D + H·d + (H + 2K)·d + 2F) numbers a token, and 2·D with norms behind its halves.</summary>
internal sealed class SavedLayer : IDisposable
{
    public SavedNorm BeforeAttention { get; private set; } = new(keepsInput: false);
    public SavedHeadNorm HeadNorm { get; private set; } = new();
    public SavedProjection QkvInput { get; private set; } = new();
    public SavedAttention Attention { get; private set; } = new();
    public SavedProjection Output { get; private set; } = new();
    public SavedNorm AfterAttention { get; private set; } = new(keepsInput: true);
    public SavedNorm BeforeFeedForward { get; private set; } = new(keepsInput: false);
    public SavedFeedForward FeedForward { get; private set; } = new();
    public SavedNorm AfterFeedForward { get; private set; } = new(keepsInput: true);
    public Tensor Input { get; private set; } = null!;

    /// <summary>Queries and keys turned.</summary>
    public Tensor Qkv { get; private set; } = null!;
    public Tensor Attended { get; private set; } = null!;
    public Tensor Middle { get; private set; } = null!;

    public void Keep(Tensor input, Tensor qkv, Tensor attended, Tensor middle)
    {
        Input = input.DetachFromDisposeScope();
        Qkv = qkv.DetachFromDisposeScope();
        Attended = attended.DetachFromDisposeScope();
        Middle = middle.DetachFromDisposeScope();
    }

    /// <summary>All that can be computed again goes.</summary>
    public void KeepInputAlone()
    {
        DisposeComputed();
        (BeforeAttention, BeforeFeedForward) = (new SavedNorm(keepsInput: false), new SavedNorm(keepsInput: false));
        (AfterAttention, AfterFeedForward) = (new SavedNorm(keepsInput: true), new SavedNorm(keepsInput: true));
        (HeadNorm, Attention, FeedForward) = (new SavedHeadNorm(), new SavedAttention(), new SavedFeedForward());
        (QkvInput, Output) = (new SavedProjection(), new SavedProjection());
    }

    private void DisposeComputed()
    {
        foreach (IDisposable? part in new IDisposable?[] { BeforeAttention, HeadNorm, QkvInput, Attention, Output, AfterAttention, BeforeFeedForward, FeedForward, AfterFeedForward, Qkv, Attended, Middle })
            part?.Dispose();
    }

    public void Dispose()
    {
        DisposeComputed();
        Input?.Dispose();
    }
}

internal sealed class SavedNorm(bool keepsInput) : IDisposable
{
    /// <summary>Where nobody else keeps it.</summary>
    public Tensor? Input { get; private set; }
    public Tensor? InverseRms { get; private set; }

    public void Keep(Tensor input, Tensor inverseRms)
    {
        if (keepsInput)
            Input = input.DetachFromDisposeScope();
        InverseRms = inverseRms.DetachFromDisposeScope();
    }

    public void Dispose()
    {
        Input?.Dispose();
        InverseRms?.Dispose();
    }
}
