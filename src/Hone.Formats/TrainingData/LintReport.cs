using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Hone.Formats.TrainingData;

/// <summary>One thing found in a file.</summary>
/// <param name="Line">From 1; null: the file as a whole.</param>
/// <param name="Byte">Offset in the file, from 0, of what is meant; null: the file as a whole.</param>
/// <param name="Path">JSON path inside the line's object, such as <c>$.messages[1].content</c>.</param>
/// <param name="Code">Stable, snake_case.</param>
/// <param name="Message">What is wrong.</param>
/// <param name="Hint">What to do.</param>
public sealed record LintIssue(int? Line, long? Byte, string? Path, string Code, string Message, string? Hint)
{
    public const string TrainingFile = "training", ValidationFile = "validation", ConfigFile = "config";

    /// <summary>Where several are meant, which one it is of; null: the training file's.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public string? File { get; init; }

    /// <summary>How many more of this code there are than are listed; null on all but the last entry of a code that was cut.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public int? More { get; init; }

    public override string ToString() => (File is null ? "" : File + " file, ") + (Line is null ? "" : $"line {Line}, byte {Byte}{(Path is null ? "" : ", " + Path)}: ")
        + Message + (Hint is null ? "" : " " + Hint);
}

/// <summary>Every error and warning of a lint, by line, files as a whole first. A code is listed 100 times a file; the last entry then counts the rest.</summary>
public sealed record LintReport
{
    /// <summary>May the files be trained on?</summary>
    public bool Ok => Errors.Count == 0;

    public required IReadOnlyList<LintIssue> Errors { get; init; }

    public required IReadOnlyList<LintIssue> Warnings { get; init; }

    public required LintStats Stats { get; init; }

    public string ToJson() => JsonSerializer.Serialize(this, LintJson.Readable.LintReport);
}

public sealed record LintStats
{
    /// <summary>Lines that are not blank.</summary>
    public int Rows { get; init; }

    public int? ValidationRows { get; init; }

    public int BlankLines { get; init; }

    public long Bytes { get; init; }

    /// <summary>Sound rows by kind: <c>chat</c>, <c>prompt_completion</c>, <c>text</c>, <c>preference</c>.</summary>
    public required IReadOnlyDictionary<string, int> Kinds { get; init; }

    public int DuplicateRows { get; init; }

    /// <summary>Rows that both files have; null without either.</summary>
    public int? ValidationRowsInTraining { get; init; }

    /// <summary>All found, those beyond the cap too.</summary>
    public int ErrorCount { get; init; }

    public int WarningCount { get; init; }

    /// <summary>Null without a base model.</summary>
    public TokenStats? Tokens { get; init; }
}

/// <summary>What the training file is to the model, after the chat template and the cut at <see cref="MaxLength"/>.</summary>
public sealed record TokenStats
{
    /// <summary>Rows that teach something.</summary>
    public required int Rows { get; init; }

    public required long Tokens { get; init; }

    public required long TrainedTokens { get; init; }

    public required int MaxLength { get; init; }

    /// <summary>Before the cut.</summary>
    public required int LongestRow { get; init; }

    public required int LongestRowLine { get; init; }

    public required int CutRows { get; init; }

    /// <summary>Rows without a trained token, left out because <c>strict</c> is false.</summary>
    public required int DroppedRows { get; init; }

    /// <summary>Tokens of a row before the cut.</summary>
    public LengthSummary? RowLength { get; init; }

    /// <summary>Learnt tokens of a row after the cut.</summary>
    public LengthSummary? TrainedLength { get; init; }

    /// <summary>Rows by length before the cut, up to powers of two and up to half as much again.</summary>
    public required IReadOnlyList<LengthBucket> Histogram { get; init; }

    public SampleRow? Sample { get; init; }
}

/// <param name="P95">So long are 95 of 100 rows at most.</param>
public sealed record LengthSummary(int Shortest, double Mean, int Median, int P95, int Longest);

/// <param name="UpTo">Longest length counted here; the one before it is excluded.</param>
public sealed record LengthBucket(int UpTo, int Rows);

/// <summary>The first row as the model sees it, in runs of tokens that are learnt or not.</summary>
public sealed record SampleRow(int Line, IReadOnlyList<SampleRun> Runs);

/// <param name="Text">Long ones without their middle.</param>
public sealed record SampleRun(string Text, bool Trained, int Tokens);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower)]
[JsonSerializable(typeof(LintReport))]
public sealed partial class LintJson : JsonSerializerContext
{
    /// <summary>Leaves letters beyond ASCII and quotes as they are: the report is for terminals and API answers, not for HTML.</summary>
    public static LintJson Readable { get; } = new(new JsonSerializerOptions
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    });
}
