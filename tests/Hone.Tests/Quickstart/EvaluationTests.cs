using Hone.Quickstart;

namespace Hone.Tests.Quickstart;

public sealed class EvaluationTests
{
    private const string Expected = """{"intent":"refund","priority":"high"}""";

    [Theory]
    [InlineData(Expected, 1, 1)]
    [InlineData("  " + Expected + "\n", 1, 1)]
    [InlineData("""{"intent":"refund","priority":"low"}""", 0, 1)]
    [InlineData("""{"intent":"refund", "priority":"high"}""", 0, 1)]
    [InlineData("""{"intent":"bug","priority":"high"}""", 0, 0)]
    [InlineData(Expected + " I hope this helps", 0, 0)]
    [InlineData("""["refund"]""", 0, 0)]
    [InlineData("refund", 0, 0)]
    [InlineData("", 0, 0)]
    public void Score_OneAnswer_CountsItExactlyAndByIntent(string answer, int exact, int intent)
    {
        var evaluation = new Evaluation([new Question("q", Expected)], [answer]);

        Assert.Equal((exact, intent), (evaluation.Exact, evaluation.Intent));
        Assert.Equal(new Score(exact, intent), evaluation.Score);
    }

    [Fact]
    public void Open_TheExample_Has48QuestionsWithAnswers()
    {
        Examples examples = Examples.Open(null);

        Assert.Equal(48, examples.Questions.Count);
        Assert.All(examples.Questions, question => Assert.StartsWith("{\"intent\":\"", question.Expected, StringComparison.Ordinal));
    }

    [Fact]
    public void Open_RowThatIsNotAQuestion_NamesItsLine()
    {
        using var folder = new TemporaryFolder();
        folder.Write("train.jsonl", "");
        folder.Write("valid.jsonl", "");
        folder.Write("test.jsonl", """
            {"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"a"}]}
            {"messages":[{"role":"user","content":"q"}]}
            """);

        Assert.Contains("test.jsonl, line 2", Assert.Throws<CliException>(() => Examples.Open(folder.Path)).Message, StringComparison.Ordinal);
    }
}
