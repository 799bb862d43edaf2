using System.Text.Json;

namespace Hone.Commands;

/// <summary>A file that a command reads.</summary>
internal static class InputFile
{
    /// <param name="hint">What to do where there is nothing of this path.</param>
    public static void MustExist(string path, string hint = "check the path; relative ones start at the current folder.")
    {
        if (Error(path) is { } wrong)
            throw new CliException(wrong, Directory.Exists(path) ? "name the file in it." : hint);
    }

    public static string? Error(string path)
        => File.Exists(path) ? null : path.Length == 0 ? "The path of a file is empty." : Directory.Exists(path) ? $"{path} is a folder." : $"There is no file {path}.";

    /// <summary>A training_config.json under any name: rows may be called .json too, one a line or in an array.</summary>
    public static bool IsConfig(string path)
    {
        if (!path.EndsWith(".json", StringComparison.OrdinalIgnoreCase))
            return false;
        if (!File.Exists(path) || File.ReadLines(path).FirstOrDefault(line => !string.IsNullOrWhiteSpace(line)) is not { } first)
            return true;
        if (first.TrimStart('\uFEFF', ' ', '\t').StartsWith('['))
            return false;
        try
        {
            using JsonDocument line = JsonDocument.Parse(first);
            return line.RootElement.ValueKind != JsonValueKind.Object || !s_ofRows.Any(key => line.RootElement.TryGetProperty(key, out _));
        }
        catch (JsonException)
        {
            return true;
        }
    }

    private static readonly string[] s_ofRows = ["messages", "prompt", "completion", "text", "input", "instruction", "conversations", "chosen"];
}
