using System.Text;
using Hone.Formats.Jobs;
using Hone.Formats.TrainingData;

namespace Hone.Formats.Tests.TrainingData;

/// <summary>One row among ten sound ones, and what is said of it: code, JSON path, and a word that the message must hold.</summary>
public sealed class LinterRowTests
{
    private const string U = """{"role":"user","content":"Hi?"}""";
    private const string A = """{"role":"assistant","content":"Yes."}""";
    private const string Call = """{"role":"assistant","tool_calls":[{"id":"c1","type":"function","function":{"name":"look","arguments":"{}"}}]}""";
    private const string Tools = """[{"type":"function","function":{"name":"look","parameters":{"type":"object"}}}]""";
    private const string In = "\"input\":{\"messages\":[" + U + "]}";

    private static string Chat(params string[] messages) => "{\"messages\":[" + string.Join(',', messages) + "]}";

    private static string Answer(string fields) => Chat(U, "{\"role\":\"assistant\"," + fields + "}");

    private static string CallWith(string call) => Chat(U, """{"role":"assistant","content":null,"tool_calls":[""" + call + "]}");

    public static TheoryData<string, string, string?, string> Errors() => new()
    {
        // What is no JSON
        { """{"messages":[""", "not_json", null, "cut off" },
        { """{"messages":[{"role":"user","content":"Hi""", "not_json", null, "cut off inside a string" },
        { """{"messages":[{"role":"user","content":"say "hi" now"}]}""", "not_json", null, "follows the end of a string" },
        { """{"messages":[{"role":"user" "content":"Hi"}]}""", "not_json", null, "comma is missing" },
        { """{messages:[]}""", "not_json", null, "double quotes" },
        { """{"messages":[{"role":"user","content":"it\'s"}]}""", "not_json", null, @"\'" },
        { """{"messages":None}""", "not_json", null, "None" },
        { """{"messages":[],"weight":-Infinity}""", "not_json", null, "-Infinity" },
        { """{"messages":[],"ok":True}""", "not_json", null, "True" },
        { """{"messages":[],"a":01}""", "not_json", null, "number" },
        { """{"messages":[],"a":+1}""", "not_json", null, "number" },
        { """{“messages”:[]}""", "not_json", null, "typographic" },
        { """{"messages":[]} // good""", "text_after_object", null, "// good" },
        { Chat(U, A) + Chat(U, A), "text_after_object", null, "text after the object" },
        { Chat(U, A) + ",", "text_after_object", null, "text after the object" },
        { """{"messages":[] /* none */}""", "not_json", null, "comment" },
        { "\uFEFF" + Chat(U, A), "byte_order_mark_inside", null, "byte order mark" },
        { """{"messages":[{"role":"user","content":"\udc00"}]}""", "lone_surrogate", "$.messages[0].content", "surrogate" },
        { """{"messages":[{"role":"user","content":"\ud83d\ud83d\ude00"}]}""", "lone_surrogate", "$.messages[0].content", "surrogate" },
        { """{"messages":[{"role":"user","content":"Hi","role":"assistant"}]}""", "duplicate_key", "$.messages[0].role", "role appears twice" },
        { "{\"messages\":[" + U + "," + A + """],"metadata":{},"tools":[{"type":"function","function":{"name":"f","parameters":{"a":1,"\u0061":2}}}]}""", "duplicate_key", "$.tools[0].function.parameters.a", "appears twice" },
        { "{\"messages\":[" + U + "," + A + "],\"metadata\":{" + string.Join(',', Enumerable.Range(0, 40).Select(i => $"\"k{i}\":0")) + ",\"k7\":1}}", "duplicate_key", "$.metadata.k7", "k7 appears twice" },
        { new string('[', 100_000), "nested_too_deeply", null, "nested too deeply" },

        // What is no row
        { "null", "row_not_object", "$", "null" },
        { "42", "row_not_object", "$", "number" },
        { "\"text\"", "row_not_object", "$", "text" },
        { "[" + U + "," + A + "]", "row_not_object", "$", "list" },
        { "{}", "row_empty", "$", "empty" },
        { """{"conversations":[{"from":"human","value":"Hi"}]}""", "messages_missing", "$", "messages is missing" },
        { """{"message":[]}""", "messages_missing", "$", "messages is missing" },
        { """{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}],"prompt":"x","completion":"y"}""", "row_ambiguous", "$.prompt", "both" },

        // Messages
        { Chat([.. Enumerable.Repeat(U, 2_048), A]), "too_many_messages", "$.messages", "2,049" },
        { CallWith(string.Join(',', Enumerable.Range(0, 129).Select(i => $$$"""{"id":"{{{i}}}","type":"function","function":{"name":"f","arguments":"{}"}}"""))), "too_many_tool_calls", "$.messages[1].tool_calls", "129" },
        { "{\"messages\":[" + U + "," + A + "],\"tools\":[" + string.Join(',', Enumerable.Range(0, 129).Select(i => $$$"""{"type":"function","function":{"name":"f{{{i}}}"}}""")) + "]}", "too_many_tools", "$.tools", "129" },
        { """{"messages":null}""", "messages_not_list", "$.messages", "null" },
        { """{"messages":"Hi"}""", "messages_not_list", "$.messages", "text" },
        { Chat("\"Hi\"", A), "message_not_object", "$.messages[0]", "text" },
        { Chat("null", A), "message_not_object", "$.messages[0]", "null" },
        { Chat("""{"content":"Hi"}""", A), "role_missing", "$.messages[0].role", "role is missing" },
        { Chat("""{"role":7,"content":"Hi"}""", A), "role_not_text", "$.messages[0].role", "number" },
        { Chat("""{"role":null,"content":"Hi"}""", A), "role_not_text", "$.messages[0].role", "null" },
        { Chat("""{"role":"","content":"Hi"}""", A), "unknown_role", "$.messages[0].role", "empty" },
        { Chat("""{"role":"User","content":"Hi"}""", A), "unknown_role", "$.messages[0].role", "User" },
        { Chat("""{"role":"human","content":"Hi"}""", A), "unknown_role", "$.messages[0].role", "human" },
        { Chat("""{"role":"user"}""", A), "content_missing", "$.messages[0].content", "missing" },
        { Chat("""{"role":"user","content":null}""", A), "content_null", "$.messages[0].content", "null" },
        { Chat("""{"role":"user","content":{"a":1}}""", A), "content_not_text", "$.messages[0].content", "object" },
        { Answer("\"content\":true"), "content_not_text", "$.messages[1].content", "boolean" },
        { Answer("\"content\":\"\""), "empty_answer", "$.messages[1].content", "empty" },
        { Answer("\"content\":\" \\n\\t \""), "empty_answer", "$.messages[1].content", "empty" },
        { Answer("\"content\":\"\\u00a0\\u3000\""), "empty_answer", "$.messages[1].content", "empty" },
        { Answer("\"content\":[]"), "empty_answer", "$.messages[1].content", "no parts" },
        { Answer("\"content\":[{\"type\":\"text\",\"text\":\" \"}]"), "empty_answer", "$.messages[1].content", "empty" },
        { Answer("\"content\":[\"Yes\"]"), "content_part_invalid", "$.messages[1].content[0]", "part" },
        { Answer("\"content\":[{\"type\":\"text\"}]"), "content_part_invalid", "$.messages[1].content[0].text", "text" },
        { Chat("""{"role":"user","content":[{"type":"input_audio","input_audio":{}}]}""", A), "content_part_not_text", "$.messages[0].content[0]", "audio part" },
        { Chat("""{"role":"user","content":[{"type":"hologram"}]}""", A), "content_part_unknown", "$.messages[0].content[0]", "hologram" },
        { Answer("\"content\":null,\"refusal\":\"I cannot.\""), "content_null", "$.messages[1].content", "refusal" },
        { Answer("\"content\":\"Yes.\",\"audio\":{\"id\":\"a1\"}"), "audio_not_supported", "$.messages[1].audio", "text only" },
        { Answer("\"content\":\"Yes.\",\"name\":7"), "name_not_text", "$.messages[1].name", "number" },
        { Answer("\"content\":\"Yes.\",\"weight\":\"1\""), "weight_invalid", "$.messages[1].weight", "weight must be 0 or 1" },
        { Answer("\"content\":\"Yes.\",\"weight\":true"), "weight_invalid", "$.messages[1].weight", "true" },
        { Answer("\"content\":\"Yes.\",\"weight\":0.5"), "weight_invalid", "$.messages[1].weight", "0.5" },
        { Answer("\"content\":\"Yes.\",\"weight\":-1"), "weight_invalid", "$.messages[1].weight", "-1" },
        { Answer("\"content\":\"Yes.\",\"weight\":[1]"), "weight_invalid", "$.messages[1].weight", "[1]" },
        { Chat(U, A, U), "last_message_not_assistant", "$.messages[2]", "last message" },
        { Chat(U, """{"role":"developer","content":"Be kind."}""", A), "system_not_first", "$.messages[1].role", "first" },
        { Chat("""{"role":"system","content":"a"}""", """{"role":"system","content":"b"}""", U, A), "system_not_first", "$.messages[1].role", "first" },

        // Tools
        { Answer("\"content\":\"Yes.\",\"tool_calls\":[]"), "tool_calls_empty", "$.messages[1].tool_calls", "empty" },
        { CallWith("7"), "tool_call_not_object", "$.messages[1].tool_calls[0]", "number" },
        { CallWith("""{"type":"function","function":{"name":"look","arguments":"{}"}}"""), "tool_call_id_missing", "$.messages[1].tool_calls[0].id", "id" },
        { CallWith("""{"id":"c1","type":"code","function":{"name":"look","arguments":"{}"}}"""), "tool_type_unknown", "$.messages[1].tool_calls[0].type", "function" },
        { CallWith("""{"id":"c1","type":"function"}"""), "tool_function_missing", "$.messages[1].tool_calls[0].function", "function" },
        { CallWith("""{"id":"c1","type":"function","function":{"arguments":"{}"}}"""), "tool_name_missing", "$.messages[1].tool_calls[0].function.name", "name" },
        { CallWith("""{"id":"c1","type":"function","function":{"name":"look"}}"""), "tool_arguments_missing", "$.messages[1].tool_calls[0].function.arguments", "arguments" },
        { CallWith("""{"id":"c1","type":"function","function":{"name":"look","arguments":""}}"""), "tool_arguments_not_json", "$.messages[1].tool_calls[0].function.arguments", "not JSON" },
        { CallWith("""{"id":"c1","type":"function","function":{"name":"look","arguments":"[1]"}}"""), "tool_arguments_not_object", "$.messages[1].tool_calls[0].function.arguments", "object" },
        { CallWith("""{"id":"c1","type":"function","function":{"name":"look","arguments":7}}"""), "tool_arguments_not_object", "$.messages[1].tool_calls[0].function.arguments", "number" },
        { Chat(U, """{"role":"tool","content":"x","tool_call_id":"c9"}""", A), "tool_call_unknown", "$.messages[1].tool_call_id", "c9" },
        { Chat(U, Call, """{"role":"tool","content":"x","tool_call_id":7}""", A), "tool_call_id_not_text", "$.messages[2].tool_call_id", "number" },
        { Chat("""{"role":"user","content":"Hi","tool_calls":[]}""", A), "tool_calls_not_allowed", "$.messages[0].tool_calls", "user" },
        { Chat("""{"role":"user","content":"Hi","tool_call_id":"c1"}""", A), "tool_call_id_not_allowed", "$.messages[0].tool_call_id", "user" },
        { Chat(U, """{"role":"function","content":"x"}""", A), "name_missing", "$.messages[1].name", "name" },
        { "{\"messages\":[" + U + "," + A + "],\"tools\":{}}", "tools_not_list", "$.tools", "object" },
        { "{\"messages\":[" + U + "," + A + "],\"tools\":[{\"type\":\"function\"}]}", "tool_function_missing", "$.tools[0].function", "function" },
        { "{\"messages\":[" + U + "," + A + "],\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"\"}}]}", "tool_name_missing", "$.tools[0].function.name", "name" },
        { "{\"messages\":[" + U + "," + A + "],\"parallel_tool_calls\":\"no\"}", "parallel_tool_calls_not_boolean", "$.parallel_tool_calls", "text" },
    };

