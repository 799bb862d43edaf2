using System.Text;
using System.Text.Json;
using Hone.Formats.Jobs;
using Hone.Formats.TrainingData;

namespace Hone.Formats.Tests.TrainingData;

/// <summary>What a lint says once it knows the base model.</summary>
public sealed class LinterModelTests(SmolLm2Rows rows) : IClassFixture<SmolLm2Rows>
{
    private static string Pair(string question, string answer) => JsonSerializer.Serialize(new { messages = new[] { new { role = "user", content = question }, new { role = "assistant", content = answer } } });

    [Fact]
    public void Lint_SupportTriage_CountsTokens()
    {
        string folder = Path.Combine(References.Repository, "examples", "support-triage");
        var report = TrainingFiles.Lint(new LintRequest { TrainingPath = Path.Combine(folder, "train.jsonl"), ValidationPath = Path.Combine(folder, "valid.jsonl"), Model = rows.Model });

        Assert.True(report.Ok);
        Assert.Empty(report.Warnings);
        var tokens = report.Stats.Tokens!;
        Assert.Equal((240, 40, 240, 0, 8192), (report.Stats.Rows, report.Stats.ValidationRows, tokens.Rows, tokens.CutRows, tokens.MaxLength));
        Assert.InRange(tokens.Tokens / 240.0, 72, 74);
        Assert.Equal(240, tokens.Histogram.Sum(b => b.Rows));
        Assert.Equal("""{"intent":"shipping","priority":"high"}<|im_end|>"""[..10], tokens.Sample!.Runs.Single(r => r.Trained).Text[..10]);
        Assert.Equal(tokens.Sample.Runs.Sum(r => r.Tokens), RowEncoder.For(rows.Model, new()).Encode(RowReader.Read(Path.Combine(folder, "train.jsonl")).First(), cancellationToken: TestContext.Current.CancellationToken).Rows[0].Tokens.Length);
    }

    [Theory]
    [InlineData("row_of_60000_words", 4)]
    [InlineData("line_of_5_mb_without_newline", 13)]
    [Trait("Category", "Slow")]
    public void Lint_LargeBrokenFile_SaysWhatIsExpected(string name, int line)
    {
        var good = Enumerable.Range(1, 12).Select(TrainingFiles.Good).ToList();
        good.Insert(line - 1, Pair(name.StartsWith("row", StringComparison.Ordinal) ? string.Join(' ', Enumerable.Range(0, 60_000).Select(n => $"crumb{n % 97}")) : string.Concat(Enumerable.Repeat("crumb ", 5_000_000 / 6)), "Yes."));

        var report = rows.Lint(Encoding.UTF8.GetBytes(string.Join('\n', good)));

        var error = Assert.Single(report.Errors);
        Assert.Equal(line, error.Line);
        Assert.StartsWith("over the maximum length: the answer is cut away, nothing is left to learn from", error.Message, StringComparison.Ordinal);
        Assert.Empty(report.Warnings);
    }

    [Fact]
    public void Lint_MaxLengthOverTheContext_IsRefused()
        => Assert.Equal("max_length_over_context", Assert.Single(rows.LintRow(Pair("Hi?", "Yes."), new TrainingConfig { MaxLength = 10_000 }).Errors).Code);

    [Theory]
    [InlineData("""{"target_modules":["v_porj"]}""", "'v_porj' matches no module of the base model (nearest: 'v_proj').")]
    [InlineData("""{"layers_to_transform":[0,999]}""", "layer 999")]
    public void Bug_ConfigThatNamesWhatTheBaseDoesNotHave_IsRefused(string config, string named)
    {
        LintIssue error = Assert.Single(rows.LintRow(Pair("Hi?", "Yes."), TrainingConfigParser.Parse(Encoding.UTF8.GetBytes(config)).Config!).Errors);

        Assert.Equal("not_in_base_model", error.Code);
        Assert.Contains(named, error.Message, StringComparison.Ordinal);
    }
}
