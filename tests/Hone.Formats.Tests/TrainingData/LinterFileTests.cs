using System.IO.Compression;
using System.Text;
using Hone.Formats.Jobs;
using Hone.Formats.TrainingData;

namespace Hone.Formats.Tests.TrainingData;

/// <summary>Files that are wrong, or right, as a whole.</summary>
public sealed class LinterFileTests
{
    private static readonly string[] s_good = [.. Enumerable.Range(1, 12).Select(TrainingFiles.Good)];

    private static readonly string s_text = string.Concat(s_good.Select(r => r + "\n"));

    private static byte[] Bytes(string text) => Encoding.UTF8.GetBytes(text);

    public static TheoryData<string, byte[], string> Whole() => new()
    {
        { "UTF-16LE without mark", Encoding.Unicode.GetBytes(s_text), "wrong_encoding" },
        { "UTF-16BE without mark", Encoding.BigEndianUnicode.GetBytes(s_text), "wrong_encoding" },
        { "UTF-16LE without mark, few Latin letters", Encoding.Unicode.GetBytes("{\"messages\":[{\"role\":\"user\",\"content\":\"" + new string('日', 4000) + "\"}]}\n"), "wrong_encoding" },
        { "UTF-16BE", [0xFE, 0xFF, .. Encoding.BigEndianUnicode.GetBytes(s_text)], "wrong_encoding" },
        { "UTF-32LE", [0xFF, 0xFE, 0, 0, .. Encoding.UTF32.GetBytes(s_text)], "wrong_encoding" },
        { "UTF-32LE without mark", Encoding.UTF32.GetBytes(s_text), "wrong_encoding" },
        { "UTF-32BE without mark", new UTF32Encoding(true, false).GetBytes(s_text), "wrong_encoding" },
        { "zip", Zip(), "not_plain_text" },
        { "zstd", [0x28, 0xB5, 0x2F, 0xFD, 4, 0, 0x41], "not_plain_text" },
        { "bzip2", [.. "BZh91AY&SY"u8, 1, 2, 3], "not_plain_text" },
        { "xz", [0xFD, 0x37, 0x7A, 0x58, 0x5A, 0, 0, 4], "not_plain_text" },
        { "parquet", [.. "PAR1"u8, 0x15, 0, 0x15, .. "PAR1"u8], "not_plain_text" },
        { "CR line ends", Bytes(s_text.Replace('\n', '\r')), "cr_line_ends" },
        { "one array, one line", Bytes("[" + string.Join(',', s_good) + "]"), "json_array" },
        { "one array, one row a line", Bytes("[" + string.Join(",\n", s_good) + "]\n"), "json_array" },
        { "array after a byte order mark", [0xEF, 0xBB, 0xBF, .. Bytes("[\n" + string.Join(",\n", s_good) + "\n]\n")], "json_array" },
        { "indented objects", Bytes(s_text.Replace("{\"messages\"", "{\n  \"messages\"", StringComparison.Ordinal).Replace("]}", "\n]}", StringComparison.Ordinal)), "json_over_lines" },
        { "TSV", Bytes("question\tanswer\nQ1\tA1\nQ2\tA2\n"), "csv" },
        { "CSV with quotes", Bytes("\"prompt\",\"completion\"\n\"a, b\",\"c\"\n"), "csv" },
        { "plain text", Bytes("Hello\nworld\n"), "not_json_lines" },
        { "YAML", Bytes("- role: user\n  content: Hi\n"), "not_json_lines" },
        { "HTML", Bytes("<!doctype html>\n<html><body>502 Bad Gateway</body></html>\n"), "not_json_lines" },
        { "NULs", new byte[5000], "nul_byte" },
        { "blank in every script", Bytes("\u00A0\n\u2003\u3000\n\v\f\n\u2028\n"), "no_rows" },
        { "a byte order mark alone", [0xEF, 0xBB, 0xBF], "no_rows" },
    };