    [Theory]
    [MemberData(nameof(Errors))]
    public void Lint_BrokenRow_IsOneErrorAtItsLine(string row, string code, string? path, string word)
    {
        var report = TrainingFiles.LintRow(row);

        var error = Assert.Single(report.Errors);
        Assert.Equal((4, code, path), (error.Line, error.Code, error.Path));
        Assert.Contains(word, error.Message, StringComparison.Ordinal);
        Assert.NotNull(error.Hint);
        Assert.DoesNotContain(report.Warnings, w => w.Line != 4);
    }

    [Theory]
    [InlineData("""{"prompt":"Hi?","chosen":"Yes.","rejected":"No."}""")]
    [InlineData("""{"prompt":[{"role":"user","content":"Hi?"}],"chosen":[{"role":"assistant","content":"Yes."}],"rejected":[{"role":"assistant","content":"No."}],"id":1}""")]
    [InlineData("""{"chosen":[{"role":"user","content":"Hi?"},{"role":"assistant","content":"Yes."}],"rejected":[{"role":"user","content":"Hi?"},{"role":"assistant","content":"No."}]}""")]
    public void Bug_PairsAsAnotherTrainerSpellsThem_WereSaidToLackACompletion(string row)
    {
        var error = Assert.Single(TrainingFiles.LintRow(row).Errors);

        Assert.Equal((4, "preference_spelling", "$"), (error.Line, error.Code, error.Path));
        Assert.Contains("method dpo", error.Message, StringComparison.Ordinal);
        Assert.All(RowShape.Preferred.Concat(RowShape.NonPreferred), spelling => Assert.Contains(spelling, error.Hint, StringComparison.Ordinal));
    }

