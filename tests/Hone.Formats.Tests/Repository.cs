namespace Hone.Formats.Tests;

/// <summary>Test data stay where they are in the repository; nothing big is copied beside the assembly.</summary>
internal static class Repository
{
    public static string Root { get; } = Find();

    private static string Find()
    {
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            if (File.Exists(Path.Combine(folder.FullName, "Hone.slnx")))
                return folder.FullName;
        }
        throw new DirectoryNotFoundException("Hone.slnx is in no folder above the tests.");
    }
}
