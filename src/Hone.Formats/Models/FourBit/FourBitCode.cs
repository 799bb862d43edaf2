namespace Hone.Formats.Models.FourBit;

/// <summary>What the sixteen codes of a block stand for.</summary>
public enum FourBitKind
{
    /// <summary>NormalFloat: quantiles of the normal distribution (Dettmers et al. 2023, arXiv:2305.14314, appendix E).</summary>
    Nf4,

    /// <summary>A sign, two bits of exponent and one of mantissa.</summary>
    Fp4,
}

/// <summary>The values of four-bit codes, and of the eight-bit codes that nested statistics have.</summary>
public static class FourBitCode
{
    private static readonly float[] s_nf4 =
    [
        -1f, -0.6961928009986877f, -0.5250730514526367f, -0.39491748809814453f, -0.28444138169288635f, -0.18477343022823334f, -0.09105003625154495f, 0f,
        0.07958029955625534f, 0.16093020141124725f, 0.24611230194568634f, 0.33791524171829224f, 0.44070982933044434f, 0.5626170039176941f, 0.7229568362236023f, 1f,
    ];

    // Twelfths: the largest is 1.
    private static readonly float[] s_fp4 = [.. new[] { 0f, 0.0625f, 8f, 12f, 4f, 6f, 2f, 3f, -0f, -0.0625f, -8f, -12f, -4f, -6f, -2f, -3f }.Select(twelfths => twelfths / 12)];

    /// <summary>The sixteen values, each at most 1.</summary>
    public static ReadOnlySpan<float> Values(FourBitKind kind) => kind == FourBitKind.Nf4 ? s_nf4 : s_fp4;

    /// <summary>
    /// The 256 values of the dynamic map (Dettmers 2015, arXiv:1511.04561), ascending: for each power of ten from 1e-6 to 1 the middles of ever more equal parts of
    /// [0.1, 1], with both signs; 0 and 1. Rounded to float32 at each step, as PyTorch computes it.
    /// </summary>
    public static IReadOnlyList<float> Dynamic { get; } = DynamicMap();

    private static float[] DynamicMap()
    {
        const int Powers = 7;
        var values = new List<float> { 0, 1 };
        for (int power = 0; power < Powers; power++)
        {
            float[] edges = Even(0.1f, 1, (1 << power) + 1);
            float scale = (float)Math.Pow(10, power - Powers + 1);
            for (int i = 1; i < edges.Length; i++)
            {
                float value = scale * ((edges[i - 1] + edges[i]) / 2);
                values.AddRange([value, -value]);
            }
        }
        values.Sort();
        return [.. values];
    }

    /// <summary>Evenly from one to the other, counted from the nearer end, each rounded once.</summary>
    private static float[] Even(float from, float to, int count)
    {
        float step = (to - from) / (count - 1);
        return [.. Enumerable.Range(0, count).Select(i => i < count / 2 ? MathF.FusedMultiplyAdd(step, i, from) : MathF.FusedMultiplyAdd(-step, count - 1 - i, to))];
    }
}