    public static TheoryData<string, string, string?> Warnings() => new()
    {
        { "{\"messages\":[" + U + "," + A + "],\"topic\":\"bread\"}", "unknown_key", "$.topic" },
        { Answer("\"content\":\"Yes.\",\"wieght\":1"), "unknown_key", "$.messages[1].wieght" },
        { Chat("""{"role":"user","content":""}""", A), "empty_content", "$.messages[0].content" },
        { Chat("""{"role":"user","content":"Hi","weight":1}""", A), "weight_ignored", "$.messages[0].weight" },
        { Answer("\"content\":\"Yes.\",\"refusal\":\"No.\""), "refusal_ignored", "$.messages[1].refusal" },
        { Chat(U, """{"role":"assistant","function_call":{"name":"look","arguments":"{}"}}"""), "deprecated", "$.messages[1].function_call" },
        { "{\"messages\":[" + U + "," + A + "],\"functions\":[{\"name\":\"look\",\"parameters\":{}}]}", "deprecated", "$.functions" },
        { "{\"messages\":[" + U + "," + A + "],\"tools\":[]}", "tools_empty", "$.tools" },
        { "{\"messages\":[" + U + ",{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"c1\",\"type\":\"function\",\"function\":{\"name\":\"lok\",\"arguments\":\"{}\"}}]}],\"tools\":" + Tools + "}", "tool_not_declared", "$.messages[1].tool_calls[0].function.name" },
        { Chat(U, Call, U, A), "tool_call_unanswered", "$.messages[2]" },
        { Answer("\"content\":\"caf\uFFFD\""), "replacement_character", "$.messages[1].content" },
        { Answer("\"content\":\"caf\\ufffd\""), "replacement_character", "$.messages[1].content" },
        { Answer("\"content\":\"cafÃ©\""), "wrongly_decoded", "$.messages[1].content" },
        { TrainingFiles.Good(2), "duplicate_row", "$" },
        { """{ "messages": [{"content": "Question \u0032?", "role": "user", "name": null}, {"role": "assistant", "content": "Answer 2.", "weight": 1}] }""", "duplicate_row", "$" },
        { """{"messages":[{"role":"user","content":"Question 2?"},{"role":"assistant","content":"Else."}]}""", "conflicting_answers", "$" },
    };

