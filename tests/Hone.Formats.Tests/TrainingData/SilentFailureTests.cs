using Hone.Formats.TrainingData;

namespace Hone.Formats.Tests.TrainingData;

/// <summary>Rows that other trainers pass and that teach nothing or something wrong; beside each the same done right, which passes unwarned.</summary>
public sealed class SilentFailureTests(SmolLm2Rows rows) : IClassFixture<SmolLm2Rows>
{
    private static string Chat(string answer) => """{"messages":[{"role":"user","content":"Hi?"},{"role":"assistant",""" + answer + "}]}";

    private void Refused(string row, string code, string control)
    {
        var error = Assert.Single(rows.LintRow(row).Errors);
        Assert.Equal((4, code), (error.Line, error.Code));
        Unwarned(rows.LintRow(control));
    }

    private static void Unwarned(LintReport report)
    {
        Assert.Empty(report.Errors);
        Assert.Empty(report.Warnings);
    }

    [Fact]
    public void N1_OnlyAnswersOfWeight0_IsAnErrorWithLine()
        => Refused(Chat("\"content\":\"Yes.\",\"weight\":0"), "all_weights_zero", Chat("\"content\":\"Yes.\",\"weight\":1"));

    [Fact]
    public void N3_EmptyAnswer_IsAnErrorWithLine() => Refused(Chat("\"content\":\"\""), "empty_answer", Chat("\"content\":\"Yes.\""));

    [Fact]
    public void N4_EmptyMessages_IsAnErrorWithLine() => Refused("""{"messages":[]}""", "messages_empty", Chat("\"content\":\"Yes.\""));

    [Fact]
    public void P4_UnknownRole_IsAnErrorWithPath()
    {
        Refused("""{"messages":[{"role":"human","content":"Hi?"},{"role":"assistant","content":"Yes."}]}""", "unknown_role", Chat("\"content\":\"Yes.\""));
        Assert.Equal("$.messages[0].role", rows.LintRow("""{"messages":[{"role":"human","content":"Hi?"},{"role":"assistant","content":"Yes."}]}""").Errors[0].Path);
    }

    [Fact]
    public void P5_ContentAbsent_IsAnError()
    {
        Refused(Chat("\"content\":null"), "content_null", Chat("\"content\":\"Yes.\""));
        Refused(Chat("\"name\":\"bot\""), "content_missing", Chat("\"name\":\"bot\",\"content\":\"Yes.\""));
    }

    [Fact]
    public void P6_PlainRowAmongChatRows_IsAnError() => Refused("""{"text":"Hi? Yes."}""", "mixed_kinds", Chat("\"content\":\"Yes.\""));

    [Fact]
    public void D1_ValidationRowsAreTrainingRows_IsAnErrorWithBothLines()
    {
        byte[] training = TrainingFiles.Rows(Enumerable.Range(1, 10).Select(TrainingFiles.Good));

        var error = Assert.Single(TrainingFiles.Lint(training, validation: TrainingFiles.Rows([TrainingFiles.Good(11), TrainingFiles.Good(3)])).Errors);
        Assert.Equal((2, "validation_row_in_training"), (error.Line, error.Code));
        Assert.Contains("line 3 of the training file", error.Message, StringComparison.Ordinal);
        Unwarned(TrainingFiles.Lint(training, validation: TrainingFiles.Rows([TrainingFiles.Good(11), TrainingFiles.Good(12)])));
    }

    [Fact]
    public void D2_OneRowManyTimes_IsAWarningWithCount()
    {
        var report = TrainingFiles.Lint(TrainingFiles.Rows(Enumerable.Range(1, 10).Concat([2, 2, 2]).Select(TrainingFiles.Good)));

        Assert.True(report.Ok);
        Assert.Equal(3, report.Stats.DuplicateRows);
        Assert.Equal([11, 12, 13], report.Warnings.Select(w => w.Line));
        Unwarned(TrainingFiles.Lint(TrainingFiles.Rows(Enumerable.Range(1, 13).Select(TrainingFiles.Good))));
    }

    [Fact]
    public void D3_SameQuestionOtherAnswer_IsAWarningWithLines()
    {
        string row = TrainingFiles.Good(2).Replace("Answer 2", "No answer", StringComparison.Ordinal);

        var warning = Assert.Single(rows.LintRow(row).Warnings);
        Assert.Equal((4, "conflicting_answers"), (warning.Line, warning.Code));
        Assert.Contains("line 2", warning.Message, StringComparison.Ordinal);
        Unwarned(rows.LintRow(row.Replace("Question 2", "Question 20", StringComparison.Ordinal)));
    }

    [Fact]
    public void D5_BadRowsAmongThousands_AreAllNamed()
    {
        string[] lines = [.. Enumerable.Range(1, 5000).Select(TrainingFiles.Good)];
        Unwarned(TrainingFiles.Lint(TrainingFiles.Rows(lines)));

        lines[3210] = "{\"messages\":7}";
        lines[4321] = lines[4321][..40];

        Assert.Equal([3211, 4322], TrainingFiles.Lint(TrainingFiles.Rows(lines)).Errors.Select(e => e.Line));
    }

    [Fact]
    public void T2_TemplateEndsTurnsOtherwiseThanTheFileSays_IsKnownToTheEncoder()
    {
        const string Template = "{% for m in messages %}{{ m.role }}: {{ m.content }}<|endoftext|>\n{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}";
        var encoder = rows.With(Template);

        encoder.Encode(SmolLm2Rows.Row(Chat("\"content\":\"Yes.\"")), cancellationToken: TestContext.Current.CancellationToken);

        Assert.Equal([rows.Model.Tokenizer.TokenId("<|endoftext|>")!.Value], encoder.EndsOfTurn);
        Assert.DoesNotContain("stop_token_differs", rows.LintRow(Chat("\"content\":\"Yes.\"")).Warnings.Select(w => w.Code));
    }
}
