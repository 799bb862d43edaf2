using System.Reflection;

namespace Hone.Core.Processes;

/// <summary>How another <c>hone</c> process is started: a program and the arguments that come before the command.</summary>
public sealed record HoneExecutable(string FileName, IReadOnlyList<string> LeadingArguments)
{
    /// <summary>Overrides what is found; a path that ends in <c>.dll</c> is started through <c>dotnet</c>.</summary>
    public const string Variable = "HONE_EXECUTABLE";

    /// <summary>
    /// The variable; this process where it is <c>hone</c> itself; else, for tests, the build output of the repository around the running assembly.
    /// </summary>
    public static HoneExecutable Locate()
    {
        if (Environment.GetEnvironmentVariable(Variable) is { Length: > 0 } given)
        {
            return File.Exists(given)
                ? ForFile(given)
                : throw new FileNotFoundException($"{Variable} names '{given}', which does not exist. Set it to the path of the hone executable.", given);
        }
        if (Environment.ProcessPath is { } self && Path.GetFileNameWithoutExtension(self) == "hone")
            return new HoneExecutable(self, []);
        if (Assembly.GetEntryAssembly() is { } entry && entry.GetName().Name == "hone" && entry.Location is { Length: > 0 } dll)
            return ForFile(dll);
        return FromRepository(AppContext.BaseDirectory)
            ?? throw new FileNotFoundException($"The hone executable was not found from {AppContext.BaseDirectory}. Build src/Hone, or set {Variable} to its path.");
    }

    private static HoneExecutable? FromRepository(string from)
    {
        var folder = new DirectoryInfo(from);
        while (folder is not null && !File.Exists(Path.Combine(folder.FullName, "Hone.slnx")))
            folder = folder.Parent;
        if (folder is null)
            return null;
        // The configuration that runs comes first: …/bin/Release/net10.0/.
        string[] own = from.Split(Path.DirectorySeparatorChar);
        foreach (string configuration in (string[])[own.Contains("Debug") ? "Debug" : "Release", "Release", "Debug"])
        {
            string path = Path.Combine(folder.FullName, "src", "Hone", "bin", configuration, "net10.0", OperatingSystem.IsWindows() ? "hone.exe" : "hone");
            if (File.Exists(path))
                return ForFile(path);
        }
        return null;
    }

    private static HoneExecutable ForFile(string path) =>
        path.EndsWith(".dll", StringComparison.OrdinalIgnoreCase)
            ? new HoneExecutable(Environment.ProcessPath is { } self && Path.GetFileNameWithoutExtension(self) == "dotnet" ? self : "dotnet", [Path.GetFullPath(path)])
            : new HoneExecutable(Path.GetFullPath(path), []);
}
