using Hone.Formats.Files;

namespace Hone.Formats.TrainingData;

/// <summary>Streams the rows of a file that <see cref="Linter"/> accepts, one line in memory at a time.</summary>
public static class RowReader
{
    /// <exception cref="InvalidFileException">A line is not a row; names it. <see cref="Linter"/> tells more.</exception>
    public static IEnumerable<TrainingRow> Read(string path)
    {
        using var reader = LineReader.Open(path);
        var parser = new RowParser();
        while (reader.TryRead(out var line))
        {
            if (!line.TooLong && Blank.Is(line.Bytes.Span))
                continue;
            yield return Parse(line, path, parser);
        }
    }

    private static TrainingRow Parse(RowLine line, string path, RowParser parser)
    {
        string where = $"{Path.GetFileName(path)}, line {line.Number}, byte {line.Offset}";
        if (line.TooLong)
            throw new InvalidFileException($"{where}: the line is longer than {LineReader.DefaultMaxLineBytes >> 20} MiB.");
        var faults = new List<JsonFault>();
        using var document = parser.Parse(line.Bytes, faults);
        if (document is null || faults.Count > 0)
            throw new InvalidFileException($"{where}: {faults[0].Message} {faults[0].Hint}");
        if (RowShape.KindOf(document.RootElement) is not { } kind)
            throw new InvalidFileException($"{where}: the line is no row: messages is missing.");
        return new(line.Number, line.Offset, kind, document.RootElement.Clone());
    }
}
