namespace Hone.Core.Tests;

internal static class Repository
{
    public static string Root { get; } = Find();

    public static string File(string path) => Path.Combine(Root, path);

    private static string Find()
    {
        for (DirectoryInfo? folder = new(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            if (System.IO.File.Exists(Path.Combine(folder.FullName, "Hone.slnx")))
                return folder.FullName;
        }
        throw new InvalidOperationException("The tests run outside of the repository.");
    }
}
