using Hone.Training.Lora;
using Hone.Training.Training;

namespace Hone.Training.Model;

/// <summary>A decoder as a training sees it, wherever it computes. The adapter's parameters and gradients lie in the machine's own memory.</summary>
internal abstract class TrainingDecoder : IDisposable
{
    /// <summary>
    /// Of each layer but the last, the forward pass keeps the input alone, and the backward pass computes the rest again when its turn comes: half as much computing
    /// again and a fraction of the memory.
    /// </summary>
    public bool Recomputes { get; set; }

    /// <summary>Loss of the batch's labels, and the adapter's gradients added up: forward and backward in one.</summary>
    /// <param name="divisor">The loss is the weighted sum over the labels divided by this: the step's trained tokens.</param>
    public abstract LabelLoss ForwardBackward(PackedBatch batch, LoraAdapter adapter, double divisor);

    /// <summary>The same for pairs of answers: rows 2i and 2i + 1 of the batch are the better and the worse one.</summary>
    /// <param name="divisor">The step's pairs.</param>
    /// <param name="reference">log-probability of each row by the model as it was before the first step.</param>
    public abstract PreferenceLoss ForwardBackward(PackedBatch batch, LoraAdapter adapter, double beta, double divisor, double[] reference);

    /// <summary>Loss of the batch's labels without gradients.</summary>
    public abstract LabelLoss Loss(PackedBatch batch, LoraAdapter? adapter, double divisor);

    /// <summary>Loss of a batch of pairs without gradients.</summary>
    /// <inheritdoc cref="ForwardBackward(PackedBatch, LoraAdapter, double, double, double[])"/>
    public PreferenceLoss Loss(PackedBatch batch, LoraAdapter? adapter, double beta, double divisor, double[] reference) =>
        PreferenceLoss.Of(batch, RowLogProbabilities(batch, adapter), reference, beta, divisor).Loss;

    /// <summary>log π of each row: the sum over its labels.</summary>
    public double[] RowLogProbabilities(PackedBatch batch, LoraAdapter? adapter) => PreferenceLoss.RowSums(batch, LogProbabilities(batch, adapter));

    /// <summary>log p of each label [M].</summary>
    public abstract double[] LogProbabilities(PackedBatch batch, LoraAdapter? adapter);

    public abstract void Dispose();
}
