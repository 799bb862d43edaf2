using System.Text.Json;
using Spectre.Console;

namespace Hone.Terminals;

/// <summary>A lint report for people: a line a finding, the hint under it, and what was counted.</summary>
internal static class LintView
{
    /// <param name="validation">The file of the findings that the report marks as the validation file's.</param>
    public static void Print(Terminal terminal, string file, string? validation, JsonElement report, TextWriter to)
    {
        foreach ((string list, string word, string colour) in new[] { ("errors", "error", "red"), ("warnings", "warning", "yellow") })
        {
            if (!report.TryGetProperty(list, out JsonElement findings) || findings.ValueKind != JsonValueKind.Array)
                continue;
            foreach (JsonElement finding in findings.EnumerateArray())
                Print(terminal, to, Text(finding, "file") switch { "validation" => validation ?? file, "config" => "configuration", _ => file }, finding, word, colour);
        }
        if (report.TryGetProperty("stats", out JsonElement stats) && stats.ValueKind == JsonValueKind.Object)
        {
            IEnumerable<string> counted = stats.EnumerateObject().Where(s => s.Value.ValueKind is JsonValueKind.Number or JsonValueKind.String)
                .Select(s => $"{s.Name.Replace('_', ' ')} {s.Value}");
            if (string.Join(", ", counted) is { Length: > 0 } line)
                to.WriteLine(line);
        }
    }

    private static void Print(Terminal terminal, TextWriter to, string file, JsonElement finding, string word, string colour)
    {
        string place = file;
        if (Text(finding, "line") is { } line)
            place += $":{line}";
        if (Text(finding, "path") is { Length: > 0 } path)
            place += $" {path}";
        string message = $"{Text(finding, "message")} [{Text(finding, "code")}]";
        if (terminal.Interactive && ReferenceEquals(to, terminal.Output))
            terminal.Ansi.MarkupLine($"{Markup.Escape(place)}: [{colour}]{word}[/]: {Markup.Escape(message)}");
        else
            to.WriteLine($"{place}: {word}: {message}");
        if (Text(finding, "hint") is { Length: > 0 } hint)
            to.WriteLine($"    {hint}");
    }

    private static string? Text(JsonElement finding, string name)
        => finding.TryGetProperty(name, out JsonElement value) && value.ValueKind is not JsonValueKind.Null ? value.ToString() : null;
}
