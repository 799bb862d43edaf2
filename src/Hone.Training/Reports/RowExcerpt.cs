using System.Text.Json;
using Hone.Formats;
using Hone.Formats.TrainingData;

namespace Hone.Training.Reports;

/// <summary>What a row asks and answers, in one line.</summary>
internal static class RowExcerpt
{
    private const int Length = 120;

    public static Dictionary<int, string> Read(string path, HashSet<int> lines) =>
        lines.Count == 0 ? [] : RowReader.Read(path).TakeWhile(r => r.Line <= lines.Max()).Where(r => lines.Contains(r.Line)).ToDictionary(r => r.Line, Of);

    public static string Of(TrainingRow row)
    {
        JsonElement json = row.Json;
        return row.Kind switch
        {
            RowKind.Text => Cut(json.GetProperty("text")),
            RowKind.PromptCompletion => $"{Cut(json.GetProperty("prompt"))} → {Cut(json.GetProperty("completion"))}",
            RowKind.Chat => $"{Last(json.GetProperty("messages"), "user")} → {Last(json.GetProperty("messages"), "assistant")}",
            _ => string.Join(" | ", json.EnumerateObject().Where(p => p.Name.Contains("preferred", StringComparison.Ordinal)).Select(p => $"{p.Name}: {Last(p.Value, "assistant")}")),
        };
    }

    private static string Last(JsonElement messages, string role)
    {
        if (messages.ValueKind != JsonValueKind.Array)
            return Cut(messages);
        JsonElement message = messages.EnumerateArray().LastOrDefault(m => m.TryGetProperty("role", out JsonElement who) && who.ValueEquals(role));
        if (message.ValueKind != JsonValueKind.Object)
            return "";
        return Cut(message.TryGetProperty("content", out JsonElement content) && content.ValueKind != JsonValueKind.Null ? content : message);
    }

    private static string Cut(JsonElement value)
    {
        string text = value.ValueKind == JsonValueKind.String ? value.GetString()! : value.GetRawText();
        return string.Join(' ', text.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries)).Shown(Length);
    }
}
