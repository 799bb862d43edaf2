namespace Hone.Formats.Files;

/// <summary>A file as it is behind symbolic links, of which Hugging Face's cache is made; by itself <see cref="FileInfo"/> has a link's own size and time.</summary>
public static class LinkedFile
{
    /// <exception cref="IOException">The path does not exist.</exception>
    public static FileInfo Info(string path) => File.ResolveLinkTarget(path, returnFinalTarget: true) as FileInfo ?? new FileInfo(path);
}
