namespace Hone.Formats.Tests.TrainingData;

/// <summary>What files as a whole hide.</summary>
public sealed partial class SilentFailureTests
{
    [Fact]
    public void D1_ValidationRowsAreTrainingRows_IsRefusedWithPairsOfLines()
    {
        byte[] training = TrainingFiles.Rows(Enumerable.Range(1, 10).Select(TrainingFiles.Good));

        var some = TrainingFiles.Lint(training, validation: TrainingFiles.Rows([TrainingFiles.Good(11), TrainingFiles.Good(3), " " + TrainingFiles.Good(7).Replace("Answer", "\\u0041nswer", StringComparison.Ordinal)]));
        Assert.Equal(2, some.Errors.Count);
        Is(some.Errors[0], "validation_row_in_training", 2, "$", "same row as line 3 of the training file", "Take it out of one of the two files");
        Is(some.Errors[1], "validation_row_in_training", 3, "$", "same row as line 7 of the training file");
        Assert.All(some.Errors, e => Assert.Equal("validation", e.File));

        Assert.Equal(Enumerable.Range(1, 10).Select(i => (int?)i), TrainingFiles.Lint(training, validation: training).Errors.Select(e => e.Line));

        Unwarned(TrainingFiles.Lint(training, validation: TrainingFiles.Rows([TrainingFiles.Good(11), TrainingFiles.Good(12)])));
    }

    [Fact]
    public void D2_OneRowManyTimes_IsSaidWithCount()
    {
        var report = TrainingFiles.Lint(TrainingFiles.Rows(Enumerable.Range(1, 10).Concat([2, 2, 2]).Select(TrainingFiles.Good)));

        Assert.True(report.Ok);
        Assert.Equal((3, 3), (report.Stats.DuplicateRows, report.Stats.WarningCount));
        Assert.All(report.Warnings.Index(), w => Is(w.Item, "duplicate_row", w.Index + 11, "$", "same row as line 2", "Take it out"));
        var many = TrainingFiles.Lint(TrainingFiles.Rows(Enumerable.Range(1, 10).Concat(Enumerable.Repeat(2, 250)).Select(TrainingFiles.Good)));
        Assert.Equal((250, 250, 101), (many.Stats.DuplicateRows, many.Stats.WarningCount, many.Warnings.Count));
        Assert.Contains("150 more", many.Warnings[^1].Message, StringComparison.Ordinal);

        Unwarned(TrainingFiles.Lint(TrainingFiles.Rows(Enumerable.Range(1, 13).Select(TrainingFiles.Good))));
    }

    [Fact]
    public void D3_SameQuestionOtherAnswer_IsSaidWithLines()
    {
        string row = TrainingFiles.Good(2).Replace("Answer 2", "No answer", StringComparison.Ordinal);

        Is(OnlyWarning(TrainingFiles.LintRow(row)), "conflicting_answers", 4, "$", "same question as line 2, with another answer", "Keep one answer");
        Unwarned(TrainingFiles.LintRow(row.Replace("Question 2", "Question 20", StringComparison.Ordinal)));
    }

    [Theory]
    [InlineData("""{"messages":[{"role":"user","content":"What is <|im_end|>?"},{"role":"assistant","content":"Yes."}]}""", "template_token_in_text", "$.messages[0].content", "speak for another role")]
    [InlineData("""{"messages":[{"role":"user","content":"Hi?"},{"role":"assistant","content":"Yes.\u003c|im_end|> No."}]}""", "template_token_in_text", "$.messages[1].content", "an answer may end")]
    [InlineData("""{"messages":[{"role":"user","content":[{"type":"text","text":"<|im_start|>"}]},{"role":"assistant","content":"Yes."}]}""", "template_token_in_text", "$.messages[0].content[0].text", "holds <|im_start|>")]
    [InlineData("""{"messages":[{"role":"user","content":"Hi?"},{"role":"assistant","content":"Caf\ufffd."}]}""", "replacement_character", "$.messages[1].content", "Read the source again")]
    [InlineData("""{"messages":[{"role":"user","content":"CafÃ©?"},{"role":"assistant","content":"Yes."}]}""", "wrongly_decoded", "$.messages[0].content", "as UTF-8")]
    public void D4_TextHoldsTokensOrMarksOfWrongDecoding_IsSaid(string row, string code, string path, string said)
    {
        var warning = OnlyWarning(rows.LintRow(row));
        Is(warning, code, 4, path, said);
        int line = TrainingFiles.Rows(Enumerable.Range(1, 3).Select(TrainingFiles.Good)).Length;
        Assert.True(warning.Byte > line);

        Unwarned(rows.LintRow("""{"messages":[{"role":"user","content":"What is im_end, <|x|>, a café?"},{"role":"assistant","content":"Yes."}]}"""));
    }

    [Fact]
    public void D5_BadRowsAmongThousands_AreAllNamedAtOnce()
    {
        string[] lines = [.. Enumerable.Range(1, 5000).Select(TrainingFiles.Good)];
        Unwarned(TrainingFiles.Lint(TrainingFiles.Rows(lines)));

        lines[3210] = "{\"messages\":7}";
        lines[4321] = lines[4321][..40];
        lines[4999] = Chat("\"content\":\"\"");

        var errors = TrainingFiles.Lint(TrainingFiles.Rows(lines)).Errors;
        Assert.Equal(3, errors.Count);
        Is(errors[0], "messages_not_list", 3211, "$.messages", "Write");
        Is(errors[1], "not_json", 4322, null, "cut off");
        Is(errors[2], "empty_answer", 5000, "$.messages[1].content", "Write the answer");
    }
}
