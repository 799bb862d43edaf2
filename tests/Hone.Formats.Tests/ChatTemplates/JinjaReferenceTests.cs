using System.Globalization;
using System.Text.Json;
using Hone.Formats.ChatTemplates;

namespace Hone.Formats.Tests.ChatTemplates;

/// <summary>
/// Held to what jinja2 3.1.6, as transformers sets it up, renders: <c>jinja.json</c> of one feature or trap each, <c>jinja-more.json</c> of scopes,
/// white space, every filter, test and method with many values, and random templates.
/// </summary>
[Trait("Category", "Reference")]
public sealed class JinjaReferenceTests
{
    [Fact]
    public void Render_ReferenceCases_GiveTheirTextsSpansAndErrors()
    {
        var wrong = new List<string>();
        foreach (var path in References.Folders("chat-templates").SelectMany(folder => Directory.GetFiles(folder, "*.json")))
        {
            using var document = JsonDocument.Parse(File.ReadAllBytes(path));
            if (document.RootElement.TryGetProperty(ModelTemplateReferenceTests.TemplateFrom, out _))
            {
                continue;
            }

            foreach (var @case in document.RootElement.GetProperty("cases").EnumerateArray())
            {
                var expected = ReferenceOutcome.Expected(@case);
                var actual = ReferenceOutcome.Actual(() => Render(@case), @case.TryGetProperty("generation_indices", out _));
                if (expected != actual)
                {
                    wrong.Add($"{path} {@case.GetProperty("name")}:\n  expected {expected}\n  actual   {actual}");
                }
            }
        }

        Assert.True(wrong.Count == 0, $"{wrong.Count} cases differ:\n{string.Join('\n', wrong)}");
    }

    private static RenderedChat Render(JsonElement @case)
    {
        var now = @case.TryGetProperty("now", out var text) ? text.GetString()! : "2025-01-02T03:04:05";
        var variables = @case.GetProperty("context").EnumerateObject().ToDictionary(item => item.Name, item => item.Value);
        return ChatTemplate.Parse(@case.GetProperty("template").GetString()!)
            .Render(variables, new FixedClock(DateTime.Parse(now, CultureInfo.InvariantCulture)), CancellationToken.None);
    }
}
