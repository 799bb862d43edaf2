using System.Text.Json;
using Hone.Formats.ChatTemplates;
using Hone.Formats.Constraints;
using Hone.Formats.Models;
using Hone.Formats.Tests.Tokenizers;
using Hone.Formats.Tokenizers;
using Hone.Formats.ToolCalls;

namespace Hone.Formats.Tests.ToolCalls;

/// <summary>Messages with tools, and calls in answers.</summary>
public sealed class ToolMessagesTests
{
    private static readonly JsonElement s_tools = ToolDefinitions.Read(JsonElement.Parse("""[{"name":"get_time","description":"d","parameters":{"properties":{"zone":{"type":"string"}},"required":["zone"]}}]""")).Json;

    private static readonly ToolCallFormat s_convention = ToolCallFormat.Of(null, SmolLm2.Tokenizer, null, null);

    [Fact]
    public void Prepare_ForATemplateWithoutTools_WritesThemAsText()
    {
        JsonElement messages = JsonElement.Parse("""
            [{"role":"system","content":"Be brief."},{"role":"user","content":[{"type":"text","text":"Time "},{"type":"text","text":"in UTC?"}]},
             {"role":"assistant","content":null,"tool_calls":[{"id":"1","type":"function","function":{"name":"get_time","arguments":"{\"zone\":\"UTC\"}"}},{"name":"get_time","arguments":{"zone":"CET"}}]},
             {"role":"tool","tool_call_id":"1","content":"10:00"},{"role":"tool","tool_call_id":"2","content":"11:00"}]
            """);
        JsonElement[] prepared = [.. ToolMessages.Prepare(messages, s_tools, s_convention, hasSystem: true).EnumerateArray()];
        Assert.Equal(["system", "user", "assistant", "user"], prepared.Select(m => m.GetProperty("role").GetString()));
        string[] contents = [.. prepared.Select(m => m.GetProperty("content").GetString()!)];
        Assert.StartsWith("Be brief.\n\n", contents[0], StringComparison.Ordinal);
        Assert.Contains("\"name\":\"get_time\"", contents[0], StringComparison.Ordinal);
        Assert.Equal("Time in UTC?", contents[1]);
        Assert.Equal("<tool_call>\n{\"name\": \"get_time\", \"arguments\": {\"zone\":\"UTC\"}}\n</tool_call>\n<tool_call>\n{\"name\": \"get_time\", \"arguments\": {\"zone\":\"CET\"}}\n</tool_call>", contents[2]);
        Assert.Equal("<tool_response>\n10:00\n</tool_response>\n<tool_response>\n11:00\n</tool_response>", contents[3]);
    }

    [Fact]
    public void Prepare_ForATemplateWithTools_GivesArgumentsAsObjects()
    {
        JsonElement messages = JsonElement.Parse("""[{"role":"assistant","tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":"{\"a\":[1,2.50]}"}}]}]""");
        JsonElement call = ToolMessages.Prepare(messages, null, null, hasSystem: true)[0].GetProperty("tool_calls")[0];
        Assert.Equal("""{"id":"1","type":"function","function":{"name":"f","arguments":{"a":[1,2.50]}}}""", call.GetRawText());
    }

    [Fact]
    public void Prepare_EmptyArguments_AreNone()
    {
        JsonElement messages = JsonElement.Parse("""[{"role":"assistant","tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":""}}]}]""");
        Assert.Equal("{}", ToolMessages.Prepare(messages, null, null, hasSystem: true)[0].GetProperty("tool_calls")[0].GetProperty("function").GetProperty("arguments").GetRawText());
    }

