using Hone.Formats.Models;

namespace Hone.Formats.Tests.TrainingData;

/// <summary>Stop tokens, and what chat templates do to answers.</summary>
public sealed partial class SilentFailureTests
{
    private static IEnumerable<string> Rows => Enumerable.Range(1, 10).Select(TrainingFiles.Good);

    [Fact]
    public void T1_NoEndOfTurnIsLearnt_IsRefused()
    {
        var plain = LintWith(Turns.Replace("<|im_end|>", "END", StringComparison.Ordinal), Rows);
        Assert.All(plain.Errors.Index(), e => Is(e.Item, "no_end_of_turn", e.Index + 1, "$.messages[1]", "would never learn to stop", "special token"));
        Assert.Equal(10, plain.Errors.Count);

        string marked = Turns.Replace("{{ m.content }}<|im_end|>", "{% if m.role == 'assistant' %}{% generation %}{{ m.content }}{% endgeneration %}<|im_end|>{% else %}{{ m.content }}<|im_end|>{% endif %}", StringComparison.Ordinal);
        var outside = LintWith(marked, Rows);
        Assert.All(outside.Errors.Index(), e => Is(e.Item, "end_of_turn_not_marked", e.Index + 1, "$.messages[1]", "without <|im_end|> behind it", "Move {% endgeneration %}"));
        Assert.Equal(10, outside.Errors.Count);

        Unwarned(LintWith(Turns, Rows));
        Unwarned(LintWith(marked.Replace("{% endgeneration %}<|im_end|>", "<|im_end|>{% endgeneration %}", StringComparison.Ordinal), Rows));
    }

    [Fact]
    public void T2_EndOfTurnIsNotTheFilesEnd_BecomesAStopAndIsSaid()
    {
        Is(OnlyWarning(LintWith(Turns, Rows, eos: 0)), "stop_token_differs", null, null, "answers end with <|im_end|>", "(<|endoftext|>)", "generation stops at it too");
        using var folder = new TemporaryFolder();
        using (BaseModel model = Model(folder, Turns, eos: 0))
            Assert.Equal([0, 2], model.StopTokens);

        string two = Turns.Replace("<|im_end|>", "{{ '<|endoftext|>' if m.content.endswith('!') else '<|im_end|>' }}", StringComparison.Ordinal);
        Is(OnlyError(LintWith(two, Around(Pair("Hi?", "Yes!")))), "end_of_turn_no_stop", null, null, "<|endoftext|>, at which generation does not stop", "eos_token_id");

        Unwarned(LintWith(Turns, Rows, eos: 2));
        Unwarned(LintWith(two, Around(Pair("Hi?", "Yes."))));
    }

    /// <summary>The masks go by position: the same token is the end of other turns, and text; only the trained answers' ends are learnt.</summary>
    [Fact]
    public void T3_EndAlsoPadsAndEndsOtherTurns_IsLearntWhereAnAnswerEnds()
    {
        var row = Assert.Single(rows.Encode("""{"messages":[{"role":"user","content":"a<|im_end|>b"},{"role":"assistant","content":"No.","weight":0},{"role":"user","content":"Hi?"},{"role":"assistant","content":"Yes."}]}""").Rows);

        int[] ends = [.. Enumerable.Range(0, row.Tokens.Length).Where(i => row.Tokens[i] == 2)];
        Assert.Equal([false, false, false, false, false, true], ends.Select(i => row.Trained[i]));
        Assert.EndsWith("<|im_start|>assistant\n⟦Yes.<|im_end|>⟧\n", rows.Marked(row), StringComparison.Ordinal);
        Unwarned(rows.LintRow("""{"messages":[{"role":"user","content":"ab"},{"role":"assistant","content":"No.","weight":0},{"role":"user","content":"Hi?"},{"role":"assistant","content":"Yes."}]}"""));
    }

    [Fact]
    public void P1_TemplateDeletesEarlierThinking_EveryTurnIsLearntAsItIsAnswered()
    {
        const string Deletes = """
            {%- for m in messages -%}
            <|im_start|>{{ m.role }}
            {% if m.role == 'assistant' and '</think>' in m.content and not loop.last %}{{ m.content.split('</think>')[-1].strip() }}{% else %}{{ m.content }}{% endif %}<|im_end|>
            {% endfor -%}
            {%- if add_generation_prompt %}<|im_start|>assistant
            {% endif -%}
            """;
        const string Thinking = """{"messages":[{"role":"user","content":"Q1"},{"role":"assistant","content":"<think>T1</think>A1"},{"role":"user","content":"Q2"},{"role":"assistant","content":"<think>T2</think>A2"}]}""";
        string other = Thinking.Replace("Q1", "Q3", StringComparison.Ordinal);

        Is(OnlyWarning(LintWith(Deletes, Around(Thinking).Append(other))), "row_split", 4, "$.messages[1]", "learnt as a row of its own", "in 1 more place");
        Assert.Equal([
            "<|im_start|>user\nQ1<|im_end|>\n<|im_start|>assistant\n⟦<think>T1</think>A1<|im_end|>⟧\n",
            "<|im_start|>user\nQ1<|im_end|>\n<|im_start|>assistant\nA1<|im_end|>\n<|im_start|>user\nQ2<|im_end|>\n<|im_start|>assistant\n⟦<think>T2</think>A2<|im_end|>⟧\n",
        ], rows.Encode(Thinking, template: Deletes).Rows.Select(rows.Marked));

        string control = Thinking.Replace("<think>T1</think>", "", StringComparison.Ordinal);
        Unwarned(LintWith(Deletes, Around(control)));
        Assert.Single(rows.Encode(control, template: Deletes).Rows);
    }

