namespace Hone.Formats.Models;

/// <summary>How the base's linear weights lie in memory while training.</summary>
public enum WeightForm
{
    /// <summary>Widened once; the reference.</summary>
    Float32,

    /// <summary>As the file stores them, widened when their turn comes: float32's numbers.</summary>
    AsStored,

    /// <summary>Rounded to bfloat16; their products' inputs and results are rounded too, sums are float32.</summary>
    BFloat16,

    /// <summary>Four bits a value, see <see cref="FourBit.FourBitKind.Nf4"/>; products are float32's.</summary>
    Nf4,

    /// <inheritdoc cref="Nf4"/>
    Fp4,
}

/// <summary>The setting <c>precision</c>, with what belongs to it.</summary>
/// <param name="DoubleQuant">Of four-bit blocks: their scales are held in 8 bits.</param>
public readonly record struct BasePrecision(WeightForm Form, bool DoubleQuant = false)
{
    public static readonly BasePrecision Float32 = new(WeightForm.Float32), AsStored = new(WeightForm.AsStored);

    /// <summary>What <c>precision</c> may say.</summary>
    public static IReadOnlyList<string> Names { get; } = ["float32", "as_stored", "bfloat16", "nf4", "fp4"];

    public string Name => Names[(int)Form];

    /// <summary>The linear weights are not the file's numbers any more.</summary>
    public bool Rounds => Form is not (WeightForm.Float32 or WeightForm.AsStored);

    public bool IsFourBit => Form is WeightForm.Nf4 or WeightForm.Fp4;

    /// <param name="name">One of <see cref="Names"/>.</param>
    public static BasePrecision Of(string name, bool doubleQuant = false)
    {
        int index = Names.ToList().IndexOf(name);
        return index < 0 ? throw new ArgumentException($"There is no precision {name}.", nameof(name)) : new BasePrecision((WeightForm)index, doubleQuant);
    }
}
