using System.Text;
using System.Text.Json;
using Hone.Formats.ChatTemplates;
using Hone.Formats.Models;
using Hone.Formats.Tests.Tokenizers;
using Hone.Formats.Tokenizers;

namespace Hone.Formats.Tests.Models;

public sealed class HuggingFaceTextsTests : IDisposable
{
    private const string Conversation = """[{"role":"user","content":"ab"}]""";

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    /// <summary>The vocabulary's post-processor puts <c>&lt;s&gt;</c>, 8, before every text.</summary>
    [Theory]
    [InlineData("""{"bos_token":"<s>"}""", new[] { 8, 4 })]
    [InlineData("""{"bos_token":"<s>","add_bos_token":null,"add_eos_token":null}""", new[] { 8, 4 })]
    [InlineData("""{"bos_token":"<s>","add_bos_token":true}""", new[] { 8, 4 })]
    [InlineData("""{"bos_token":{"content":"<s>","lstrip":false},"add_bos_token":false}""", new[] { 4 })]
    [InlineData("""{"bos_token":"<s>","eos_token":"<s>","add_eos_token":true}""", new[] { 8, 4, 8 })]
    [InlineData("""{"bos_token":"<s>","eos_token":{"content":"<s>"},"add_bos_token":false,"add_eos_token":true}""", new[] { 4, 8 })]
    [InlineData("""{"add_eos_token":false}""", new[] { 8, 4 })]
    public void Tokenizer_AddedTokens_AreThoseOfTheSettings(string settings, int[] ids)
    {
        Tokenizer tokenizer = Read(settings).Tokenizer;
        Assert.Equal(ids, tokenizer.Encode("ab", addSpecialTokens: true).Ids);
        Assert.Equal([4], tokenizer.Encode("ab").Ids);
    }

    [Theory]
    [InlineData("""{"add_bos_token":true}""", "$.add_bos_token is true, but there is no bos_token")]
    [InlineData("""{"add_eos_token":1}""", "$.add_eos_token is neither true nor false")]
    [InlineData("""{"bos_token":"<none>","add_bos_token":true}""", "$.bos_token is '<none>', which tokenizer.json does not have")]
    [InlineData("""{"chat_template":[{"name":"tool_use","template":"a"},{"name":"rag","template":"b"}]}""", "it has the templates tool_use, rag, and none called default")]
    [InlineData("""{"chat_template":[{"name":"default"}]}""", "$.chat_template[0] has no name and template")]
    [InlineData("""{"chat_template":1}""", "$.chat_template is neither a text nor a list")]
    [InlineData("""{"chat_template":[{"name":"default","template":"a"},{"name":"tool_use","template":"{{"}]}""", "the chat template cannot be used: Chat template, line 1")]
    public void Read_WhatDoesNotFit_IsRefusedByItsKey(string settings, string message)
    {
        InvalidFileException e = Assert.Throws<InvalidFileException>(() => Read(settings));
        Assert.Contains("tokenizer_config.json", e.Message, StringComparison.Ordinal);
        Assert.Contains(message, e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Template_NamedOnes_AreChosenByTheTools()
    {
        ChatTemplate template = Read("""{"chat_template":[{"name":"tool_use","template":"tools {{ tools | length }}"},{"name":"default","template":"plain {{ messages | length }}"}]}""").Template!;
        Assert.Equal("plain 1", Render(template, null));
        Assert.Equal("plain 1", Render(template, "null"));
        Assert.Equal("tools 2", Render(template, "[1,2]"));
        Assert.Equal("plain {{ messages | length }}", template.Source);
        Assert.Equal("tools {{ tools | length }}", template.ForTools!.Source);
    }

    [Fact]
    public void Template_FilesOfTheirOwn_ComeBeforeAllSettings()
    {
        const string Settings = """{"chat_template":[{"name":"default","template":"settings"},{"name":"tool_use","template":"settings' tools"}]}""";
        Assert.Equal("settings", Render(Read(Settings).Template!, null));
        _folder.Write("chat_template.json", """{"chat_template":"json"}"""u8);
        Assert.Equal("json", Render(Read(Settings).Template!, null));
        _folder.Write("chat_template.jinja", "jinja"u8);
        ChatTemplate jinja = Read(Settings).Template!;
        Assert.Equal("jinja", Render(jinja, null));
        Assert.Equal("jinja", Render(jinja, "[1]")); // the settings' templates are out of the game together
        Directory.CreateDirectory(_folder.File("additional_chat_templates"));
        _folder.Write(Path.Combine("additional_chat_templates", "tool_use.jinja"), "jinja's tools"u8);
        _folder.Write(Path.Combine("additional_chat_templates", "rag.jinja"), "{{ of no interest"u8);
        Assert.Equal("jinja's tools", Render(Read(Settings).Template!, "[1]"));
        File.Delete(_folder.File("chat_template.jinja"));
        Assert.Contains("none called default", Assert.Throws<InvalidFileException>(() => Read(Settings)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void StopTokens_EveryFileThatNamesSome_Counts()
    {
        _folder.Write("generation_config.json", """{"eos_token_id":[3,8]}"""u8);
        _folder.Write("config.json", """{"eos_token_id":5}"""u8);
        HuggingFaceTexts texts = Read("""{"eos_token":{"content":"<s>"},"pad_token":{"content":"<x>"}}""");
        Assert.Equal([3, 8, 5], texts.StopTokens);
        Assert.Equal("<x>", texts.PadToken);
    }

    private HuggingFaceTexts Read(string settings)
    {
        _folder.Write("tokenizer_config.json", Encoding.UTF8.GetBytes(settings));
        return new HuggingFaceTexts(_folder.Path, SmallTokenizerJson.Read(SmallTokenizerJson.Bytes()));
    }

    private static string Render(ChatTemplate template, string? tools) => template.Render(
        new ChatTemplateInput { Messages = JsonElement.Parse(Conversation), Tools = tools is null ? null : JsonElement.Parse(tools) }, TestContext.Current.CancellationToken).Text;
}