    [Theory]
    [MemberData(nameof(Whole))]
    public void Lint_FileWrongAsAWhole_IsOneErrorWithoutLine(string what, byte[] file, string code)
    {
        var report = TrainingFiles.Lint(file);

        var error = Assert.Single(report.Errors);
        Assert.True((null, null, null, code) == (error.Line, error.Byte, error.Path, error.Code), $"{what}: {error}");
        Assert.NotNull(error.Hint);
    }

    public static TheoryData<string, byte[]> Sound() => new()
    {
        { "no newline at the end", Bytes(s_text.TrimEnd('\n')) },
        { "CRLF and LF mixed", Bytes(s_text.Replace("1?", "1?", StringComparison.Ordinal).Insert(s_good[0].Length, "\r")) },
        { "blank lines between", Bytes(s_text.Replace("\n", "\n\n  \r\n", StringComparison.Ordinal)) },
        { "blank lines of other spaces", Bytes(s_text.Replace("\n", "\n\u00A0\u2003\n", StringComparison.Ordinal)) },
        { "byte order mark and CRLF", [0xEF, 0xBB, 0xBF, .. Bytes(s_text.Replace("\n", "\r\n", StringComparison.Ordinal))] },
        { "byte order mark, then a blank line", [0xEF, 0xBB, 0xBF, .. Bytes("\n" + s_text)] },
        { "letters beyond the BMP", Bytes(s_text.Replace("Answer", "𝔄nswer 😀", StringComparison.Ordinal)) },
    };

    [Theory]
    [MemberData(nameof(Sound))]
    public void Lint_SoundFile_PassesUnwarned(string what, byte[] file)
    {
        var report = TrainingFiles.Lint(file);

        Assert.True(report.Errors.Count + report.Warnings.Count == 0, $"{what}: {report.ToJson()}");
        Assert.Equal(12, report.Stats.Rows);
        Assert.Equal(12, report.Stats.Kinds["chat"]);
    }

    [Fact]
    public void Lint_TrailingNuls_AreAnErrorAtTheirLine()
    {
        var error = Assert.Single(TrainingFiles.Lint([.. Bytes(s_text), .. new byte[4096]]).Errors);

        Assert.Equal((13, "nul_byte", (long)s_text.Length), (error.Line, error.Code, error.Byte));
    }

    [Fact]
    public void Lint_AllObjectsOnOneLine_IsOneError()
    {
        var error = Assert.Single(TrainingFiles.Lint(Bytes(string.Concat(s_good))).Errors);

        Assert.Equal((1, "text_after_object", (long)s_good[0].Length), (error.Line, error.Code, error.Byte));
    }

    [Fact]
    public void Lint_OddRowFirst_IsTheOddOne()
    {
        var report = TrainingFiles.Lint(Bytes("""{"prompt":"P","completion":"C"}""" + "\n" + s_text));

        var error = Assert.Single(report.Errors);
        Assert.Equal((1, "mixed_kinds", "prompt/completion row in a file of chat rows."), (error.Line, error.Code, error.Message));
    }

    [Theory]
    [InlineData(1 << 20)]
    [InlineData((1 << 16) + 1)] // ends within what is read at once
    public void Lint_LineOverTheLimit_IsSkippedAndNamed(int length)
    {
        using var stream = new MemoryStream([.. "short\n"u8, .. Enumerable.Repeat((byte)'x', length), (byte)'\n', .. "next"u8]);
        using var reader = new LineReader(stream, maxLineBytes: 1 << 16);

        Assert.True(reader.TryRead(out var first));
        Assert.Equal("short"u8, first.Bytes.Span);
        Assert.True(reader.TryRead(out var second));
        Assert.Equal((2, 6L, true), (second.Number, second.Offset, second.TooLong));
        Assert.True(reader.TryRead(out var third));
        Assert.Equal((3, 6L + length + 1, false), (third.Number, third.Offset, third.TooLong));
        Assert.Equal("next"u8, third.Bytes.Span);
        Assert.False(reader.TryRead(out _));
    }

