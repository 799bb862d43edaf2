using System.Text.Json;
using Hone.Formats.Files;

namespace Hone.Formats.TrainingData;

/// <summary>Is the file lines of JSON objects in UTF-8 at all? Judged by its first block; what is wrong with the file as a whole is said once, not line by line.</summary>
internal static class FileProbe
{
    public const int BlockSize = 1 << 20;

    private static readonly (byte[] Magic, int At, string What, string Hint)[] s_magics =
    [
        ([0x1F, 0x8B], 0, "gzip", "Unpack it with gunzip."),
        ([0x50, 0x4B, 0x03, 0x04], 0, "a zip archive (or a spreadsheet)", "Unpack it, or export the sheet as JSON lines."),
        ([0x50, 0x4B, 0x05, 0x06], 0, "an empty zip archive", "Upload the JSON lines themselves."),
        ([0x28, 0xB5, 0x2F, 0xFD], 0, "zstd", "Unpack it with zstd -d."),
        ("BZh"u8.ToArray(), 0, "bzip2", "Unpack it with bunzip2."),
        ([0xFD, 0x37, 0x7A, 0x58, 0x5A, 0x00], 0, "xz", "Unpack it with unxz."),
        ([0x37, 0x7A, 0xBC, 0xAF, 0x27, 0x1C], 0, "a 7z archive", "Unpack it."),
        ([0x04, 0x22, 0x4D, 0x18], 0, "lz4", "Unpack it with lz4 -d."),
        ([0x5D, 0x00, 0x00], 0, "lzma", "Unpack it with unlzma."),
        ("Rar!"u8.ToArray(), 0, "a rar archive", "Unpack it."),
        ([0xFF, 0x06, 0x00, 0x00, 0x73, 0x4E, 0x61, 0x50, 0x70, 0x59], 0, "snappy", "Unpack it."),
        ("ustar"u8.ToArray(), 257, "a tar archive", "Unpack it."),
        ("PAR1"u8.ToArray(), 0, "Parquet", "Convert it to JSON lines, for example with pandas: to_json(orient=\"records\", lines=True)."),
        ("ARROW1"u8.ToArray(), 0, "Arrow", "Convert it to JSON lines, for example with pandas: to_json(orient=\"records\", lines=True)."),
        ("ORC"u8.ToArray(), 0, "ORC", "Convert it to JSON lines."),
        ("Obj\u0001"u8.ToArray(), 0, "Avro", "Convert it to JSON lines."),
        ("SQLite format 3"u8.ToArray(), 0, "an SQLite database", "Export the rows as JSON lines."),
        ("GGUF"u8.ToArray(), 0, "a GGUF model", "Upload the training rows."),
        ("%PDF"u8.ToArray(), 0, "PDF", "Write the rows as JSON lines."),
        ([0x89, 0x50, 0x4E, 0x47], 0, "a PNG image", "Write the rows as JSON lines."),
        ([0xFF, 0xD8, 0xFF], 0, "a JPEG image", "Write the rows as JSON lines."),
        ([0x89, 0x48, 0x44, 0x46], 0, "HDF5", "Write the rows as JSON lines."),
        ([0x93, 0x4E, 0x55, 0x4D, 0x50, 0x59], 0, "a NumPy array", "Write the rows as JSON lines."),
        ([0x80, 0x04, 0x95], 0, "a Python pickle", "Write the rows as JSON lines with json.dumps."),
        ([0x80, 0x03, 0x5D], 0, "a Python pickle", "Write the rows as JSON lines with json.dumps."),
        ([0x7F, 0x45, 0x4C, 0x46], 0, "a program", "Upload the training rows."),
    ];

    /// <param name="head">The file's first bytes.</param>
    /// <param name="whole">They are all there is.</param>
    /// <returns>Null: go on line by line.</returns>
    public static JsonFault? Inspect(ReadOnlySpan<byte> head, bool whole)
    {
        foreach (var (magic, at, what, hint) in s_magics)
        {
            if (head.Length >= at + magic.Length && head[at..].StartsWith(magic))
                return Fault("not_plain_text", $"{what}, must be plain text: one JSON object a line.", hint);
        }
        if (WideEncoding(head) is { } wide)
            return Fault("wrong_encoding", $"{wide}, must be UTF-8.", "Save the file as UTF-8, for example with iconv.");
        if (head.StartsWith("\uFEFF"u8))
            head = head[3..];
        if (head.IndexOfAnyExcept((byte)0) < 0 && head.Length > 0)
            return Fault("nul_byte", "NUL byte: the file is nothing but NUL bytes.", "It was padded or never written; write it again.");
        if (Blank.Is(head))
            return null;
        int lf = head.IndexOf((byte)'\n'), cr = head.IndexOf((byte)'\r');
        if (lf < 0 && cr >= 0 && cr < head.Length - 1 && !Blank.Is(head[cr..]))
            return Fault("cr_line_ends", "lines end in CR alone, must end in LF: the whole file is one line.", "Save it with Unix line ends (LF); CRLF is fine too.");
        return Layout(head, whole);
    }