    [Theory]
    [MemberData(nameof(Warnings))]
    public void Lint_DoubtfulRow_IsOneWarningAtItsLine(string row, string code, string? path)
    {
        var report = TrainingFiles.LintRow(row);

        Assert.Empty(report.Errors);
        var warning = Assert.Single(report.Warnings);
        Assert.Equal((4, code, path), (warning.Line, warning.Code, warning.Path));
    }

    public static TheoryData<string> Sound() =>
    [
        Chat(U, A),
        Chat(A),
        Chat(U, A, U, A),
        Chat("""{"role":"system","content":""}""", U, A),
        Chat("""{"role":"developer","content":"Be kind."}""", U, A),
        Chat("""{"role":"user","name":"Ada","content":"Hi"}""", A),
        Chat(U, """{"role":"assistant","content":"","weight":0}""", U, A),
        Chat("""{"role":"user","content":[{"type":"text","text":"Hi"},{"type":"text","text":"there"}]}""", A),
        Answer("\"content\":\"Yes.\",\"weight\":1,\"refusal\":null,\"tool_calls\":null,\"function_call\":null,\"audio\":null,\"name\":null"),
        Answer("\"content\":\"Yes.\",\"weight\":1.0"),
        Answer("\"content\":\"Yes.\",\"reasoning_content\":\"Hm.\""),
        Answer("\"content\":\"\\ud83d\\ude00 caf\\u00e9 naïve — Ça\""),
        Answer("\"content\":\"\\u0000 is a NUL, written as JSON demands\""),
        "{\"messages\":[" + U + "," + Call + ",{\"role\":\"tool\",\"content\":\"\",\"tool_call_id\":\"c1\"}," + A + "],\"tools\":" + Tools + ",\"parallel_tool_calls\":false}",
        Chat(U, Call),
        "{\"messages\":[" + U + "," + A + "],\"metadata\":{\"source\":[1,2]},\"id\":7}",
        "\t " + Chat(U, A) + " \r",
    ];

