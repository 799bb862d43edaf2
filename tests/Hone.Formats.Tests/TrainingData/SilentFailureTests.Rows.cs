using Hone.Formats.Jobs;

namespace Hone.Formats.Tests.TrainingData;

/// <summary>Rows that teach nothing, and answers that are cut.</summary>
public sealed partial class SilentFailureTests
{
    public static TheoryData<string, int?, string, string?, string> Untrained() => new()
    {
        { Pair(Words(100), "Yes."), 64, "nothing_to_learn", "$", "raise max_length" },
        { Chat("\"content\":\"Yes.\",\"weight\":0"), null, "all_weights_zero", "$.messages", "the weight 1" },
        { """{"messages":[{"role":"user","content":"Hi?"}]}""", null, "assistant_missing", "$.messages", "Add the assistant's answer" },
    };

    [Theory]
    [MemberData(nameof(Untrained))]
    public void N1_RowWithoutATrainedToken_IsRefusedOrDroppedAndCounted(string row, int? maxLength, string code, string? path, string todo)
    {
        Is(OnlyError(rows.LintRow(row, new TrainingConfig { MaxLength = maxLength })), code, 4, path, todo);

        var dropped = rows.LintRow(row, new TrainingConfig { MaxLength = maxLength, Strict = false });
        Is(OnlyWarning(dropped), code, 4, path, "he row is left out", todo);
        Assert.Equal((11, 10, 1), (dropped.Stats.Rows, dropped.Stats.Tokens!.Rows, dropped.Stats.Tokens.DroppedRows));

        var control = rows.LintRow(Pair(Words(100), "Yes."));
        Unwarned(control);
        Assert.Equal((11, 0), (control.Stats.Tokens!.Rows, control.Stats.Tokens.DroppedRows));
    }

    [Fact]
    public void N2_NoRowHasATrainedToken_IsRefusedEvenWithoutStrict()
    {
        byte[] file = TrainingFiles.Rows(Enumerable.Range(1, 10).Select(i => Pair($"{i} {Words(100)}", "Yes.")));

        Assert.All(rows.Lint(file, Cut(64)).Errors.Index(), e => Is(e.Item, "nothing_to_learn", e.Index + 1, "$", "64 are allowed", "raise max_length"));
        Is(Assert.Single(rows.Lint(file, Cut(64, strict: false)).Errors), "nothing_to_learn", null, null, "all 10 rows are left out");
        Unwarned(rows.Lint(file));
    }

    [Theory]
    [InlineData("""{"messages":[{"role":"user","content":"Hi?"},{"role":"assistant","content":""}]}""", "$.messages[1].content")]
    [InlineData("""{"messages":[{"role":"user","content":"Hi?"},{"role":"assistant","content":" \n "}]}""", "$.messages[1].content")]
    [InlineData("""{"messages":[{"role":"user","content":"Hi?"},{"role":"assistant","content":[{"type":"text","text":""}]}]}""", "$.messages[1].content")]
    public void N3_EmptyAnswer_IsRefused(string row, string path)
    {
        Is(OnlyError(rows.LintRow(row)), "empty_answer", 4, path, "nothing but the stop token would be learnt", "Write the answer");
        Unwarned(rows.LintRow(Chat("\"content\":\"Yes.\"")));
    }

    [Fact]
    public void N3_AnswerThatTheTemplateEmpties_IsRefused()
    {
        const string Hides = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content.split('</think>')[-1] }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

        Is(OnlyError(LintWith(Hides, Around(Pair("Hi?", "<think>Hm.</think>")))), "answer_not_shown", 4, "$.messages[1]", "only the stop token would be learnt", "Change the answer");
        Unwarned(LintWith(Hides, Around(Pair("Hi?", "Hm."))));
    }

    [Theory]
    [InlineData("{}", "row_empty", "$", "{\"messages\":[{\"role\":\"user\",\"content\":\"Hi?\"},{\"role\":\"assistant\",\"content\":\"Yes.\"}]}")]
    [InlineData("{\"messages\":[]}", "messages_empty", "$.messages", "{\"messages\":[{\"role\":\"user\",\"content\":\"Hi?\"},{\"role\":\"assistant\",\"content\":\"Yes.\"}]}")]
    [InlineData("{\"prompt\":\"Hi?\",\"completion\":\"\"}", "empty_answer", "$.completion", "{\"prompt\":\"Hi?\",\"completion\":\"Yes.\"}")]
    [InlineData("{\"text\":\"\"}", "row_empty", "$.text", "{\"text\":\"Hi? Yes.\"}")]
    public void N4_EmptyRow_IsRefused(string row, string code, string path, string control)
    {
        string[] around = [.. Enumerable.Range(1, 9).Select(i => control.Replace("Hi?", $"Hi {i}?", StringComparison.Ordinal))];

        Is(OnlyError(rows.Lint(TrainingFiles.Rows(around.Append(row)))), code, 10, path, "take", "out");
        Unwarned(rows.Lint(TrainingFiles.Rows(around.Append(control))));
    }

    [Fact]
    public void N5_EqualAnswers_AreRefused()
    {
        Is(OnlyError(LintPreferences(Preference("Hi?", "Yes.", "Yes."))), "equal_answers", 4, "$.non_preferred_output", "nothing to prefer", "Change one of the two");

        string cut = Preference("Hi?", Words(60) + "a", Words(60) + "b");
        Is(Assert.Single(LintPreferences(cut, Cut(64)).Errors), "equal_answers", 4, "$", "equal after the cut at 64 tokens", "raise max_length");

        Unwarned(LintPreferences(Preference("Hi?", "Yes.", "No.")));
        Unwarned(LintPreferences(cut));
    }

    [Fact]
    public void C1_CutAnswers_AreCountedAndTheirEndIsNoEnd()
    {
        string[] lines = [.. Enumerable.Range(1, 8).Select(TrainingFiles.Good), Pair("Hi?", Words(100)), Pair("Ha?", Words(200))];
        byte[] file = TrainingFiles.Rows(lines);
        int needed = rows.Encode(lines[9]).FullLength;

        var report = rows.Lint(file, Cut(80));
        Is(OnlyWarning(report), "rows_cut", 10, null, "2 rows are cut at 80 tokens", $"the longest has {needed:N0}", $"Set max_length to {needed:N0}");
        Assert.Equal((2, needed, 10), (report.Stats.Tokens!.CutRows, report.Stats.Tokens.LongestRow, report.Stats.Tokens.LongestRowLine));
        var cut = Assert.Single(rows.Encode(lines[9], Cut(80)).Rows);
        Assert.True(cut.Trained[^1]);
        Assert.DoesNotContain(Enumerable.Range(0, 80), i => cut.Trained[i] && cut.Tokens[i] == 2);

        Unwarned(rows.Lint(file, Cut(needed)));
        Assert.Equal(2, Assert.Single(rows.Encode(lines[9], Cut(needed)).Rows).Tokens[^2]);

        byte[] all = TrainingFiles.Rows(Enumerable.Range(1, 10).Select(i => Pair($"Hi {i}?", Words(100))));
        Is(OnlyError(rows.Lint(all, Cut(80))), "all_rows_cut", null, null, "no answer's end is left to learn", "Set max_length");
        Unwarned(rows.Lint(all));
    }
}
