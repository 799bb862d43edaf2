using TorchSharp;
using static TorchSharp.torch;

namespace Hone.Training.Training;

/// <param name="Loss">Weighted sum of the labels' negative log-likelihoods over the divisor.</param>
/// <param name="Correct">Weighted count of labels that were the likeliest token.</param>
internal sealed record LabelLoss(double Loss, double Correct);

/// <summary>
/// Cross-entropy where a label exists, in chunks, with the gradient computed in the forward pass:
/// <c>dlogits = w/divisor · (softmax(logits) − onehot)</c>, <c>dhidden = dlogits · head</c>. The logits of all tokens never exist at once.
/// </summary>
internal static class LabelCrossEntropy
{
    private const int ChunkLabels = 256;

    /// <param name="hidden">[M, D], normed.</param>
    /// <param name="head">[V, D]</param>
    /// <returns>The loss and dhidden [M, D].</returns>
    public static (LabelLoss Loss, Tensor DHidden) ForwardBackward(Tensor hidden, Tensor head, int[] labels, float[] weights, double divisor)
    {
        Tensor dHidden = empty_like(hidden);
        return (Run(hidden, head, labels, weights, divisor, dHidden), dHidden);
    }

    public static LabelLoss Forward(Tensor hidden, Tensor head, int[] labels, float[] weights, double divisor) =>
        Run(hidden, head, labels, weights, divisor, null);

    private static LabelLoss Run(Tensor hidden, Tensor head, int[] labels, float[] weights, double divisor, Tensor? dHidden)
    {
        double loss = 0, correct = 0;
        for (int start = 0; start < labels.Length; start += ChunkLabels)
        {
            using var scope = NewDisposeScope();
            int count = Math.Min(ChunkLabels, labels.Length - start);
            Tensor label = tensor(labels.AsSpan(start, count).ToArray(), dtype: int64).unsqueeze(1);  // [m, 1]
            Tensor weight = tensor(weights.AsSpan(start, count).ToArray()).unsqueeze(1);              // [m, 1]
            Tensor logits = hidden.narrow(0, start, count).matmul(head.t());                          // [m, V]
            (Tensor highest, Tensor likeliest) = logits.max(1, keepdim: true);                        // [m, 1]
            Tensor ofLabel = logits.gather(1, label);
            Tensor exponentials = logits.sub_(highest).exp_();                                        // [m, V]
            Tensor sum = exponentials.sum(1, keepdim: true);                                          // [m, 1]
            Tensor negative = sum.log().add_(highest).sub_(ofLabel);                                  // −log p
            loss += negative.mul(weight).to(float64).sum().item<double>();
            correct += likeliest.eq(label).to(float32).mul_(weight).sum().item<float>();
            if (dHidden is null)
                continue;
            Tensor scale = weight.div(divisor);
            exponentials.mul_(scale.div(sum)).scatter_add_(1, label, scale.neg());
            dHidden.narrow(0, start, count).copy_(exponentials.matmul(head));
        }
        return new LabelLoss(loss / divisor, correct);
    }
}
