namespace Hone.Commands;

/// <summary>A file that a command reads.</summary>
internal static class InputFile
{
    /// <param name="hint">What to do where there is nothing of this path.</param>
    public static void MustExist(string path, string hint = "check the path; relative ones start at the current folder.")
    {
        if (File.Exists(path))
            return;
        throw path.Length == 0 ? new CliException("The path of a file is empty.", hint)
            : Directory.Exists(path) ? new CliException($"{path} is a folder.", "name the file in it.")
            : new CliException($"There is no file {path}.", hint);
    }
}
