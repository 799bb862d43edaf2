using System.Text;
using System.Text.Json;
using Hone.Formats.Jobs;
using Hone.Formats.TrainingData;

namespace Hone.Formats.Tests.TrainingData;

/// <summary>What a lint counts.</summary>
public sealed class LinterStatsTests(SmolLm2Rows rows) : IClassFixture<SmolLm2Rows>
{
    [Fact]
    public void Lint_RowsOfManyLengths_AreSummedUp()
    {
        string[] lines = [.. Enumerable.Range(1, 40).Select(i => Row($"Question {i}?", string.Concat(Enumerable.Repeat("word ", i * i))))];
        int[] lengths = [.. lines.Select(l => rows.Encode(l).FullLength).Order()];
        int[] trained = [.. lines.Select(l => rows.Encode(l, new TrainingConfig { MaxLength = 1000 }).Rows[0].TrainedTokens).Order()];

        var tokens = rows.Lint(TrainingFiles.Rows(lines), new TrainingConfig { MaxLength = 1000 }).Stats.Tokens!;

        Assert.Equal(new LengthSummary(lengths[0], Math.Round(lengths.Average(), 1), lengths[19], lengths[37], lengths[39]), tokens.RowLength);
        Assert.Equal(new LengthSummary(trained[0], Math.Round(trained.Average(), 1), trained[19], trained[37], trained[39]), tokens.TrainedLength);
        Assert.Equal(trained.Sum(), tokens.TrainedTokens);
        Assert.Equal(lengths.Count(l => l > 1000), tokens.CutRows);
        int before = 0;
        foreach (var bucket in tokens.Histogram)
        {
            Assert.Equal(lengths.Count(l => l > before && l <= bucket.UpTo), bucket.Rows);
            before = bucket.UpTo;
        }
        Assert.Equal(40, tokens.Histogram.Sum(b => b.Rows));
        Assert.Contains(tokens.Histogram, b => b.UpTo is 96 or 192 or 384 or 768);
    }

    [Fact]
    public void Lint_LongSample_IsShownWithoutItsMiddle()
    {
        var sample = rows.Lint(TrainingFiles.Rows(Enumerable.Range(1, 10).Select(i => Row("Hi?", $"{i} " + string.Concat(Enumerable.Repeat("word ", 4000)) + "end")))).Stats.Tokens!.Sample!;

        var answer = Assert.Single(sample.Runs, r => r.Trained);
        Assert.StartsWith("1 word word", answer.Text, StringComparison.Ordinal);
        Assert.EndsWith("word end<|im_end|>", answer.Text, StringComparison.Ordinal);
        Assert.InRange(answer.Text.Length, 2000, 2010);
        Assert.True(answer.Tokens > 4000);
    }

    [Fact]
    public void Lint_RowsInBothFiles_AreCounted()
    {
        byte[] training = TrainingFiles.Rows(Enumerable.Range(1, 10).Select(TrainingFiles.Good));

        Assert.Equal(2, TrainingFiles.Lint(training, validation: TrainingFiles.Rows([TrainingFiles.Good(11), TrainingFiles.Good(3), TrainingFiles.Good(4)])).Stats.ValidationRowsInTraining);
        Assert.Equal(0, TrainingFiles.Lint(training, validation: TrainingFiles.Rows([TrainingFiles.Good(11)])).Stats.ValidationRowsInTraining);
        Assert.Null(TrainingFiles.Lint(training).Stats.ValidationRowsInTraining);
    }

    /// <summary>A file that is faulty throughout takes the other way through the parser than a sound one: both say the same.</summary>
    [Theory]
    [InlineData("{\"messages\":[", "not_json")]
    [InlineData("{\"messages\":[],\"messages\":[]}", "duplicate_key")]
    [InlineData("{\"messages\":[{\"role\":\"user\",\"content\":\"\\ud83d\"}]}", "lone_surrogate")]
    [InlineData("{\"messages\":[{\"role\":\"user\",\"role\":\"a\",\"content\":\"\\u0000\"}]}", "duplicate_key")]
    public void Lint_ManyFaults_AreSaidAsTheFirst(string row, string code)
    {
        var errors = TrainingFiles.Lint(TrainingFiles.Rows(Enumerable.Repeat(row, 90))).Errors.Where(e => e.Line is not null).ToList();

        Assert.Equal(90, errors.Count(e => e.Code == code));
        Assert.All(errors.GroupBy(e => e.Line), line => Assert.Equal(errors.Where(e => e.Line == 1).Select(e => (e.Code, e.Path, e.Message, e.Byte)), line.Select(e => (e.Code, e.Path, e.Message, e.Byte - (line.Key - 1) * (Encoding.UTF8.GetByteCount(row) + 1)))));
    }

    private static string Row(string question, string answer) => JsonSerializer.Serialize(new { messages = new[] { new { role = "user", content = question }, new { role = "assistant", content = answer } } });
}