    [Theory]
    [MemberData(nameof(Sound))]
    public void Lint_SoundRow_PassesUnwarned(string row)
    {
        var report = TrainingFiles.LintRow(row);

        Assert.Empty(report.Errors);
        Assert.Empty(report.Warnings);
        Assert.Equal(11, report.Stats.Rows);
    }

    public static TheoryData<string, string, string> Preferences() => new()
    {
        { "{" + In + ",\"preferred_output\":[" + A + "]}", "non_preferred_output_missing", "$" },
        { "{\"preferred_output\":[" + A + "],\"non_preferred_output\":[]}", "input_missing,non_preferred_output_empty", "$,$.non_preferred_output" },
        { "{\"input\":\"Hi\",\"preferred_output\":[" + A + "],\"non_preferred_output\":[" + A.Replace("Yes", "No") + "]}", "input_not_object", "$.input" },
        { "{\"input\":{},\"preferred_output\":[" + A + "],\"non_preferred_output\":[" + A.Replace("Yes", "No") + "]}", "messages_missing", "$.input" },
        { "{" + In + ",\"preferred_output\":\"Yes\",\"non_preferred_output\":[" + A + "]}", "preferred_output_not_list", "$.preferred_output" },
        { "{" + In + ",\"preferred_output\":[" + U + "," + A + "],\"non_preferred_output\":[" + A + "]}", "role_not_allowed", "$.preferred_output[0].role" },
        { "{" + In + ",\"preferred_output\":[" + A + "],\"non_preferred_output\":[" + A + "]}", "equal_answers", "$.non_preferred_output" },
        { "{" + In + ",\"preferred_output\":[" + A.Replace("Yes.", "") + "],\"non_preferred_output\":[" + A + "]}", "empty_answer", "$.preferred_output[0].content" },
        { "{" + In + ",\"preferred_output\":[" + A + "],\"preferred_completion\":[" + A + "],\"non_preferred_output\":[" + A.Replace("Yes", "No") + "]}", "row_ambiguous", "$.preferred_output" },
        { "{" + In + ",\"preferred_completion\":[" + A + "],\"non_preferred_completion\":[" + A.Replace("Yes", "No") + "]}", "", "" },
        { "{" + In + ",\"preferred_output\":[" + Call + ",{\"role\":\"tool\",\"tool_call_id\":\"c1\",\"content\":\"1\"}," + A + "],\"non_preferred_output\":[" + A + "]}", "", "" },
    };

    [Theory]
    [MemberData(nameof(Preferences))]
    public void Lint_PreferenceRow_IsJudged(string row, string codes, string paths)
    {
        var report = TrainingFiles.Lint(TrainingFiles.Rows(Enumerable.Range(0, 10)
            .Select(i => $$"""{"input":{"messages":[{"role":"user","content":"Q{{i}}"}]},"preferred_output":[{"role":"assistant","content":"good"}],"non_preferred_output":[{"role":"assistant","content":"bad"}]}""")
            .Append(row)));

        Assert.Equal(codes, string.Join(',', report.Errors.Select(e => e.Code)));
        Assert.Equal(paths, string.Join(',', report.Errors.Select(e => e.Path)));
        Assert.All(report.Errors, e => Assert.Equal(11, e.Line));
        Assert.Empty(report.Warnings);
    }

