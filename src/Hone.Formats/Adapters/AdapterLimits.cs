namespace Hone.Formats.Adapters;

/// <summary>What an adapter that is brought may be; rank and size are the original platform's.</summary>
public sealed record AdapterLimits
{
    public int MaxRank { get; init; } = 32;

    /// <summary>The weights' file must be smaller, in bytes.</summary>
    public long MaxBytes { get; init; } = 300_000_000;

    /// <summary>Values of <c>model_type</c> of which the config must carry one; null: the key is not looked at.</summary>
    public IReadOnlyList<string>? ModelTypes { get; init; }
}

/// <summary>By what names and by what content the base model is known, so that an adapter of another base is noticed.</summary>
/// <param name="Names">Such as <c>HuggingFaceTB/SmolLM2-135M-Instruct</c>; compared by their last part, without case and punctuation.</param>
/// <param name="Sha256">Of the model's file, in hexadecimal; null: not known.</param>
public sealed record AdapterBase(IReadOnlyList<string> Names, string? Sha256 = null);

/// <summary>What a check found; each entry says what, where and what to do.</summary>
/// <param name="Config">Null where it cannot be read.</param>
public sealed record AdapterReport(AdapterConfig? Config, IReadOnlyList<string> Errors, IReadOnlyList<string> Warnings)
{
    public bool Ok => Errors.Count == 0;
}
