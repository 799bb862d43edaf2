using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using Hone.Formats.Models;
using Hone.Training.Kernels;
using Hone.Training.Model;
using static TorchSharp.torch;

namespace Hone.Training.Training;

/// <param name="Loss">Weighted sum of the labels' negative log-likelihoods over the divisor.</param>
/// <param name="Correct">Weighted count of labels that were the likeliest token.</param>
/// <param name="OfLabels">−log p of each label.</param>
internal sealed record LabelLoss(double Loss, double Correct, double[] OfLabels)
{
    /// <param name="losses">−log p of each label.</param>
    /// <param name="correct">Whether each was the likeliest token.</param>
    public static LabelLoss Of(double[] losses, bool[] correct, float[] weights, double divisor)
    {
        double loss = 0, right = 0;
        for (int i = 0; i < losses.Length; i++)
        {
            loss += losses[i] * weights[i];
            right += correct[i] ? weights[i] : 0;
        }
        return new LabelLoss(loss / divisor, right, losses);
    }

    /// <summary>The mean over each row's labels; 0 for a row without any.</summary>
    public IEnumerable<double> OfRows(PackedBatch batch) => batch.RowLabels.Select(labels => labels.Length == 0 ? 0 : labels.Sum(l => OfLabels[l]) / labels.Length);
}

/// <summary>
/// Cross-entropy where a label exists, in chunks, with the gradient computed in the forward pass:
/// <c>dlogits = w/divisor · (softmax(logits) − onehot)</c>, <c>dhidden = dlogits · head</c>. The logits of all tokens never exist at once.
/// </summary>
internal static class LabelCrossEntropy
{
    private const int ChunkLabels = ModelMemory.ChunkLabels;

    /// <summary>In numbers.</summary>
    private const int CacheLine = 16;

    /// <param name="hidden">[M, D], normed.</param>
    /// <returns>The loss and dhidden [M, D].</returns>
    public static (LabelLoss Loss, Tensor DHidden) ForwardBackward(Tensor hidden, OutputHead head, int[] labels, float[] weights, double divisor)
    {
        Tensor dHidden = TensorPool.EmptyLike(hidden);
        return (Run(hidden, head, labels, weights, divisor, dHidden), dHidden);
    }

    public static LabelLoss Forward(Tensor hidden, OutputHead head, int[] labels, float[] weights, double divisor) =>
        Run(hidden, head, labels, weights, divisor, null);

    /// <summary>log p of each label.</summary>
    public static double[] LogProbabilities(Tensor hidden, OutputHead head, int[] labels)
    {
        (double[] losses, _) = Losses(hidden, head, labels, null, null);
        return Array.ConvertAll(losses, loss => -loss);
    }

    private static LabelLoss Run(Tensor hidden, OutputHead head, int[] labels, float[] weights, double divisor, Tensor? dHidden)
    {
        (double[] losses, bool[] correct) = Losses(hidden, head, labels, i => (float)(weights[i] / divisor), dHidden);
        return LabelLoss.Of(losses, correct, weights, divisor);
    }

    /// <param name="scale">Of each label's gradient; needed with <paramref name="dHidden"/> alone.</param>
    private static (double[] Losses, bool[] Correct) Losses(Tensor hidden, OutputHead head, int[] labels, Func<int, float>? scale, Tensor? dHidden)
    {
        using Profile.Measure measured = Profile.Of(Operation.Head);
        var losses = new double[labels.Length];
        var correct = new bool[labels.Length];
        for (int start = 0; start < labels.Length; start += ChunkLabels)
        {
            using var scope = NewDisposeScope();
            int first = start, count = Math.Min(ChunkLabels, labels.Length - start);
            // Rows a whole number of pages apart would meet in the same few lines of the first-level cache.
            Tensor logits = TensorPool.Empty(count, head.Vocabulary + CacheLine); // [m, V]
            Matrix rows = Matrix.Of(logits).ColumnRange(0, head.Vocabulary);
            Matrix normed = Matrix.Of(hidden).RowRange(start, count);
            head.Run(normed, rows);
            Cores.For(count, r =>
            {
                int i = first + r;
                Span<float> row = rows.Row(r);
                head.Cap(row);
                Matrix kept = head.Keep(row);
                (losses[i], correct[i]) = Row(row, labels[i], dHidden is null ? 0 : scale!(i), dHidden is not null);
                if (dHidden is not null)
                    head.BackwardCap(row, kept);
            });
            if (dHidden is not null)
                head.Backward(logits, normed, Matrix.Of(dHidden).RowRange(start, count));
        }
        return (losses, correct);
    }

    /// <summary>
    /// −log p of the label, and the logits replaced by their gradient. The exponentials are summed in sixteen float32 lanes on every machine, as PyTorch's
    /// kernel does with AVX-512: over a vocabulary of many thousands the order of this sum shows in the loss's sixth digit.
    /// </summary>
    /// <param name="scale">weight / divisor</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static (double Loss, bool Correct) Row(Span<float> logits, int label, float scale, bool needsGradient)
    {
        const int Lanes = 16;
        int whole = logits.Length - logits.Length % Lanes;
        Span<Vector512<float>> vectors = MemoryMarshal.Cast<float, Vector512<float>>(logits[..whole]);
        Vector512<float> highest = Vector512.Create(float.NegativeInfinity);
        foreach (Vector512<float> x in vectors)
            highest = Vector512.Max(highest, x);
        float max = float.NegativeInfinity;
        for (int lane = 0; lane < Lanes; lane++)
            max = MathF.Max(max, highest[lane]);
        foreach (float x in logits[whole..])
            max = MathF.Max(max, x);

        float ofLabel = logits[label];
        Vector512<float> offset = Vector512.Create(max), sums = Vector512<float>.Zero;
        foreach (ref Vector512<float> x in vectors)
        {
            Vector512<float> e = Exponential.Of(x - offset);
            sums += e;
            if (needsGradient)
                x = e;
        }
        float sum = Vector512.Sum(sums);
        foreach (ref float x in logits[whole..])
        {
            float e = MathF.Exp(x - max);
            sum += e;
            if (needsGradient)
                x = e;
        }
        if (needsGradient)
        {
            float share = scale / sum;
            Vector512<float> factor = Vector512.Create(share);
            foreach (ref Vector512<float> x in vectors)
                x *= factor;
            foreach (ref float x in logits[whole..])
                x *= share;
            logits[label] -= scale;
        }
        return ((double)max - ofLabel + MathF.Log(sum), ofLabel >= max);
    }
}
