namespace Hone.Formats.Models;

public enum RopeKind
{
    /// <summary>All frequencies divided by the factor.</summary>
    Linear,

    /// <summary>The base grows with a text that is longer than the model's context.</summary>
    Dynamic,

    /// <summary>Low frequencies divided by the factor, high ones kept, those between blended.</summary>
    Llama3,

    /// <summary>The same with a ramp over the dimensions (Peng et al. 2023, arXiv:2309.00071).</summary>
    Yarn,

    /// <summary>A factor for each frequency, one list for short and one for long texts (Ding et al. 2024, arXiv:2402.13753).</summary>
    LongRope,

    /// <summary>A factor for each frequency, from a table in the model's file.</summary>
    Table,
}

/// <summary>How rotary frequencies are changed. What a kind does not use is not looked at.</summary>
public sealed record RopeScaling
{
    public required RopeKind Kind { get; init; }
    public double Factor { get; init; } = 1;

    /// <summary>The context of the pre-training, in tokens.</summary>
    public int OriginalContext { get; init; }

    public double LowFrequencyFactor { get; init; }
    public double HighFrequencyFactor { get; init; }
    public double BetaFast { get; init; } = 32;
    public double BetaSlow { get; init; } = 1;

    /// <summary>The ends of Yarn's ramp are rounded to whole dimensions.</summary>
    public bool Truncate { get; init; } = true;

    /// <summary>What multiplies cosine and sine.</summary>
    public double Magnitude { get; init; } = 1;

    public IReadOnlyList<float> ShortFactors { get; init; } = [];

    /// <summary>Those of <see cref="RopeKind.Table"/> too.</summary>
    public IReadOnlyList<float> LongFactors { get; init; } = [];
}

/// <summary>
/// Rotary position embedding (Su et al. 2021, arXiv:2104.09864): the angle of element pair i at a position is <c>position · frequency[i]</c>. Computed in float32
/// in the order of Hugging Face's code (modeling_rope_utils.py), since the models were trained with these frequencies.
/// </summary>
public sealed record RopeConfig(double Theta, RopeScaling? Scaling)
{
    public double Magnitude => Scaling?.Magnitude ?? 1;

    /// <summary>Whether the frequencies depend on the length of the text.</summary>
    public bool DependsOnLength => Scaling?.Kind is RopeKind.Dynamic or RopeKind.LongRope;

    /// <param name="dim">Dimensions that turn; even.</param>
    /// <param name="contextLength">The model's context.</param>
    /// <param name="length">Tokens of the longest text that is computed together.</param>
    /// <returns>dim / 2 frequencies in radians per position.</returns>
    public float[] Frequencies(int dim, int contextLength, int length) => Scaling switch
    {
        null => Plain(Theta, dim),
        { Kind: RopeKind.Linear } linear => Array.ConvertAll(Plain(Theta, dim), f => f / (float)linear.Factor),
        { Kind: RopeKind.Dynamic } dynamic => Plain(Grown(dynamic.Factor, dim, contextLength, length), dim),
        { Kind: RopeKind.Llama3 } llama => Array.ConvertAll(Plain(Theta, dim), f => Llama3(llama, f)),
        { Kind: RopeKind.Yarn } yarn => Yarn(yarn, dim),
        { Kind: RopeKind.LongRope } rope => Divided(length > rope.OriginalContext ? rope.LongFactors : rope.ShortFactors, dim),
        { Kind: RopeKind.Table } table => Divided(table.LongFactors, dim),
        _ => throw new InvalidOperationException($"There is no rotary scaling {Scaling.Kind}."),
    };

    private static float[] Plain(double theta, int dim) => Array.ConvertAll(Powers(theta, dim), power => 1 / power);

    private static float[] Powers(double theta, int dim) => [.. Enumerable.Range(0, dim / 2).Select(i => (float)Math.Pow(theta, (float)(2 * i) / dim))];

    private double Grown(double factor, int dim, int contextLength, int length)
    {
        double tokens = Math.Max(length, contextLength);
        return Theta * Math.Pow(factor * tokens / contextLength - (factor - 1), dim / (dim - 2.0));
    }

    private float[] Divided(IReadOnlyList<float> factors, int dim)
    {
        float[] powers = Powers(Theta, dim);
        return [.. powers.Select((power, i) => 1 / (factors[i] * power))];
    }

    private static float Llama3(RopeScaling scaling, float frequency)
    {
        double lowWavelength = scaling.OriginalContext / scaling.LowFrequencyFactor;
        double highWavelength = scaling.OriginalContext / scaling.HighFrequencyFactor;
        float wavelength = (float)(2 * Math.PI) / frequency;
        float factor = (float)scaling.Factor;
        if (wavelength > lowWavelength)
            return frequency / factor;
        if (wavelength < highWavelength)
            return frequency;
        float smooth = (scaling.OriginalContext / wavelength - (float)scaling.LowFrequencyFactor) / (float)(scaling.HighFrequencyFactor - scaling.LowFrequencyFactor);
        return (1 - smooth) * frequency / factor + smooth * frequency;
    }

    private float[] Yarn(RopeScaling scaling, int dim)
    {
        double low = Dimension(scaling.BetaFast), high = Dimension(scaling.BetaSlow);
        if (scaling.Truncate)
            (low, high) = (Math.Floor(low), Math.Ceiling(high));
        (low, high) = (Math.Max(low, 0), Math.Min(high, dim - 1));
        if (low == high)
            high += 0.001;
        float factor = (float)scaling.Factor;
        float[] powers = Powers(Theta, dim);
        for (int i = 0; i < powers.Length; i++)
        {
            float kept = 1 - Math.Clamp((i - (float)low) / (float)(high - low), 0f, 1f);
            powers[i] = 1 / (factor * powers[i]) * (1 - kept) + 1 / powers[i] * kept;
        }
        return powers;

        // The dimension whose pair makes so many turns over the original context.
        double Dimension(double turns) => dim * Math.Log(scaling.OriginalContext / (turns * 2 * Math.PI)) / (2 * Math.Log(Theta));
    }
}
