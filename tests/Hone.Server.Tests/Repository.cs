namespace Hone.Server.Tests;

internal static class Repository
{
    /// <summary>A file of the repository around the test assembly.</summary>
    public static string Path(string relative)
    {
        var folder = new DirectoryInfo(AppContext.BaseDirectory);
        while (!File.Exists(System.IO.Path.Combine(folder.FullName, "Hone.slnx")))
            folder = folder.Parent ?? throw new DirectoryNotFoundException("The tests run outside of the repository.");
        return System.IO.Path.Combine(folder.FullName, relative);
    }
}
