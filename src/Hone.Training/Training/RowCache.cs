using Hone.Formats;
using Hone.Formats.TrainingData;

namespace Hone.Training.Training;

/// <summary>
/// Files of encoded rows, named by the training file's SHA-256 and by what else their tokens follow from: a restart and another job on the same data read them
/// instead of encoding again. Those used longest ago go when all together exceed the bound.
/// </summary>
/// <param name="folder">Null: nothing is kept.</param>
internal sealed class RowCache(string? folder, TimeProvider clock)
{
    private const string Extension = ".rows";

    /// <summary>2 GiB: five hundred million tokens.</summary>
    public long MaxBytes { get; init; } = 2L << 30;

    /// <param name="name">Of the content.</param>
    /// <param name="write">Writes the file that it is given.</param>
    public EncodedRowFile Open(string name, Action<string> write)
    {
        if (folder is null)
            return Unkept(write);
        Directory.CreateDirectory(folder);
        string path = Path.Combine(folder, name + Extension);
        if (TryOpen(path) is { } known)
            return known;
        write(path);
        // Once it is open, another trainer may delete it.
        EncodedRowFile rows = EncodedRowFile.Open(path);
        Trim(path);
        return rows;
    }

    /// <summary>The file's name goes as soon as it is mapped, its pages with the last use.</summary>
    private static EncodedRowFile Unkept(Action<string> write)
    {
        string path = Path.Combine(Path.GetTempPath(), $"hone-{Guid.NewGuid():n}{Extension}");
        try
        {
            write(path);
            return EncodedRowFile.Open(path);
        }
        finally
        {
            File.Delete(path);
        }
    }

    private EncodedRowFile? TryOpen(string path)
    {
        try
        {
            EncodedRowFile rows = EncodedRowFile.Open(path);
            File.SetLastWriteTimeUtc(path, clock.GetUtcNow().UtcDateTime);
            return rows;
        }
        catch (Exception e) when (e is FileNotFoundException or InvalidFileException)
        {
            return null; // a damaged file is made again
        }
    }

    /// <summary>Another trainer that has one of them open keeps it; the system frees it after that.</summary>
    private void Trim(string newest)
    {
        long total = 0;
        foreach (FileInfo file in new DirectoryInfo(folder!).GetFiles('*' + Extension).Where(f => f.Exists).OrderByDescending(f => f.FullName == newest).ThenByDescending(f => f.LastWriteTimeUtc))
        {
            total += file.Length;
            if (total > MaxBytes && file.FullName != newest)
                file.Delete();
        }
    }
}