    [Theory]
    [InlineData("""[{"role":"user","content":[{"type":"image_url"}]}]""", "messages[0].content[0]")]
    [InlineData("""[{"role":"user","content":"\ud800"}]""", "no Unicode text")]
    [InlineData("""[{"role":"user","role":"x"}]""", "cannot be read")]
    [InlineData("""[{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":"{"}}]}]""", "messages[0].tool_calls[0].function.arguments")]
    [InlineData("""{"role":"user"}""", "must be a list")]
    public void Prepare_BadMessages_NamesThePlace(string messages, string part)
    {
        var error = Assert.Throws<MessageException>(() => ToolMessages.Prepare(JsonElement.Parse(messages), null, s_convention, hasSystem: true));
        Assert.Contains(part, error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("\n{\"name\": \"f\", \"arguments\": {\"a\":\"}\\\"{\"}}\n</tool_call>\n<tool_call>\n{\"name\": \"g\", \"arguments\": {}}\n</tool_call>", "f {\"a\":\"}\\\"{\"} g {}")]
    [InlineData("{\"name\": \"f\", \"parameters\": {\"a\":{\"b\":1}}}", "f {\"a\":{\"b\":1}}")]
    [InlineData(" [{\"name\": \"f\", \"arguments\": {}}, {\"name\": \"g\", \"arguments\": {\"x\": [1]}}]", "f {} g {\"x\": [1]}")]
    [InlineData("f[ARGS]{\"a\": 1}g{}", "f {\"a\": 1} g {}")]
    [InlineData("<｜tool▁call▁begin｜>f<｜tool▁sep｜>{\"a\": 1}<｜tool▁call▁end｜><｜tool▁call▁begin｜>function_g<｜tool▁sep｜>{}<｜tool▁call▁end｜><｜tool▁calls▁end｜>", "f {\"a\": 1} function_g {}")]
    [InlineData("<｜tool▁call▁begin｜>function<｜tool▁sep｜>f\n```json\n{\"a\": \"```\"}\n```<｜tool▁call▁end｜>\n<｜tool▁call▁begin｜>function<｜tool▁sep｜>function_g\n```json\n{}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>", "f {\"a\": \"```\"} function_g {}", "function")]
    // As a tokenizer gives it whose marks are special tokens.
    [InlineData("functionf\n```json\n{}\n```\nfunctiong\n```json\n{}\n```", "f {} g {}", "function")]
    public void Take_PieceByPiece_FindsTheCalls(string text, string expected, string beforeName = "")
    {
        foreach (int length in (int[])[1, 3, 1000])
        {
            var reader = new ToolCallReader(beforeName);
            var calls = new List<string>();
            for (int i = 0; i < text.Length; i += length)
                calls.AddRange(reader.Take(text.Substring(i, Math.Min(length, text.Length - i))).Select(c => $"{c.Name} {c.Arguments}"));
            Assert.Equal(expected, string.Join(' ', calls));
        }
    }

    [Fact]
    public void Of_EmbeddedBase_WhoseTemplateKnowsNoTools_IsTheConvention()
    {
        using BaseModel model = BaseModel.Open(References.EmbeddedBase);
        ToolCallFormat format = ToolCallFormat.Of(model);
        Assert.Equal(ToolRendering.FunctionsAsText | ToolRendering.CallsAsText, format.Rendering);
        Assert.Equal(("<tool_call>", (int?)null, false), (format.Begin, format.BeginToken, format.OnlyAtStart));
    }

    [Theory]
    [InlineData("{{ tools[0].function.name }}{% for m in messages %}{{ m.content }}{% for c in m.tool_calls %}<tool_call>\n{\"name\": \"{{ c.function.name }}\", \"arguments\": {{ c.function.arguments | tojson }}}\n</tool_call>{% endfor %}{% endfor %}",
        "<tool_call>", false, "<tool_call>\n{\"name\": \"get_time\", \"arguments\": {\"zone\":\"UTC\"}}\n</tool_call>\n<tool_call>\n{\"name\": \"get_time\", \"arguments\": {\"zone\":\"\"}}\n</tool_call>")]
    [InlineData("{{ tools[0].function.name }}{% for m in messages %}{{ m.content }}{% for c in m.tool_calls %}{\"name\": \"{{ c.function.name }}\", \"parameters\": {{ c.function.arguments | tojson }}}{% endfor %}{% endfor %}",
        "{\"name\":", true, "{\"name\": \"get_time\", \"parameters\": {\"zone\": \"UTC\"}}")]
    [InlineData("{{ tools[0].function.name }}{% for m in messages %}{{ m.content }}{% for c in m.tool_calls %}[TOOL_CALLS] [{\"name\": \"{{ c.function.name }}\", \"arguments\": {{ c.function.arguments | tojson }}, \"id\": \"{{ c.id }}\"}]{% endfor %}{% endfor %}",
        "[TOOL_CALLS]", false, "[TOOL_CALLS] [{\"name\": \"get_time\", \"arguments\": {\"zone\": \"UTC\"}}, {\"name\": \"get_time\", \"arguments\": {\"zone\": \"\"}}]")]
    [InlineData("{{ tools[0].function.name }}{% for m in messages %}{{ m.content }}{% for c in m.tool_calls %}[TOOL_CALLS]{{ c.function.name }}[ARGS]{{ c.function.arguments | tojson }}{% endfor %}{% endfor %}",
        "[TOOL_CALLS]", false, "[TOOL_CALLS]get_time[ARGS]{\"zone\": \"UTC\"}")]
    [InlineData("{{ tools[0].function.name }}{% for m in messages %}{{ m.content }}{% if m.tool_calls %}<｜tool▁calls▁begin｜>{% for c in m.tool_calls %}<｜tool▁call▁begin｜>{{ c.function.name }}<｜tool▁sep｜>{{ c.function.arguments | tojson }}<｜tool▁call▁end｜>{% endfor %}<｜tool▁calls▁end｜>{% endif %}{% endfor %}",
        "<｜tool▁calls▁begin｜>", false, "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>get_time<｜tool▁sep｜>{\"zone\": \"UTC\"}<｜tool▁call▁end｜><｜tool▁call▁begin｜>get_time<｜tool▁sep｜>{\"zone\": \"\"}<｜tool▁call▁end｜><｜tool▁calls▁end｜>")]
    public void Of_Template_WritesAndConstrainsCallsAsItDoes(string template, string begin, bool onlyAtStart, string answer)
    {
        using BaseModel model = BaseModel.Open(References.EmbeddedBase);
        ToolCallFormat format = ToolCallFormat.Of(ChatTemplate.Parse(template), model.Tokenizer, null, null);
        Assert.Equal((ToolRendering.None, begin, onlyAtStart), (format.Rendering, format.Begin, format.OnlyAtStart));
        AssertConstrains(format, answer);
    }

    /// <summary>The real template of DeepSeek V3 shows no functions, joins arguments to texts, and writes calls where there is no content.</summary>
    [Fact]
    public void Of_DeepSeekV3_WritesAndConstrainsCallsAsItDoes()
    {
        (string source, string? bos, string? eos) = TokenizerPackages.Template("deepseek_v3");
        Tokenizer tokenizer = TokenizerPackages.Find("deepseek_v3")!;
        var template = ChatTemplate.Parse(source);
        ToolCallFormat format = ToolCallFormat.Of(template, tokenizer, bos, eos);
        Assert.Equal((ToolRendering.FunctionsAsText | ToolRendering.ArgumentsAsText | ToolRendering.NullContent, "<｜tool▁calls▁begin｜>", (int?)null), (format.Rendering, format.Begin, format.BeginToken));

        JsonElement messages = JsonElement.Parse("""
            [{"role":"user","content":"Time?"},{"role":"assistant","content":"","tool_calls":[{"id":"1","type":"function","function":{"name":"get_time","arguments":"{\"zone\": \"Zürich\"}"}},{"id":"2","type":"function","function":{"name":"get_time","arguments":{}}}]},
             {"role":"tool","tool_call_id":"1","content":"10:00"}]
            """);
        string text = template.Render(new ChatTemplateInput { Messages = ToolMessages.Prepare(messages, s_tools, format, hasSystem: true), BosToken = bos, EosToken = eos, KeepNulls = true, AddGenerationPrompt = true }, CancellationToken.None).Text;
        Assert.Contains("\"name\":\"get_time\"", text[..text.IndexOf("<｜User｜>", StringComparison.Ordinal)], StringComparison.Ordinal);
        Assert.Contains(format.Example, text[..text.IndexOf("<｜User｜>", StringComparison.Ordinal)], StringComparison.Ordinal);
        Assert.EndsWith("<｜User｜>Time?<｜Assistant｜><｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>get_time\n```json\n{\"zone\":\"Zürich\"}\n```<｜tool▁call▁end｜>\n<｜tool▁call▁begin｜>function<｜tool▁sep｜>get_time\n```json\n{}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜><｜end▁of▁sentence｜>"
            + "<｜tool▁outputs▁begin｜><｜tool▁output▁begin｜>10:00<｜tool▁output▁end｜><｜tool▁outputs▁end｜>", text, StringComparison.Ordinal);

        const string Answer = "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>get_time\n```json\n{\"zone\":\"UTC\"}\n```<｜tool▁call▁end｜>\n<｜tool▁call▁begin｜>function<｜tool▁sep｜>get_time\n```json\n{\"zone\": \"\"}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>";
        AssertConstrains(format, Answer);
        // Its own tokens are free to come, mark by mark.
        ConstraintState state = new Constraint(new TokenVocabulary(tokenizer, []), [.. ToolDefinitions.Read(s_tools).All.Select(t => t.Arguments)], format.Answer(ToolDefinitions.Read(s_tools).All, "required", true, null)).Start();
        var calls = new List<WrittenCall>();
        var reader = new ToolCallReader(format.BeforeName);
        StreamDecoder decoder = tokenizer.CreateStream(skipSpecialTokens: true);
        foreach (int token in tokenizer.Encode(Answer).Ids)
        {
            Assert.True(state.Mask()[token], tokenizer.TokenText(token));
            state.Accept(token);
            calls.AddRange(reader.Take(decoder.Next(token)));
        }
        Assert.True(state.MustEnd);
        Assert.Equal([new WrittenCall("get_time", "{\"zone\":\"UTC\"}"), new WrittenCall("get_time", "{\"zone\": \"\"}")], calls);
    }

    private static void AssertConstrains(ToolCallFormat format, string answer)
    {
        IReadOnlyList<ToolDefinition> tools = ToolDefinitions.Read(s_tools).All;
        foreach (string choice in (string[])["auto", "required", "none"])
        {
            var table = new NodeTable();
            Node state = format.Answer(tools, choice, severalCalls: true, value: null)(table);
            foreach (byte symbol in System.Text.Encoding.UTF8.GetBytes(answer))
                state = state.Next(symbol, table);
            Assert.Equal(choice != "none", state.CanEnd);
            // Nothing but a sound call follows where one has begun.
            state = format.Answer(tools, choice, severalCalls: true, value: null)(table);
            foreach (byte symbol in System.Text.Encoding.UTF8.GetBytes(answer.Replace("zone", "time", StringComparison.Ordinal)))
                state = state.Next(symbol, table);
            Assert.Equal(table.Nothing, state);
        }
        Node plain = format.Answer(tools, "none", true, null)(new NodeTable());
        Assert.True(plain.CanEnd);
    }
}
