using System.Security.Cryptography;
using System.Text;
using Hone.Formats.Files;
using Hone.Formats.Gguf;

namespace Hone.Formats.Models;

/// <summary>The files that a model is made of: a GGUF file, or its parts, or those of a Hugging Face folder whose content decides what the model computes.</summary>
public static class ModelFiles
{
    /// <summary>In an order that never changes; a folder without a model has none.</summary>
    public static IReadOnlyList<string> Of(string path) => Directory.Exists(path) ? HuggingFaceFolder.Files(path) : [path, .. GgufParts.Names(path).Skip(1).Where(File.Exists)];

    /// <summary>Whether a GGUF file is but a part of a model, named like those behind the first.</summary>
    public static bool IsLaterPart(string path) => GgufParts.IsLater(path);

    /// <summary>The folder's name, or the file's without ending and part.</summary>
    public static string NameOf(string path) => Directory.Exists(path) ? Path.GetFileName(path.TrimEnd(Path.DirectorySeparatorChar)) : GgufParts.Stem(path);

    /// <summary>Whether the path is a folder with a Hugging Face model in it.</summary>
    public static bool IsFolder(string path) => File.Exists(Path.Combine(path, HuggingFaceConfig.FileName));

    /// <summary>Bytes in all files, and the latest time of change: together they tell that a model is still the same.</summary>
    public static (long Size, DateTime ModifiedAt) Stamp(string path)
    {
        FileInfo[] files = [.. Of(path).Select(LinkedFile.Info)];
        return (files.Sum(f => f.Length), files.Select(f => f.LastWriteTimeUtc).DefaultIfEmpty(DateTime.UnixEpoch).Max());
    }

    /// <summary>Lower-case hex SHA-256: of a file its content's; of several that of the lines <c>hash, two spaces, name</c>, which <c>sha256sum</c> prints.</summary>
    public static async Task<string> HashAsync(string path, CancellationToken cancellationToken)
    {
        bool isFolder = Directory.Exists(path);
        IReadOnlyList<string> files = Of(path);
        if (!isFolder && files.Count == 1)
            return await HashFileAsync(path, cancellationToken);
        string folder = isFolder ? path : Path.GetDirectoryName(Path.GetFullPath(path))!;
        var lines = new StringBuilder();
        foreach (string file in files)
            lines.Append(await HashFileAsync(file, cancellationToken)).Append("  ").Append(Path.GetRelativePath(folder, file)).Append('\n');
        return Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(lines.ToString())));
    }

    private static async Task<string> HashFileAsync(string path, CancellationToken cancellationToken)
    {
        await using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, 1 << 18, FileOptions.Asynchronous | FileOptions.SequentialScan);
        return Convert.ToHexStringLower(await SHA256.HashDataAsync(file, cancellationToken));
    }
}