    [Fact]
    public void Lint_LongTextsAndControlCharacters_AreShownCut()
    {
        string key = new string('k', 100_000) + "\\u001b[2J", odd = $$$"""{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}],"{{{key}}}":{"{{{key}}}":1,"{{{key}}}":2},"\u001b[2J":1}""";
        var report = TrainingFiles.Lint(Bytes(s_text + odd + "\n" + odd[..^1] + $$$""","tools":[{"type":"function","function":{"name":"{{{key}}}"}},{"type":"function","function":{"name":"{{{key}}}"}}]}""" + "\n"));

        Assert.NotEmpty(report.Errors);
        Assert.All(report.Errors.Concat(report.Warnings), issue =>
        {
            Assert.InRange(issue.Message.Length, 1, 700);
            Assert.InRange(issue.Path?.Length ?? 0, 0, 310);
            Assert.DoesNotContain('\u001b', issue.Message + issue.Path);
        });
    }

    [Fact]
    public void Lint_ValidationSharesRows_NamesBothLines()
    {
        var report = TrainingFiles.Lint(Bytes(s_text), validation: TrainingFiles.Rows([TrainingFiles.Good(99), TrainingFiles.Good(5), TrainingFiles.Good(7)]));

        Assert.Equal([(2, 5), (3, 7)], report.Errors.Select(e => (e.Line!.Value, int.Parse(e.Message.Split("line ")[1].Split(' ')[0]))));
        Assert.All(report.Errors, e => Assert.Equal("validation", e.File));
        Assert.Equal((12, 3), (report.Stats.Rows, report.Stats.ValidationRows));
    }

    [Fact]
    public void Lint_ValidationOfAnotherKind_IsRefused()
    {
        var error = Assert.Single(TrainingFiles.Lint(Bytes(s_text), validation: Bytes("""{"prompt":"P","completion":"C"}""")).Errors);

        Assert.Equal(("validation_kind_differs", "validation"), (error.Code, error.File));
    }

    [Theory]
    [InlineData("dpo", false)]
    [InlineData("supervised", true)]
    [InlineData(null, true)]
    public void Lint_MethodOtherThanTheRows_IsRefused(string? method, bool ok)
        => Assert.Equal(ok, TrainingFiles.Lint(Bytes(s_text), new TrainingConfig { Method = method }).Ok);

    /// <summary>Settings of another method, or of validation rows that are not there, do not pass in silence.</summary>
    [Fact]
    public void Bug_SettingsWithoutEffectOnTheseRows_WereNotSaid()
    {
        var beta = Assert.Single(TrainingFiles.Lint(Bytes(s_text), new TrainingConfig { Beta = 0.5 }).Errors);
        Assert.Equal("method_rows_mismatch", beta.Code);
        Assert.Contains("beta", beta.Message, StringComparison.Ordinal);

        foreach (var config in new TrainingConfig[] { new() { StopWhenWorse = true }, new() { EvalEvery = 3 } })
        {
            Assert.Equal("no_validation_rows", Assert.Single(TrainingFiles.Lint(Bytes(s_text), config).Warnings).Code);
            Assert.Empty(TrainingFiles.Lint(Bytes(s_text), config, TrainingFiles.Rows([TrainingFiles.Good(99)])).Warnings);
        }
    }

    [Fact]
    public void Read_SoundFile_GivesRowsWithPlaces()
    {
        string path = Path.GetTempFileName();
        try
        {
            byte[] file = [0xEF, 0xBB, 0xBF, .. Bytes("\n" + s_text)];
            File.WriteAllBytes(path, file);
            var rows = RowReader.Read(path).ToList();
            Assert.Equal(Enumerable.Range(2, 12), rows.Select(r => r.Line));
            Assert.All(rows, r => Assert.Equal((byte)'{', file[(int)r.ByteOffset]));
            Assert.Equal(s_good, rows.Select(r => r.Json.GetRawText()));
        }
        finally
        {
            File.Delete(path);
        }
    }

    private static byte[] Zip()
    {
        using var stream = new MemoryStream();
        using (var zip = new ZipArchive(stream, ZipArchiveMode.Create, leaveOpen: true))
        using (var entry = zip.CreateEntry("train.jsonl").Open())
            entry.Write(Bytes(s_text));
        return stream.ToArray();
    }
}
