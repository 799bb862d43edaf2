using System.Runtime.InteropServices;
using System.Text.Json;
using System.Text.Json.Nodes;
using Hone.Formats.ChatTemplates;
using Hone.Formats.Jobs;
using Hone.Formats.Safetensors;
using Hone.Formats.Tests.Tokenizers;
using Hone.Formats.TrainingData;

namespace Hone.Formats.Tests.TrainingData;

public sealed class RowEncoderTests(SmolLm2Rows rows) : IClassFixture<SmolLm2Rows>
{
    private const string Head = SmolLm2Rows.System + "<|im_start|>user\nHi?<|im_end|>\n<|im_start|>assistant\n";

    [Fact]
    [Trait("Category", "Reference")]
    public void Encode_SupportTriage_EqualsTheReferencesIdsAndLabels()
    {
        string folder = Path.Combine(References.Repository, "tests", "references", "smollm2");
        using var reference = SafetensorsFile.Open(Path.Combine(folder, "train.safetensors"));
        var encoder = RowEncoder.For(rows.Model, new TrainingConfig());
        TrainingRow[] examples = [.. RowReader.Read(Path.Combine(References.Repository, "examples", "support-triage", "train.jsonl")).Take(20)];
        int same = 0;
        for (int batch = 0; batch < 5; batch++)
        {
            var ids = MemoryMarshal.Cast<byte, long>(reference.ReadBytes($"batch.{batch}.input_ids"));
            var labels = MemoryMarshal.Cast<byte, long>(reference.ReadBytes($"batch.{batch}.labels"));
            int width = ids.Length / 4;
            for (int r = 0; r < 4; r++)
            {
                // The reference was made of an earlier wording of two rows: its own text is encoded, not the example's line.
                string[] turns = rows.Model.Tokenizer.Decode([.. ids.Slice(r * width, width).ToArray().Select(i => (int)i)]).Split("<|im_start|>");
                string json = JsonSerializer.Serialize(new { messages = new[] { Message("user", turns[2]), Message("assistant", turns[3]) } });
                same += examples[batch * 4 + r].Json.GetProperty("messages")[0].GetProperty("content").ValueEquals(Content(turns[2])) ? 1 : 0;
                var row = Assert.Single(encoder.Encode(SmolLm2Rows.Row(json), cancellationToken: TestContext.Current.CancellationToken).Rows);
                Assert.Equal(ids.Slice(r * width, row.Tokens.Length).ToArray(), row.Tokens.Select(t => (long)t));
                Assert.Equal(labels.Slice(r * width, width).ToArray(), Enumerable.Range(0, width).Select(i => i < row.Tokens.Length && row.Trained[i] ? row.Tokens[i] : -100L));
            }
        }
        Assert.Equal(18, same);
        Assert.Equal([2], encoder.EndsOfTurn);

        static string Content(string turn) => turn[(turn.IndexOf('\n') + 1)..turn.IndexOf("<|im_end|>", StringComparison.Ordinal)];
        static object Message(string role, string turn) => new { role, content = Content(turn) };
    }

    /// <summary>The question's block is the only one whose place is known: it is not the answer's.</summary>
    [Fact]
    public void Bug_AnswersMarkInsideAMacro_IsNotTakenFromAnotherBlock()
    {
        const string Template = "{% macro answer(m) %}{% generation %}{{ m.content }}<|im_end|>{% endgeneration %}{% endmacro %}{% for m in messages %}<|im_start|>{{ m.role }}\n"
            + "{% if m.role == 'assistant' %}{{ answer(m) }}{% else %}{% generation %}{{ m.content }}<|im_end|>{% endgeneration %}{% endif %}{{ '\n' }}{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";
        const string Row = """{"messages":[{"role":"user","content":"Hi?"},{"role":"assistant","content":"Yes."}]}""";

        var encoding = rows.Encode(Row, template: Template);

        Assert.Equal("<|im_start|>user\nHi?<|im_end|>\n<|im_start|>assistant\n⟦Yes.<|im_end|>⟧\n", rows.Marked(Assert.Single(encoding.Rows)));
        Assert.Equal("generation_marks_lost", Assert.Single(encoding.Warnings).Code);
        Assert.Empty(rows.Encode(Row).Warnings);
    }