    public static TheoryData<string, string> Pairs() => new()
    {
        { """{"prompt":"Q","completion":" A"}""", "" },
        { """{"prompt":"Q"}""", "completion_missing" },
        { """{"completion":"A"}""", "prompt_missing" },
        { """{"prompt":["Q"],"completion":"A"}""", "prompt_not_text" },
        { """{"prompt":"Q","completion":null}""", "completion_not_text" },
        { """{"prompt":"Q","completion":"  "}""", "empty_answer" },
        { """{"text":"A text."}""", "mixed_kinds" },
        { """{"text":""}""", "row_empty,mixed_kinds" },
        { """{"prompt":"Q","completion":"A","text":"B"}""", "row_ambiguous" },
    };

    [Theory]
    [MemberData(nameof(Pairs))]
    public void Lint_PromptCompletionRow_IsJudged(string row, string codes)
    {
        var report = TrainingFiles.Lint(TrainingFiles.Rows(Enumerable.Range(0, 10).Select(i => $$"""{"prompt":"P{{i}}","completion":" C"}""").Append(row)));

        Assert.Equal(codes.Split(',', StringSplitOptions.RemoveEmptyEntries).Order(), report.Errors.Select(e => e.Code).Order());
        Assert.All(report.Errors, e => Assert.Equal(11, e.Line));
    }

    [Fact]
    public void Lint_StrictFalse_DropsRowsThatTeachNothing()
    {
        string[] rows = [Chat(U, A.Replace("}", ",\"weight\":0}")), Chat(U)];
        foreach (string row in rows)
        {
            Assert.False(TrainingFiles.LintRow(row).Ok);
            var report = TrainingFiles.LintRow(row, new TrainingConfig { Strict = false });
            Assert.True(report.Ok);
            Assert.Equal(4, Assert.Single(report.Warnings).Line);
        }
    }

    [Fact]
    public void Lint_ManyFaults_AreAllReportedUpToTheCap()
    {
        var report = TrainingFiles.Lint(TrainingFiles.Rows(Enumerable.Range(1, 250).Select(_ => "{").Append(Chat("7", """{"role":"x","content":1}"""))));

        Assert.Equal(253, report.Stats.ErrorCount);
        Assert.Equal(Enumerable.Range(1, 100).Select(i => (int?)i), report.Errors.Where(e => e.Code == "not_json" && e.Line is not null).Select(e => e.Line));
        Assert.Contains("150 more", Assert.Single(report.Errors, e => e.Line is null).Message, StringComparison.Ordinal);
        Assert.Equal(["message_not_object", "unknown_role", "content_not_text"], report.Errors.Where(e => e.Line == 251).Select(e => e.Code));
    }

    [Fact]
    public void Lint_UnknownKeyInAllRows_IsOneWarningWithCount()
    {
        var report = TrainingFiles.Lint(TrainingFiles.Rows(Enumerable.Range(0, 50).Select(i => TrainingFiles.Good(i).Replace("{\"messages\"", "{\"source\":\"web\",\"messages\"", StringComparison.Ordinal))));

        var warning = Assert.Single(report.Warnings);
        Assert.Equal(1, warning.Line);
        Assert.Contains("49 more", warning.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void ToJson_Report_HasTheDocumentedKeys()
    {
        string json = TrainingFiles.LintRow(Answer("\"content\":7")).ToJson();

        Assert.StartsWith("""{"ok":false,"errors":[{"line":4,"byte":""", json, StringComparison.Ordinal);
        Assert.Contains(""","path":"$.messages[1].content","code":"content_not_text","message":"content must be text, it is a number.","hint":"Put it in double quotes."}],"warnings":[],"stats":{"rows":11,""", json, StringComparison.Ordinal);
    }

    [Fact]
    public void Lint_FaultInsideARow_PointsAtItsByte()
    {
        byte[] file = TrainingFiles.Around(Encoding.UTF8.GetBytes(Answer("\"content\":7")));

        var error = Assert.Single(TrainingFiles.Lint(file).Errors);

        Assert.Equal((byte)'7', file[(int)error.Byte!]);
    }
}
