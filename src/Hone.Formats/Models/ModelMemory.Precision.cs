namespace Hone.Formats.Models;

public static partial class ModelMemory
{
    /// <summary>
    /// The same in any precision. bfloat16: linear weights of 2 bytes a number. Four-bit blocks: half a byte, and 4 bytes a block of 64, or a little more than one with
    /// double quantisation; all else as the file stores it. With activations computed again the forward pass keeps N · L · D and what one layer keeps.
    /// </summary>
    public static MemoryUse OfTraining(ModelConfig config, long storedBytes, AdapterSize adapter, PassSize pass, BasePrecision precision, bool recompute, bool hasParts = false)
    {
        MemoryUse use = OfTraining(config, storedBytes, adapter, pass, precision.Form == WeightForm.AsStored, hasParts);
        if (precision.Rounds)
            use = use with { Weights = RoundedWeights(config, precision) };
        return recompute ? use with { Tokens = Number * (long)pass.Tokens * config.Layers * config.HiddenSize + use.Tokens / config.Layers } : use;
    }

    private static long RoundedWeights(ModelConfig config, BasePrecision precision)
    {
        long linear = 0, others = 0;
        foreach (ModelTensor tensor in ModelTensors.Of(config))
        {
            long elements = tensor.Shape.Aggregate(1L, (a, b) => a * b);
            if (tensor.IsProjection)
                linear += elements;
            else
                others += elements;
        }
        if (!precision.IsFourBit)
            return 2 * linear + Number * others;
        long blocks = linear / FourBit.FourBitMatrix.BlockValues;
        return linear / 2 + (precision.DoubleQuant ? blocks + Number * blocks / FourBit.FourBitMatrix.NestedBlocks : Number * blocks);
    }
}
