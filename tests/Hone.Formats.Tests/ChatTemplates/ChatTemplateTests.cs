using System.Text.Json;
using Hone.Formats.ChatTemplates;

namespace Hone.Formats.Tests.ChatTemplates;

public sealed class ChatTemplateTests
{
    [Fact]
    public void Render_MessageWithNulls_DropsThemUnlessKept()
    {
        const string Template = "{% for m in messages %}{{ m.keys() | list }}{{ m.content is defined }}{% endfor %}";
        const string Messages = """[{"role":"assistant","content":null,"name":"x"}]""";
        Assert.Equal("['role', 'name']False", Render(Template, Messages, input => input).Text);
        Assert.Equal("['role', 'content', 'name']True", Render(Template, Messages, input => input with { KeepNulls = true }).Text);
    }

    [Theory]
    [InlineData("""[{"reasoning":"r"}]""", "{'reasoning': 'r', 'reasoning_content': 'r', 'thinking': 'r'}")]
    [InlineData("""[{"thinking":"t","reasoning":"r"}]""", "{'thinking': 't', 'reasoning': 'r', 'reasoning_content': 't'}")]
    [InlineData("""[{"reasoning_content":"c","content":"x"}]""", "{'reasoning_content': 'c', 'content': 'x', 'thinking': 'c'}")]
    [InlineData("""[{"content":"x"}]""", "{'content': 'x'}")]
    public void Render_Reasoning_IsCopiedToTheKeysTemplatesRead(string messages, string message) =>
        Assert.Equal(message, Render("{{ messages[0] }}", messages, input => input).Text);

    [Fact]
    public void Render_Variables_AreThoseOfTransformers()
    {
        const string Template = "{{ tools }} {{ documents }} {{ add_generation_prompt }} {{ bos_token }} {{ eos_token is defined }} {{ enable_thinking }}";
        Assert.Equal("None None False <s> False ", Render(Template, "[]", input => input with { BosToken = "<s>" }).Text);
        var extra = new Dictionary<string, JsonElement>
        {
            ["enable_thinking"] = JsonSerializer.SerializeToElement(false),
            ["bos_token"] = JsonSerializer.SerializeToElement("!"),
        };
        Assert.Equal("None None True ! False False", Render(Template, "[]", input => input with { BosToken = "<s>", AddGenerationPrompt = true, Extra = extra }).Text);
    }

    [Fact]
    public void Render_GenerationInLoop_SpansCountUtf16Units()
    {
        const string Template = "{% for m in messages %}😀{% generation %}{{ m.content }}{% endgeneration %}{% endfor %}";
        var chat = Render(Template, """[{"content":"é"},{"content":"漢😀"}]""", input => input);
        Assert.Equal(["é", "漢😀"], chat.GenerationSpans.Select(span => chat.Text[span.Start..span.End]));
        Assert.False(chat.IsGenerationMisplaced);
    }

    [Theory]
    [InlineData("{% macro f() %}x{% generation %}a{% endgeneration %}{% endmacro %}{{ f() | upper }}")]
    [InlineData("{% set t %}x{% generation %}a{% endgeneration %}{% endset %}{{ t }}")]
    [InlineData("{% filter upper %}x{% generation %}a{% endgeneration %}{% endfilter %}")]
    public void Render_GenerationInBufferedText_SaysThatItsPlaceIsUnknown(string template)
    {
        var chat = Render(template, "[]", input => input);
        Assert.True(chat.IsGenerationMisplaced);
        Assert.Empty(chat.GenerationSpans);
    }

    [Theory]
    [InlineData("a\n{{ raise_exception('no') }}", "TemplateError", "no", 2)]
    [InlineData("a\r\nb\r\n{% if x.y %}{% endif %}", "UndefinedError", "'x' is undefined", 3)]
    [InlineData("{# a\n\n #}{{ 'x' | nothing }}", "TemplateAssertionError", "No filter named 'nothing'.", 3)]
    [InlineData("\n\n{% for %}", "TemplateSyntaxError", "Expected an expression, got 'end of statement block'", 3)]
    [InlineData("{{ 1 +\n'a' }}", "TypeError", "unsupported operand type(s) for +: 'int' and 'str'", 1)]
    public void Render_Error_SaysWhatAndInWhichLine(string template, string type, string reason, int line)
    {
        var error = Assert.Throws<ChatTemplateException>(() => Render(template, "[]", input => input));
        Assert.Equal((type, reason, line), (error.ErrorType, error.Reason, error.Line));
        Assert.Equal($"Chat template, line {line}: {type}: {reason}", error.Message);
    }

    private static RenderedChat Render(string template, string messages, Func<ChatTemplateInput, ChatTemplateInput> change)
    {
        using var document = JsonDocument.Parse(messages);
        return ChatTemplate.Parse(template).Render(change(new ChatTemplateInput { Messages = document.RootElement }), CancellationToken.None);
    }
}