    [Fact]
    public void P2_PromptAndAnswerMelt_OnlyWhatIsTheAnswersIsLearntAndSaid()
    {
        string row = Pair("Hi?", "\n\nYes.");
        Is(OnlyWarning(rows.LintRow(row)), "token_across_boundary", 4, "$.messages[1]", @"'\n\n'", "not learnt", "Let the answer begin with a letter");
        Assert.EndsWith("<|im_start|>assistant\n\n⟦\nYes.<|im_end|>⟧\n", rows.Marked(Assert.Single(rows.Encode(row).Rows)), StringComparison.Ordinal);

        string other = Turns.Replace("assistant\n{% endif %}", "assistant\nReply: {% endif %}", StringComparison.Ordinal);
        var notPrefix = OnlyWarning(LintWith(other, Rows));
        Is(notPrefix, "generation_prompt_differs", 1, "$.messages[1]", "'Reply: '", "in 9 more places", "hone lint");
        Assert.EndsWith("assistant\n⟦Yes.<|im_end|>⟧\n", rows.Marked(Assert.Single(rows.Encode(Pair("Hi?", "Yes."), template: other).Rows)), StringComparison.Ordinal);

        Unwarned(rows.LintRow(Pair("Hi?", "Yes.")));
        Unwarned(LintWith(other, Rows.Select(r => r.Replace("Answer ", "Reply: ", StringComparison.Ordinal))));
    }

    [Fact]
    public void P3_GenerationPromptOpensThinkingAndTheAnswerHasNone_IsSaid()
    {
        string thinks = Turns.Replace("assistant\n{% endif %}", "assistant\n<think>\n{% endif %}", StringComparison.Ordinal);

        Is(OnlyWarning(LintWith(thinks, Thoughtful(1, 9).Prepend(Pair("Hi?", "Yes.")))),
            "generation_prompt_differs", 1, "$.messages[1]", @"'<think>\n'", "Begin the answer with its thinking");
        Unwarned(LintWith(thinks, Thoughtful(1, 10)));

        static IEnumerable<string> Thoughtful(int first, int count) => Enumerable.Range(first, count).Select(i => Pair($"Hi {i}?", "<think>\nHm.\n</think>\nYes."));
    }

    [Fact]
    public void P4_UnknownRole_IsRefusedAndALostMessageIsSaid()
    {
        Is(OnlyError(rows.LintRow("""{"messages":[{"role":"human","content":"Hi?"},{"role":"assistant","content":"Yes."}]}""")), "unknown_role", 4, "$.messages[0].role", "unknown role human", "Did you mean user?");
        Is(OnlyError(rows.LintRow("""{"messages":[{"role":"user","content":"Hi?"},{"role":"critic","content":"Bad."},{"role":"assistant","content":"Yes."}]}""")), "unknown_role", 4, "$.messages[1].role", "unknown role critic", "Roles are system, user, assistant and tool");

        const string System = """{"messages":[{"role":"system","content":"Be kind."},{"role":"user","content":"Hi?"},{"role":"assistant","content":"Yes."}]}""";
        string drops = Turns.Replace("{% for m in messages %}", "{% for m in messages if m.role != 'system' %}", StringComparison.Ordinal);
        Is(OnlyWarning(LintWith(drops, Around(System))), "message_not_shown", 4, "$.messages[0]", "the system's message", "leaves it out");

        Unwarned(rows.LintRow(Pair("Hi?", "Yes.")));
        Unwarned(LintWith(Turns, Around(System)));
    }

    [Theory]
    [InlineData("\"content\":null", "content_null")]
    [InlineData("\"name\":\"bot\"", "content_missing")]
    public void P5_AnswerWithoutContent_IsRefused(string fields, string code)
    {
        Is(OnlyError(rows.LintRow(Chat(fields))), code, 4, "$.messages[1].content", "an empty answer would be learnt", "Write the answer");
        Unwarned(rows.LintRow(Chat("\"name\":\"bot\",\"content\":\"Yes.\"")));

        const string Calls = """
            "content":null,"tool_calls":[{"id":"c","type":"function","function":{"name":"look","arguments":"{}"}}]},{"role":"tool","tool_call_id":"c","content":"1"},{"role":"assistant","content":"Yes."
            """;
        Unwarned(TrainingFiles.LintRow(Chat(Calls)));
    }

    [Theory]
    [InlineData("""{"text":"Hi? Yes."}""", "text")]
    [InlineData("""{"prompt":"Hi?","completion":"Yes."}""", "prompt/completion")]
    public void P6_PlainRowAmongChatRows_IsRefused(string row, string kind)
    {
        Is(OnlyError(rows.LintRow(row)), "mixed_kinds", 4, "$", $"{kind} row in a file of chat rows", "Write all rows of a file in one form");
        Unwarned(rows.LintRow(Pair("Hi?", "Yes.")));
        Unwarned(rows.Lint(TrainingFiles.Rows(Enumerable.Range(1, 10).Select(i => row.Replace("Hi?", $"Hi {i}?", StringComparison.Ordinal)))));
    }
}
