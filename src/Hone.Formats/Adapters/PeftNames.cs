namespace Hone.Formats.Adapters;

/// <summary>A module's tensors: A [r, in], B [out, r], B's bias [out], DoRA's magnitude [out], and the whole weight [out, in] of a module that is saved beside them.</summary>
public enum AdapterTensor
{
    A,
    B,
    Bias,
    Magnitude,
    Whole,
}

/// <summary>
/// The tensor names of PEFT's adapter files: <c>base_model.model.MODULE.lora_A.weight</c>, <c>….lora_B.weight</c>, <c>….lora_B.bias</c>, <c>….lora_magnitude_vector</c>,
/// and <c>base_model.model.MODULE.weight</c>.
/// </summary>
public static class PeftNames
{
    private const string Prefix = "base_model.model.";

    // Each name ends in one of them; the last is the end of others too.
    private static readonly (AdapterTensor Tensor, string Suffix)[] s_suffixes =
    [
        (AdapterTensor.A, ".lora_A.weight"), (AdapterTensor.B, ".lora_B.weight"), (AdapterTensor.Bias, ".lora_B.bias"), (AdapterTensor.Magnitude, ".lora_magnitude_vector"), (AdapterTensor.Whole, ".weight"),
    ];

    /// <param name="module">Such as <c>model.layers.0.self_attn.q_proj</c>.</param>
    public static string A(string module) => Of(AdapterTensor.A, module);

    /// <inheritdoc cref="A"/>
    public static string B(string module) => Of(AdapterTensor.B, module);

    /// <inheritdoc cref="A"/>
    public static string Magnitude(string module) => Of(AdapterTensor.Magnitude, module);

    /// <inheritdoc cref="A"/>
    public static string Of(AdapterTensor tensor, string module) => Prefix + module + s_suffixes[(int)tensor].Suffix;

    /// <summary>The module, and which of its tensors it is; null for any other name.</summary>
    public static (string Module, AdapterTensor Tensor)? Parse(string name)
    {
        foreach ((AdapterTensor tensor, string suffix) in s_suffixes)
        {
            int length = name.Length - Prefix.Length - suffix.Length;
            if (length > 0 && name.StartsWith(Prefix, StringComparison.Ordinal) && name.EndsWith(suffix, StringComparison.Ordinal))
                return (name.Substring(Prefix.Length, length), tensor);
        }
        return null;
    }
}
