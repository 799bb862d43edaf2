namespace Hone.Training.Training;

/// <summary>
/// Direct preference optimisation (Rafailov et al. 2023, arXiv:2305.18290, equation 7):
/// <c>−log σ(β · ((log π(y₊) − log ref(y₊)) − (log π(y₋) − log ref(y₋))))</c>, the mean over pairs; log π(y) is the sum over an answer's learnt tokens.
/// </summary>
/// <param name="Loss">Sum over the pairs over the divisor.</param>
/// <param name="Margin">Sum of the pairs' reward margins.</param>
/// <param name="Right">Pairs whose better answer has the higher reward.</param>
/// <param name="OfPairs">Each pair's loss.</param>
internal sealed record PreferenceLoss(double Loss, double Margin, int Right, double[] OfPairs)
{
    /// <summary>Both rows of a pair have the pair's loss.</summary>
    public IEnumerable<double> OfRows() => OfPairs.SelectMany(loss => new[] { loss, loss });

    /// <summary>Rows 2i and 2i + 1 are a pair. A label that both answers share cancels out.</summary>
    /// <param name="policy">log π of each row.</param>
    /// <param name="reference">log ref of each row.</param>
    /// <returns>The loss, and each label's weight for the cross-entropy's gradient.</returns>
    public static (PreferenceLoss Loss, float[] Weights) Of(PackedBatch batch, double[] policy, double[] reference, double beta, double divisor)
    {
        var weights = new float[batch.Labels.Length];
        var ofPairs = new double[batch.Rows / 2];
        double loss = 0, margins = 0;
        int right = 0;
        for (int better = 0; better < batch.Rows; better += 2)
        {
            int worse = better + 1;
            double margin = beta * (policy[better] - reference[better] - (policy[worse] - reference[worse]));
            loss += ofPairs[better / 2] = margin > 0 ? Math.Log(1 + Math.Exp(-margin)) : Math.Log(1 + Math.Exp(margin)) - margin;
            margins += margin;
            right += margin > 0 ? 1 : 0;
            float pull = (float)(beta / (1 + Math.Exp(margin)) / divisor); // β · σ(−margin)
            foreach (int label in batch.RowLabels[better])
                weights[label] += pull;
            foreach (int label in batch.RowLabels[worse])
                weights[label] -= pull;
        }
        return (new PreferenceLoss(loss / divisor, margins, right, ofPairs), weights);
    }

    public static double[] RowSums(PackedBatch batch, double[] ofLabels) => [.. batch.RowLabels.Select(labels => labels.Sum(l => ofLabels[l]))];
}
