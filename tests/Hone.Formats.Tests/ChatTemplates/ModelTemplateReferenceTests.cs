using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Hone.Formats.ChatTemplates;
using Hone.Formats.Tests.Tokenizers;

namespace Hone.Formats.Tests.ChatTemplates;

/// <summary>Held to what transformers renders with models' own templates: the embedded base's, and those of the npm packages in <c>tests/tokenizers</c>.</summary>
[Trait("Category", "Reference")]
public sealed class ModelTemplateReferenceTests
{
    /// <summary>The key of files about a real model's template; others hold small templates of their own.</summary>
    internal const string TemplateFrom = "template_from";

    [Fact]
    public void Render_ReferenceConversations_GiveTheirTextsAndErrors()
    {
        var wrong = new List<string>();
        var templates = 0;
        var paths = References.Folders("chat-templates").SelectMany(folder => Directory.GetFiles(folder, "*.json"));
        foreach (var path in paths)
        {
            using var document = JsonDocument.Parse(File.ReadAllBytes(path));
            if (!document.RootElement.TryGetProperty(TemplateFrom, out _))
            {
                continue;
            }

            var source = TokenizerPackages.Template(Path.GetFileNameWithoutExtension(path)).Source;
            Assert.Equal(document.RootElement.GetProperty("template_sha256").GetString(), Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(source))));
            templates++;
            var template = ChatTemplate.Parse(source);
            foreach (var @case in document.RootElement.GetProperty("cases").EnumerateArray())
            {
                Check(template, document.RootElement, @case, @case, keepNulls: true, path, wrong);
                if (@case.TryGetProperty("nulls_dropped", out var dropped))
                {
                    Check(template, document.RootElement, @case, dropped, keepNulls: false, path, wrong);
                }
            }
        }

        Assert.True(templates >= 7);
        Assert.True(wrong.Count == 0, $"{wrong.Count} cases differ:\n{string.Join('\n', wrong)}");
    }

    private static void Check(ChatTemplate template, JsonElement document, JsonElement @case, JsonElement outcome, bool keepNulls, string path, List<string> wrong)
    {
        var kwargs = @case.GetProperty("kwargs").EnumerateObject().ToDictionary(item => item.Name, item => item.Value);
        var input = new ChatTemplateInput
        {
            Messages = @case.GetProperty("messages"),
            Tools = @case.TryGetProperty("tools", out var tools) ? tools : null,
            AddGenerationPrompt = kwargs.TryGetValue("add_generation_prompt", out var add) && add.ValueKind == JsonValueKind.True,
            BosToken = document.GetProperty("bos_token").GetString(),
            EosToken = document.GetProperty("eos_token").GetString(),
            Extra = kwargs,
            KeepNulls = keepNulls,
            Clock = new FixedClock(new DateTime(2025, 1, 2, 3, 4, 5)),
        };
        var expected = ReferenceOutcome.Expected(outcome);
        var actual = ReferenceOutcome.Actual(() => template.Render(input, CancellationToken.None));
        if (expected != actual)
        {
            wrong.Add($"{path} {@case.GetProperty("name")} nulls {(keepNulls ? "kept" : "dropped")}:\n  expected {expected}\n  actual   {actual}");
        }
    }
}
