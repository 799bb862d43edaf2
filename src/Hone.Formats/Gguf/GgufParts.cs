using System.Globalization;
using System.Text.RegularExpressions;

namespace Hone.Formats.Gguf;

/// <summary>
/// A model in several files, as <c>llama-gguf-split</c> makes them: <c>NAME-00001-of-00003.gguf</c> and so on. The first has the metadata; each says in <c>split.no</c> and
/// <c>split.count</c> which one it is.
/// </summary>
internal static partial class GgufParts
{
    private const int MostParts = 1_000;

    /// <summary>The names of all parts by that of the first; of any other file its own.</summary>
    public static IReadOnlyList<string> Names(string path) => Parse(path) is (var name, 1, var count)
        ? [.. Enumerable.Range(1, count).Select(part => string.Create(CultureInfo.InvariantCulture, $"{name}-{part:00000}-of-{count:00000}.gguf"))]
        : [path];

    /// <summary>Whether the name is that of a part behind the first.</summary>
    public static bool IsLater(string path) => Parse(path) is (_, > 1, _);

    /// <summary>The model's name without the part's number and <c>.gguf</c>.</summary>
    public static string Stem(string path) => Path.GetFileName(Parse(path)?.Name) ?? Path.GetFileNameWithoutExtension(path);

    /// <summary>The files behind the first, which is open.</summary>
    /// <exception cref="InvalidFileException">It is not the first, or not all are there.</exception>
    public static IEnumerable<string> After(GgufMetadata first, string path)
    {
        int count = first.Int32("split.count") ?? 1;
        if (count <= 1)
            return [];
        if (first.Int32("split.no") is > 0 and var number)
            throw new InvalidFileException($"{path}: the file is part {number + 1} of {count} of a model. Name the first part, …-00001-of-{count:00000}.gguf.");
        IReadOnlyList<string> names = Names(path);
        if (names.Count != count)
            throw new InvalidFileException($"{path}: the model is split into {count} files, which are found by names that end with -00001-of-{count:00000}.gguf and so on. Name them so, or join them with llama-gguf-split --merge.");
        return names.FirstOrDefault(name => !File.Exists(name)) is { } missing
            ? throw new InvalidFileException($"{path}: the model is split into {count} files, and {missing} is not there. Put all of them into one folder.")
            : names.Skip(1);
    }

    /// <exception cref="InvalidFileException">It is no part of that model, or not the one that its name says.</exception>
    public static void Check(GgufMetadata first, GgufMetadata part, string path, int number)
    {
        int? count = first.Int32("split.count");
        if (part.Int32("split.no") != number || part.Int32("split.count") != count)
            throw new InvalidFileException($"{path}: by its name it is part {number + 1} of {count} of a model, but its keys split.no and split.count say {part.Int32("split.no")} and {part.Int32("split.count")}. Fetch the file again.");
    }

    private static (string Name, int Part, int Count)? Parse(string path)
    {
        Match match = PartName().Match(path);
        if (!match.Success)
            return null;
        int part = int.Parse(match.Groups[2].ValueSpan, CultureInfo.InvariantCulture), count = int.Parse(match.Groups[3].ValueSpan, CultureInfo.InvariantCulture);
        return part >= 1 && part <= count && count is > 1 and <= MostParts ? (match.Groups[1].Value, part, count) : null;
    }

    [GeneratedRegex(@"\A(.+)-([0-9]{5})-of-([0-9]{5})\.gguf\z", RegexOptions.Singleline)]
    private static partial Regex PartName();
}
