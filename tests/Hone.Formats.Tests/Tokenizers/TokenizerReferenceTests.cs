using System.Text.Json;
using Hone.Formats.Tokenizers;

namespace Hone.Formats.Tests.Tokenizers;

/// <summary>Held to what Hugging Face tokenizers gives for the same vocabularies.</summary>
[Trait("Category", "Reference")]
[Trait("Category", "Slow")]
public sealed class TokenizerReferenceTests
{
    private const string StreamEnd = ".stream.jsonl";

    /// <summary>Every name that has a file of references somewhere.</summary>
    public static TheoryData<string> Names => [.. References.Folders("tokenizers")
        .SelectMany(folder => Directory.EnumerateFiles(folder, "*.jsonl"))
        .Select(path => Path.GetFileName(path))
        .Where(file => !file.EndsWith(StreamEnd, StringComparison.Ordinal))
        .Select(file => file[..^".jsonl".Length])
        .Distinct().Order(StringComparer.Ordinal)];

    [Theory]
    [MemberData(nameof(Names))]
    public void Encode_ReferenceTexts_GivesTheirIds(string name) => CheckAll(name, ".jsonl", (tokenizer, where, line) =>
    {
        string text = line.GetProperty("text").GetString()!;
        bool special = line.TryGetProperty("add_special_tokens", out JsonElement add) && add.GetBoolean();
        TokenizedText encoded = tokenizer.Encode(text, special);
        Assert.True(Ids(line).SequenceEqual(encoded.Ids), $"{where}: {JsonSerializer.Serialize(text)}\n{string.Join(' ', Ids(line))}\n{string.Join(' ', encoded.Ids)}");
        AssertOffsets(where, text, encoded);
    });

    [Theory]
    [MemberData(nameof(Names))]
    public void Decode_ReferenceIds_GivesTheirTexts(string name) => CheckAll(name, ".jsonl", (tokenizer, where, line) =>
    {
        int[] ids = Ids(line);
        AssertSame(where, line.GetProperty("decoded"), tokenizer.Decode(ids));
        AssertSame(where, line.GetProperty("decoded_skip_special"), tokenizer.Decode(ids, skipSpecialTokens: true));
    });

    [Theory]
    [MemberData(nameof(Names))]
    public void Next_ReferenceStreams_GivesTheirPieces(string name) => CheckAll(name, StreamEnd, (tokenizer, where, line) =>
    {
        int[] ids = Ids(line);
        // Null where no stream can agree with the text as a whole.
        bool steady = line.GetProperty("pieces").ValueKind == JsonValueKind.Array;
        StreamDecoder stream = tokenizer.CreateStream(skipSpecialTokens: false);
        for (int k = 0; k <= ids.Length; k++)
        {
            AssertSame($"{where}, {k} ids", line.GetProperty("prefixes")[k], tokenizer.Decode(ids.AsSpan(0, k)));
            if (k == 0)
                continue;
            string piece = stream.Next(ids[k - 1]);
            if (steady)
                AssertSame($"{where}, piece {k}", line.GetProperty("pieces")[k - 1], piece);
        }
        string flush = stream.Flush();
        if (steady)
            AssertSame($"{where}, flush", line.GetProperty("flush"), flush);
    });

    /// <summary>Checks every line, and tells of the first few that differ.</summary>
    private static void CheckAll(string name, string ending, Action<Tokenizer, string, JsonElement> check)
    {
        Tokenizer? tokenizer = TokenizerPackages.Find(name);
        Assert.True(tokenizer is not null || !File.Exists(References.Own($"tokenizers/{name}{ending}")), $"There is no tokenizer for {name}{ending}.");
        if (tokenizer is null)
            return; // references of others, without their tokenizer
        List<string> wrong = [];
        int count = 0;
        foreach ((string where, JsonElement line) in Lines(name + ending))
        {
            count++;
            try
            {
                check(tokenizer, where, line);
            }
            catch (Xunit.Sdk.XunitException e)
            {
                wrong.Add(e.Message);
            }
        }
        Assert.True(count > 0);
        Assert.True(wrong.Count == 0, $"{wrong.Count} of {count} differ:\n{string.Join('\n', wrong.Take(12))}");
    }

    /// <summary>Ranges never step back and hold whole characters of the text.</summary>
    private static void AssertOffsets(string where, string text, TokenizedText encoded)
    {
        Assert.Equal(encoded.Ids.Length, encoded.Offsets.Length);
        int before = 0;
        foreach ((int start, int end) in encoded.Offsets)
        {
            Assert.True(start >= before && end >= start && end <= text.Length, $"{where}: {(start, end)} after {before}");
            Assert.False((start < text.Length && char.IsLowSurrogate(text[start])) || (end > 0 && char.IsHighSurrogate(text[end - 1])), where);
            before = start;
        }
    }

    private static void AssertSame(string where, JsonElement expected, string actual) =>
        Assert.True(expected.GetString() == actual, $"{where}: expected {expected.GetRawText()}, got {JsonSerializer.Serialize(actual)}.");

    private static int[] Ids(JsonElement line) => [.. line.GetProperty("ids").EnumerateArray().Select(id => id.GetInt32())];

    private static IEnumerable<(string Where, JsonElement Line)> Lines(string file) =>
        from path in References.Folders("tokenizers").Select(folder => Path.Combine(folder, file)).Where(File.Exists)
        from line in File.ReadLines(path).Index()
        select ($"{path}, line {line.Index + 1}", JsonElement.Parse(line.Item));
}
