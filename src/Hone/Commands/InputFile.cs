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
}
