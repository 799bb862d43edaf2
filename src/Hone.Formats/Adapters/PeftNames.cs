namespace Hone.Formats.Adapters;

/// <summary>The tensor names of PEFT's adapter files: <c>base_model.model.MODULE.lora_A.weight</c> [r, in] and <c>….lora_B.weight</c> [out, r].</summary>
public static class PeftNames
{
    private const string Prefix = "base_model.model.";
    private const string SuffixA = ".lora_A.weight";
    private const string SuffixB = ".lora_B.weight";

    /// <param name="module">Such as <c>model.layers.0.self_attn.q_proj</c>.</param>
    public static string A(string module) => Prefix + module + SuffixA;

    /// <inheritdoc cref="A"/>
    public static string B(string module) => Prefix + module + SuffixB;

    /// <summary>The module and whether the tensor is its A; null for any other name.</summary>
    public static (string Module, bool IsA)? Parse(string tensor)
    {
        bool isA = tensor.EndsWith(SuffixA, StringComparison.Ordinal);
        int length = tensor.Length - Prefix.Length - SuffixA.Length;
        return length > 0 && tensor.StartsWith(Prefix, StringComparison.Ordinal) && (isA || tensor.EndsWith(SuffixB, StringComparison.Ordinal))
            ? (tensor.Substring(Prefix.Length, length), isA)
            : null;
    }
}