    /// <summary>As the reference encodes it; the lint warns of it.</summary>
    [Fact]
    public void Encode_SpecialTokenInAMessage_IsThatToken()
    {
        var row = Assert.Single(rows.Encode("""{"messages":[{"role":"user","content":"a<|im_end|>b"},{"role":"assistant","content":"Yes."}]}""").Rows);
        int end = rows.Model.Tokenizer.TokenId("<|im_end|>")!.Value;
        Assert.Equal(4, row.Tokens.Count(t => t == end));
        Assert.EndsWith("a<|im_end|>b<|im_end|>\n<|im_start|>assistant\n⟦Yes.<|im_end|>⟧\n", rows.Marked(row), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("""{"messages":[{"role":"user","content":"Hi?"},{"role":"assistant","content":"Yes."}]}""", Head + "⟦Yes.<|im_end|>⟧\n")]
    [InlineData("""{"messages":[{"role":"user","content":[{"type":"text","text":"H"},{"type":"text","text":"i?"}]},{"role":"assistant","content":[{"type":"text","text":"Yes."}]}]}""", Head + "⟦Yes.<|im_end|>⟧\n")]
    [InlineData("""{"prompt":"Hi?","completion":" Yes."}""", Head + "⟦ Yes.<|im_end|>⟧\n")]
    [InlineData("""{"messages":[{"role":"developer","content":"S"},{"role":"user","content":"Hi?"},{"role":"assistant","content":"Yes."}]}""", "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nHi?<|im_end|>\n<|im_start|>assistant\n⟦Yes.<|im_end|>⟧\n")]
    [InlineData("""{"messages":[{"role":"user","content":"Hi?"},{"role":"assistant","content":"A","weight":0},{"role":"user","content":"B"},{"role":"assistant","content":"C","weight":1}]}""",
        Head + "A<|im_end|>\n<|im_start|>user\nB<|im_end|>\n<|im_start|>assistant\n⟦C<|im_end|>⟧\n")]
    [InlineData("""{"messages":[{"role":"user","content":"Hi?"},{"role":"assistant","content":"Same"},{"role":"user","content":"Same"},{"role":"assistant","content":"Same"}]}""",
        Head + "⟦Same<|im_end|>⟧\n<|im_start|>user\nSame<|im_end|>\n<|im_start|>assistant\n⟦Same<|im_end|>⟧\n")]
    [InlineData("""{"text":"Plain text."}""", "Pl⟦ain text.<|im_end|>⟧")]
    public void Encode_Row_LearnsAnswersAndTheirEnds(string json, string marked)
    {
        var encoding = rows.Encode(json);

        Assert.Empty(encoding.Errors);
        Assert.Empty(encoding.Warnings);
        Assert.Equal(marked, rows.Marked(Assert.Single(encoding.Rows)));
    }

    /// <summary>Phi 3's: it lies partly behind what is learnt, and models would never learn to stop.</summary>
    [Fact]
    public void Bug_EndOfTurnThatTakesTheWhiteSpaceBehindIt_WasNotLearnt()
    {
        JsonObject json = SmallTokenizerJson.Bytes();
        foreach ((int i, string text) in new[] { "<|user|>", "<|assistant|>", "<|end|>" }.Index())
        {
            JsonNode token = json["added_tokens"]![0]!.DeepClone();
            (token["id"], token["content"], token["rstrip"]) = (10 + i, text, true);
            json["added_tokens"]!.AsArray().Add(token);
        }
        var template = ChatTemplate.Parse("{% for m in messages %}<|{{ m.role }}|>\n{{ m.content }}<|end|>\n{% endfor %}{% if add_generation_prompt %}<|assistant|>\n{% endif %}");
        var encoder = new RowEncoder(SmallTokenizerJson.Read(json), template, null, null, new TrainingConfig(), 100);

        var encoding = encoder.Encode(SmolLm2Rows.Row("""{"messages":[{"role":"user","content":"c"},{"role":"assistant","content":"ab"},{"role":"user","content":"c"},{"role":"assistant","content":"ab"}]}"""),
            cancellationToken: TestContext.Current.CancellationToken);

        Assert.Empty(encoding.Warnings);
        var row = Assert.Single(encoding.Rows);
        Assert.Equal([10, 2, 12, 11, 4, 12, 10, 2, 12, 11, 4, 12], row.Tokens);
        Assert.Equal([4, 5, 10, 11], Enumerable.Range(0, 12).Where(i => row.Trained[i]));
    }

    [Theory]
    [InlineData("assistant", Head + "⟦A<|im_end|>⟧\n<|im_start|>user\nB<|im_end|>\n<|im_start|>assistant\n⟦C<|im_end|>⟧\n")]
    [InlineData("last_assistant", Head + "A<|im_end|>\n<|im_start|>user\nB<|im_end|>\n<|im_start|>assistant\n⟦C<|im_end|>⟧\n")]
    public void Encode_TrainOn_ChoosesTheAnswers(string trainOn, string marked)
        => Assert.Equal(marked, rows.Marked(Assert.Single(rows.Encode(
            """{"messages":[{"role":"user","content":"Hi?"},{"role":"assistant","content":"A"},{"role":"user","content":"B"},{"role":"assistant","content":"C"}]}""",
            new TrainingConfig { TrainOn = trainOn }).Rows)));

    [Fact]
    public void Encode_TrainOnEverything_LearnsAllButTheFirstToken()
    {
        var row = Assert.Single(rows.Encode("""{"prompt":"Hi?","completion":"Yes."}""", new TrainingConfig { TrainOn = "everything" }).Rows);

        Assert.Equal(row.Tokens.Length - 1, row.TrainedTokens);
        Assert.False(row.Trained[0]);

        const string Weighted = """{"messages":[{"role":"user","content":"Hi?"},{"role":"assistant","content":"A","weight":0},{"role":"user","content":"B"},{"role":"assistant","content":"C"}]}""";
        string marked = rows.Marked(Assert.Single(rows.Encode(Weighted, new TrainingConfig { TrainOn = "everything" }).Rows));
        Assert.EndsWith("<|im_start|>assistant\n⟧A<|im_end|>⟦\n<|im_start|>user\nB<|im_end|>\n<|im_start|>assistant\nC<|im_end|>\n⟧", marked, StringComparison.Ordinal);
    }

    [Theory]
    // A template that trims.
    [InlineData("{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content | trim }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}", "  Yes.  ",
        "<|im_start|>user\nHi?<|im_end|>\n<|im_start|>assistant\n⟦Yes.<|im_end|>⟧\n")]
    // The space before the answer, and the one before the end, are the model's to write.
    [InlineData("{% for m in messages %}{% if m.role == 'user' %}[INST] {{ m.content }} [/INST]{% else %} {{ m.content }} <|im_end|>{% endif %}{% endfor %}", "Yes.", "[INST] Hi? [/INST]⟦ Yes. <|im_end|>⟧")]
    // The template's own marks.
    [InlineData("{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' %}{% generation %}{{ m.content }}<|im_end|>{% endgeneration %}{% else %}{{ m.content }}<|im_end|>{% endif %}{{ '\n' }}{% endfor %}", "Yes.",
        "<|im_start|>user\nHi?<|im_end|>\n<|im_start|>assistant\n⟦Yes.<|im_end|>⟧\n")]
    public void Encode_OtherTemplates_FindTheAnswer(string template, string answer, string marked)
    {
        var encoding = rows.Encode($$$"""{"messages":[{"role":"user","content":"Hi?"},{"role":"assistant","content":"{{{answer}}}"}]}""", template: template);

        Assert.Empty(encoding.Errors);
        Assert.Empty(encoding.Warnings);
        Assert.Equal(marked, rows.Marked(Assert.Single(encoding.Rows)));
    }

    [Fact]
    public void Encode_ReasoningTheTemplateHides_IsSaid()
    {
        const string Json = """{"messages":[{"role":"user","content":"Hi?"},{"role":"assistant","content":"Yes.","reasoning_content":"Hm."}]}""";

        Assert.Equal(["reasoning_not_shown"], rows.Encode(Json).Warnings.Select(w => w.Code));

        var control = rows.Encode(Json, template: "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.reasoning_content %}<think>{{ m.reasoning_content }}</think>{% endif %}{{ m.content }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}");
        Assert.Empty(control.Warnings);
        Assert.EndsWith("assistant\n⟦<think>Hm.</think>Yes.<|im_end|>⟧\n", rows.Marked(Assert.Single(control.Rows)), StringComparison.Ordinal);
    }

    [Fact]
    public void Encode_TemplateRaises_IsAnErrorWithItsWords()
    {
        var error = Assert.Single(rows.Encode("""{"prompt":"Hi?","completion":"Yes."}""", template: "{{ raise_exception('Roles must alternate') }}").Errors);

        Assert.Equal("template_rejects_row", error.Code);
        Assert.Contains("Roles must alternate", error.Message, StringComparison.Ordinal);
    }

    /// <summary>As the model is asked when it answers: the template shows neither functions nor calls.</summary>
    [Theory]
    [InlineData("null", "look_up", "")]
    [InlineData("\"I look.\"", "look_up", "I look.\n")]
    [InlineData("null", "end", "")]
    public void Bug_ToolsThatTheTemplateHides_WereNotInTheRow(string content, string name, string shown)
    {
        string row = ToolRow.Replace("CONTENT", content, StringComparison.Ordinal).Replace("NAME", name, StringComparison.Ordinal);
        var encoding = rows.Encode(row.Replace("TOOLS", "[]", StringComparison.Ordinal));
        Assert.Empty(encoding.Warnings);
        string conversation = "⟦" + shown + "<tool_call>\n{\"name\": \"" + name + "\", \"arguments\": {\"é\":1}}\n</tool_call><|im_end|>⟧\n<|im_start|>user\n<tool_response>\n1\n</tool_response><|im_end|>\n<|im_start|>assistant\n⟦Yes.<|im_end|>⟧\n";
        Assert.Equal(Head + conversation, rows.Marked(Assert.Single(encoding.Rows)));

        string described = rows.Marked(Assert.Single(rows.Encode(row.Replace("TOOLS", """[{"type":"function","function":{"name":"look_up"}}]""", StringComparison.Ordinal)).Rows));
        Assert.EndsWith("<|im_start|>user\nHi?<|im_end|>\n<|im_start|>assistant\n" + conversation, described, StringComparison.Ordinal);
        Assert.StartsWith("<|im_start|>system\nYou can call these functions, given as JSON Schema:\n<tools>\n{\"name\":\"look_up\"}\n</tools>", described, StringComparison.Ordinal);
    }

    [Fact]
    public void Encode_ToolCallThatTheTemplateWrites_IsItsOwn()
    {
        const string Tools = """
            {%- for m in messages -%}
            <|im_start|>{{ m.role }}
            {{ m.content or '' }}{% for c in m.tool_calls or [] %}<tool_call>{{ {'name': c.function.name, 'arguments': c.function.arguments} | tojson }}</tool_call>{% endfor %}<|im_end|>
            {% endfor -%}
            {%- if add_generation_prompt %}<|im_start|>assistant
            {% endif -%}
            """;
        var encoding = rows.Encode(ToolRow.Replace("CONTENT", "null", StringComparison.Ordinal).Replace("NAME", "look_up", StringComparison.Ordinal).Replace("TOOLS", "[]", StringComparison.Ordinal), template: Tools);
        Assert.Empty(encoding.Warnings);
        Assert.Contains("""assistant⏎⟦<tool_call>{"name": "look_up", "arguments": {"é": 1}}</tool_call><|im_end|>⟧⏎<|im_start|>tool⏎1""", rows.Marked(Assert.Single(encoding.Rows)).Replace('\n', '⏎'), StringComparison.Ordinal);
    }

    /// <summary>As DeepSeek V3's for a single call: learnt, it would teach never to stop.</summary>
    [Fact]
    public void Encode_ToolCallThatTheTemplateDoesNotEnd_IsSaidAndNotLearnt()
    {
        const string Open = """
            {%- for m in messages -%}
            <|im_start|>{{ m.role }}
            {{ m.content or '' }}{% for c in m.tool_calls or [] %}<tool_call>{{ {'name': c.function.name, 'arguments': c.function.arguments} | tojson }}</tool_call>{% else %}<|im_end|>{% endfor %}
            {% endfor -%}
            {%- if add_generation_prompt %}<|im_start|>assistant
            {% endif -%}
            """;
        var encoding = rows.Encode(ToolRow.Replace("CONTENT", "null", StringComparison.Ordinal).Replace("NAME", "look_up", StringComparison.Ordinal).Replace("TOOLS", "[]", StringComparison.Ordinal), template: Open);
        Assert.Equal(["tool_call_without_end"], encoding.Warnings.Select(w => w.Code));
        Assert.EndsWith("</tool_call><|im_start|>tool\n1<|im_end|><|im_start|>assistant\n⟦Yes.<|im_end|>⟧", rows.Marked(Assert.Single(encoding.Rows)), StringComparison.Ordinal);
    }

    /// <summary>As text they have levels of their own, in the conversation a few more.</summary>
    [Theory]
    [InlineData(58, true, "[{\"id\":\"c\",\"type\":\"function\",\"function\":FUNCTION}]")]
    [InlineData(59, false, "[{\"id\":\"c\",\"type\":\"function\",\"function\":FUNCTION}]")]
    [InlineData(63, false, "[{\"id\":\"c\",\"type\":\"function\",\"function\":FUNCTION}]")]
    [InlineData(58, true, "FUNCTION")]
    [InlineData(60, false, "FUNCTION")]
    public void Bug_ArgumentsNestedAsDeepAsARow_WereAFault(int levels, bool taken, string calls)
    {
        string deep = string.Concat(Enumerable.Repeat("{\"a\":", levels)) + "1" + new string('}', levels), key = calls == "FUNCTION" ? "function_call" : "tool_calls";
        foreach (string arguments in new[] { deep, JsonSerializer.Serialize(deep) })
        {
            string message = $$"""{"role":"assistant","content":null,"{{key}}":{{calls.Replace("FUNCTION", $$"""{"name":"look_up","arguments":{{arguments}}}""", StringComparison.Ordinal)}}}""";
            LintReport report = rows.LintRow($$"""{"messages":[{"role":"user","content":"Hi?"},{{message}}]}""");
            if (taken)
                Assert.Empty(report.Errors);
            else
                Assert.Equal("nested_too_deeply", Assert.Single(report.Errors).Code);
        }
    }

    private const string ToolRow =
        """{"tools":TOOLS,"messages":[{"role":"user","content":"Hi?"},{"role":"assistant","content":CONTENT,"tool_calls":[{"id":"c","type":"function","function":{"name":"NAME","arguments":"{\"é\":1}"}}]},{"role":"tool","tool_call_id":"c","content":"1"},{"role":"assistant","content":"Yes."}]}""";

    [Fact]
    public void Encode_Preference_GivesBothAnswersToOneConversation()
    {
        var pair = rows.Encode("""{"input":{"messages":[{"role":"user","content":"Hi?"},{"role":"assistant","content":"A"},{"role":"user","content":"B"}]},"preferred_output":[{"role":"assistant","content":"good"}],"non_preferred_output":[{"role":"assistant","content":"bad"}]}""").Preference;

        const string Shared = Head + "A<|im_end|>\n<|im_start|>user\nB<|im_end|>\n<|im_start|>assistant\n";
        Assert.Equal((Shared + "⟦good<|im_end|>⟧\n", Shared + "⟦bad<|im_end|>⟧\n"), (rows.Marked(pair!.Chosen), rows.Marked(pair.Rejected)));
    }

    /// <summary>Random conversations: exactly the answers of weight 1 and the stop token after each are learnt, whatever stands around.</summary>
    [Fact]
    public void Encode_RandomConversations_LearnExactlyTheAnswersAndStops()
    {
        var random = new Random(7);
        string[] pieces = ["Hello", " world", "\n", "  ", "{\"a\":1}", "é", "😀", "日本", "assistant", "user\n", "1234", "'s", "\t", "?!", "Answer", "im_end"];
        string Text() => "x" + string.Concat(Enumerable.Range(0, random.Next(0, 12)).Select(_ => pieces[random.Next(pieces.Length)]));
        for (int i = 0; i < 300; i++)
        {
            var messages = new List<(string Role, string Content, int Weight)>();
            if (random.Next(2) == 0)
                messages.Add(("system", Text(), 1));
            for (int turn = random.Next(1, 5); turn > 0; turn--)
            {
                messages.Add(("user", Text(), 1));
                messages.Add(("assistant", Text(), turn == 1 ? 1 : random.Next(2)));
            }
            string json = JsonSerializer.Serialize(new { messages = messages.Select(m => m.Role == "assistant" ? (object)new { role = m.Role, content = m.Content, weight = m.Weight } : new { role = m.Role, content = m.Content }) });
            string expected = (messages[0].Role == "system" ? "" : SmolLm2Rows.System)
                + string.Concat(messages.Select(m => $"<|im_start|>{m.Role}\n" + (m is ("assistant", _, 1) ? $"⟦{m.Content}<|im_end|>⟧" : m.Content + "<|im_end|>") + "\n"));

            var encoding = rows.Encode(json);

            Assert.Empty(encoding.Errors);
            Assert.Empty(encoding.Warnings);
            Assert.Equal(expected, rows.Marked(Assert.Single(encoding.Rows)));
        }
    }
}