    private static JsonFault Fault(string code, string message, string hint) => new(0, null, code, message, hint);

    private static string? WideEncoding(ReadOnlySpan<byte> head)
    {
        if (head.StartsWith((ReadOnlySpan<byte>)[0xFF, 0xFE, 0, 0]) || head.StartsWith((ReadOnlySpan<byte>)[0, 0, 0xFE, 0xFF]))
            return "UTF-32";
        if (head.StartsWith((ReadOnlySpan<byte>)[0xFF, 0xFE]) || head.StartsWith((ReadOnlySpan<byte>)[0xFE, 0xFF]))
            return "UTF-16";
        if (head.Length >= 4 && (head[0], head[1], head[2], head[3]) is ((byte)'{', 0, not 0, 0) or (0, (byte)'{', 0, not 0))
            return "UTF-16 without a byte order mark";
        // Without a mark: mostly Latin text leaves the high bytes 0.
        int length = Math.Min(head.Length, 4096) & ~3;
        Span<int> zeros = stackalloc int[4];
        zeros.Clear();
        for (int i = 0; i < length; i++)
            zeros[i & 3] += head[i] == 0 ? 1 : 0;
        int quarter = length / 4, most = quarter * 3 / 5, few = quarter / 10;
        if (quarter < 2)
            return null;
        if (zeros[1] > most && zeros[2] > most && zeros[3] > most && zeros[0] <= few || zeros[0] > most && zeros[1] > most && zeros[2] > most && zeros[3] <= few)
            return "UTF-32 without a byte order mark";
        if (zeros[1] > most && zeros[3] > most && zeros[0] <= few && zeros[2] <= few || zeros[0] > most && zeros[2] > most && zeros[1] <= few && zeros[3] <= few)
            return "UTF-16 without a byte order mark";
        return null;
    }

    private static JsonFault? Layout(ReadOnlySpan<byte> head, bool whole)
    {
        var rest = head;
        var first = ReadOnlySpan<byte>.Empty;
        int after = 0, objects = 0, lines = 0;
        while (!rest.IsEmpty)
        {
            int end = rest.IndexOf((byte)'\n');
            var line = (end < 0 ? rest : rest[..end]).Trim(" \t\r"u8);
            rest = end < 0 ? default : rest[(end + 1)..];
            if (Blank.Is(line))
                continue;
            if (lines++ == 0)
            {
                first = line;
                after = head.Length - rest.Length;
            }
            objects += line[0] == '{' ? 1 : 0;
        }
        var from = head[head.IndexOf(first)..];
        if (first[0] == '[' && (SpansLines(from) || !Parses(first) || after >= head.Length || Blank.Is(head[after..])))
            return Fault("json_array", "one JSON array, must be one object a line.", "Write each element on a line of its own, without the brackets and commas around; jq -c '.[]' does so.");
        if (first[0] == '{' && SpansLines(from))
            return Fault("json_over_lines", "one JSON object over several lines, must be one object a line.", "Write each object on a single line; jq -c . does so.");
        if (objects > 0 || first[0] == '[' || Parses(first) || first.IndexOf((byte)0) >= 0 || !whole && lines < 2)
            return null;
        char delimiter = first.IndexOf((byte)'\t') >= 0 ? '\t' : first.IndexOf((byte)',') >= 0 ? ',' : first.IndexOf((byte)';') >= 0 ? ';' : '\0';
        if (first[0] == '<')
            return Fault("not_json_lines", "HTML or XML, must be one JSON object a line.", "Was an error page saved instead of the data?");
        return delimiter != '\0'
            ? Fault("csv", $"{(delimiter == '\t' ? "TSV" : "CSV")}, must be one JSON object a line.", "Convert it, for example with pandas: read_csv(…), build messages, to_json(orient=\"records\", lines=True).")
            : Fault("not_json_lines", "no line begins with a JSON object: the file must be one JSON object a line.", "Write rows such as {\"messages\":[…]}.");
    }

    private static bool Parses(ReadOnlySpan<byte> line)
    {
        var reader = new Utf8JsonReader(line);
        try
        {
            while (reader.Read())
            {
            }
            return true;
        }
        catch (JsonException)
        {
            return false;
        }
    }

    /// <summary>Does the first value end on a later line than it begins, and is it sound?</summary>
    private static bool SpansLines(ReadOnlySpan<byte> text)
    {
        var reader = new Utf8JsonReader(text, isFinalBlock: false, default);
        try
        {
            if (!reader.Read() || !reader.TrySkip())
                return false;
            return text[..(int)reader.BytesConsumed].IndexOf((byte)'\n') >= 0;
        }
        catch (JsonException)
        {
            return false;
        }
    }
}
