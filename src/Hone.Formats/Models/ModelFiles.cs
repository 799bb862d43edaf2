using System.Security.Cryptography;
using System.Text;
using Hone.Formats.Files;

namespace Hone.Formats.Models;

/// <summary>The files that a model is made of: a GGUF file, or those of a Hugging Face folder whose content decides what the model computes.</summary>
public static class ModelFiles
{
    /// <summary>Of a folder in an order that never changes; a folder without a model has none.</summary>
    public static IReadOnlyList<string> Of(string path) => Directory.Exists(path) ? HuggingFaceFolder.Files(path) : [path];

    /// <summary>Whether the path is a folder with a Hugging Face model in it.</summary>
    public static bool IsFolder(string path) => File.Exists(Path.Combine(path, HuggingFaceConfig.FileName));

    /// <summary>Bytes in all files, and the latest time of change: together they tell that a model is still the same.</summary>
    public static (long Size, DateTime ModifiedAt) Stamp(string path)
    {
        FileInfo[] files = [.. Of(path).Select(LinkedFile.Info)];
        return (files.Sum(f => f.Length), files.Select(f => f.LastWriteTimeUtc).DefaultIfEmpty(DateTime.UnixEpoch).Max());
    }

    /// <summary>Lower-case hex SHA-256: of a file its content's; of a folder that of the lines <c>hash, two spaces, name</c>, which <c>sha256sum</c> prints.</summary>
    public static async Task<string> HashAsync(string path, CancellationToken cancellationToken)
    {
        if (!Directory.Exists(path))
            return await HashFileAsync(path, cancellationToken);
        var lines = new StringBuilder();
        foreach (string file in Of(path))
            lines.Append(await HashFileAsync(file, cancellationToken)).Append("  ").Append(Path.GetRelativePath(path, file)).Append('\n');
        return Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(lines.ToString())));
    }

    private static async Task<string> HashFileAsync(string path, CancellationToken cancellationToken)
    {
        await using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, 1 << 18, FileOptions.Asynchronous | FileOptions.SequentialScan);
        return Convert.ToHexStringLower(await SHA256.HashDataAsync(file, cancellationToken));
    }
}
