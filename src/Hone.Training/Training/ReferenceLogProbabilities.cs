using Hone.Training.Lora;
using Hone.Training.Model;

namespace Hone.Training.Training;

/// <summary>
/// DPO's reference is the model as it was before the first step: log ref of each row, kept from the first step that saw it. A checkpoint holds them, because another packing of the rows gives
/// other last digits, and a resumed run must end with the same bytes. Two float32 a row, the second what the first leaves of a float64: what is kept is what is used.
/// </summary>
internal sealed class ReferenceLogProbabilities
{
    private readonly float[] _values; // [R, 2]

    public ReferenceLogProbabilities(int rows) => Array.Fill(_values = new float[2L * rows], float.NaN);

    /// <param name="values">As <see cref="Values"/> gives it.</param>
    public ReferenceLogProbabilities(float[] values) => _values = values;

    /// <summary>[R, 2]; NaN where no step has seen the row.</summary>
    public float[] Values => _values;

    public long[] Shape => [_values.Length / 2, 2];

    /// <summary>Of a batch's rows, which stand at these places of the data; computed where one of them is not known.</summary>
    /// <param name="adapter">The reference's; null: it is the base.</param>
    public double[] Of(TrainingDecoder decoder, LoraAdapter? adapter, PackedBatch batch, ReadOnlySpan<int> rows)
    {
        var known = new double[rows.Length];
        for (int i = 0; i < rows.Length; i++)
            known[i] = (double)_values[2 * rows[i]] + _values[2 * rows[i] + 1];
        if (!known.Any(double.IsNaN))
            return known;
        double[] computed = decoder.RowLogProbabilities(batch, adapter);
        for (int i = 0; i < rows.Length; i++)
        {
            if (!double.IsNaN(known[i]))
                continue;
            float most = (float)computed[i], rest = (float)(computed[i] - most);
            (_values[2 * rows[i]], _values[2 * rows[i] + 1]) = (most, rest);
            known[i] = (double)most + rest;
        }
        return known;
    }
}

/// <summary>The rows of a step.</summary>
/// <param name="Rows">Their places in the data.</param>
/// <param name="Known">Null: the method has none.</param>
internal sealed record Chosen(int[] Rows, ReferenceLogProbabilities? Known)
{
    /// <param name="first">How many rows of the step come before the batch's.</param>
    public double[]? Reference(TrainingDecoder decoder, LoraAdapter? adapter, PackedBatch batch, int first) => Known?.Of(decoder, adapter, batch, Rows.AsSpan(first, batch.Rows));
}
