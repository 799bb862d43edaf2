namespace Hone.Formats.Tests;

/// <summary>Where reference data lies: this project's copy and every folder of <c>HONE_REFERENCES</c>.</summary>
internal static class References
{
    public static string Repository { get; } = FindRepository();

    /// <summary>The copy in the repository; what other projects' tests use too lies in a folder for all.</summary>
    public static string Own(string part) =>
        new[] { Path.Combine("Hone.Formats.Tests", "references"), "references" }.Select(root => Path.Combine(Repository, "tests", root, part)).First(Path.Exists);

    public static IEnumerable<string> Folders(string part) =>
        (Environment.GetEnvironmentVariable("HONE_REFERENCES") ?? "").Split(':', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries)
            .Select(folder => Path.Combine(folder, part))
            .Prepend(Own(part))
            .Where(Directory.Exists);

    /// <summary>The base model that the repository holds.</summary>
    public static string EmbeddedBase => Path.Combine(Repository, "models", "SmolLM2-135M-Instruct.Q4_1.gguf");

    private static string FindRepository()
    {
        for (string? folder = AppContext.BaseDirectory; folder is not null; folder = Path.GetDirectoryName(folder))
        {
            if (File.Exists(Path.Combine(folder, "Hone.slnx")))
                return folder;
        }
        throw new DirectoryNotFoundException($"No folder above {AppContext.BaseDirectory} holds Hone.slnx.");
    }
}
