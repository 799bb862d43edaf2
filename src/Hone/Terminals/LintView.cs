using System.Globalization;
using System.Text.Json;
using Hone.Formats.TrainingData;
using Spectre.Console;

namespace Hone.Terminals;

/// <summary>A lint report's findings for people: a line a finding and the hint under it, the first of each kind, the others counted.</summary>
internal static class LintView
{
    private const int Shown = 10;

    /// <param name="validation">The file of the findings that the report marks as the validation file's.</param>
    /// <param name="config">The file of those that it marks as the configuration's.</param>
    public static void Print(Terminal terminal, string file, string? validation, string? config, JsonElement report, TextWriter to)
    {
        foreach ((string list, string word, string colour) in new[] { ("errors", "error", "red"), ("warnings", "warning", "yellow") })
        {
            if (!report.TryGetProperty(list, out JsonElement findings) || findings.ValueKind != JsonValueKind.Array)
                continue;
            foreach (IGrouping<(string?, string?), JsonElement> kind in findings.EnumerateArray().GroupBy(finding => (Text(finding, "file"), Text(finding, "code"))))
                Print(terminal, to, kind.Key.Item1 switch { LintIssue.ValidationFile => validation ?? file, LintIssue.ConfigFile => config ?? file, _ => file }, [.. kind], word, colour);
        }
    }

    private static void Print(Terminal terminal, TextWriter to, string file, JsonElement[] kind, string word, string colour)
    {
        JsonElement[] listed = [.. kind.Where(finding => Text(finding, "more") is null)];
        foreach (JsonElement finding in listed.Take(Shown))
            Print(terminal, to, file, finding, word, colour);
        int beyond = listed.Length - Math.Min(Shown, listed.Length) + kind.Where(finding => Text(finding, "more") is not null).Sum(finding => finding.GetProperty("more").GetInt32());
        if (beyond > 0)
            to.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{file}: {word}: … and {beyond:N0} more of this kind [{Text(kind[0], "code")}]; --json lists up to 100"));
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
