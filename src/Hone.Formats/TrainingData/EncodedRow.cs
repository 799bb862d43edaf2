namespace Hone.Formats.TrainingData;

/// <summary>A row as the model sees it, cut at the maximum length.</summary>
/// <param name="Line">Of the file, from 1.</param>
/// <param name="Trained">Token i is learnt, that is predicted from those before it. Never the first.</param>
/// <param name="Text">The rendered text, where it was asked for.</param>
public sealed record EncodedRow(int Line, int[] Tokens, bool[] Trained, string? Text = null)
{
    /// <summary>Tokens before the cut.</summary>
    public int FullLength { get; init; } = Tokens.Length;

    public int TrainedTokens => Trained.AsSpan().Count(true);
}

/// <summary>A preference row: the same conversation with the better and the worse answer.</summary>
public sealed record EncodedPreference(int Line, EncodedRow Chosen, EncodedRow Rejected);

/// <summary>What became of one row.</summary>
public sealed record RowEncoding
{
    /// <summary>One as a rule; several where the template shows an earlier answer otherwise once another follows; none when the row is left out.</summary>
    public IReadOnlyList<EncodedRow> Rows { get; init; } = [];

    public EncodedPreference? Preference { get; init; }

    public IReadOnlyList<LintIssue> Errors { get; init; } = [];

    public IReadOnlyList<LintIssue> Warnings { get; init; } = [];

    /// <summary>The row teaches nothing, and <c>strict</c> is false.</summary>
    public bool Dropped { get; init; }

    /// <summary>The longest of <see cref="Rows"/> (or of the pair) before the cut.</summary>
    public int FullLength { get; init; }
}
