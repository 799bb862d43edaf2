namespace Hone.Client;

/// <summary>Where Hone keeps its data unless told otherwise.</summary>
internal static class DataPath
{
    public static string Resolve(string? given)
    {
        string? folder = given is { Length: > 0 } ? given : Environment.GetEnvironmentVariable("HONE_DATA");
        return Path.GetFullPath(folder is { Length: > 0 }
            ? folder
            : Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".local", "share", "hone"));
    }
}
