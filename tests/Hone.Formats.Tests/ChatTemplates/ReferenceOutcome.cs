using System.Text.Json;
using Hone.Formats.ChatTemplates;

namespace Hone.Formats.Tests.ChatTemplates;

/// <summary>What rendering gave, as text to compare: the rendered text, or the error's type and, where a template raised it, its words.</summary>
internal static class ReferenceOutcome
{
    public static string Expected(JsonElement outcome)
    {
        if (outcome.TryGetProperty("rendered", out var rendered))
        {
            return $"rendered {JsonSerializer.Serialize(rendered.GetString())}{Spans(outcome)}";
        }

        var type = outcome.GetProperty("error_type").GetString()!;
        return Error(type, outcome.GetProperty("error").GetString()!);
    }

    private static string Spans(JsonElement outcome) => outcome.TryGetProperty("generation_indices", out var spans)
        ? " " + string.Join(' ', spans.EnumerateArray().Select(span => $"{span[0].GetInt32()}-{span[1].GetInt32()}"))
        : "";

    public static string Actual(Func<RenderedChat> render, bool withSpans = false)
    {
        try
        {
            var chat = render();
            var spans = chat.GenerationSpans.Select(span => $"{CodePoints(chat.Text[..span.Start])}-{CodePoints(chat.Text[..span.End])}");
            return $"rendered {JsonSerializer.Serialize(chat.Text)}{(withSpans ? " " + string.Join(' ', spans) : "")}";
        }
        catch (ChatTemplateException error)
        {
            Assert.True(error.Line > 0, $"No line in: {error.Message}");
            return Error(error.ErrorType, error.Reason);
        }
    }

    private static int CodePoints(string text) => text.EnumerateRunes().Count();

    private static string Error(string type, string reason) => type == "TemplateError" ? $"{type}: {reason}" : type;
}
