using Hone.Formats.Files;
using Hone.Formats.TrainingData;

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
        => File.Exists(path) ? LinkedFile.Info(path).Exists ? null : $"{path} is a pipe: files are read more than once. Write it to a file first." : path.Length == 0 ? "The path of a file is empty." : Directory.Exists(path) ? $"{path} is a folder." : $"There is no file {path}.";

    /// <summary>Parts rows from training_config.json files, which may have any name: rows may be called .json too, one a line or in an array.</summary>
    public static (string[] Rows, string[] Configs) Part(string[] files)
    {
        ILookup<bool, string> parted = files.ToLookup(IsConfig);
        return ([.. parted[false]], [.. parted[true]]);
    }

    private static bool IsConfig(string path) => path.EndsWith(".json", StringComparison.OrdinalIgnoreCase)
        && (!File.Exists(path) || File.ReadLines(path).FirstOrDefault(line => !string.IsNullOrWhiteSpace(line)) is not { } first || TrainingConfigParser.MayBegin(first));
}
