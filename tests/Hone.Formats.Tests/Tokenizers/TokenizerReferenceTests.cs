using System.Text.Json;
using Hone.Formats.Tokenizers;

namespace Hone.Formats.Tests.Tokenizers;

/// <summary>Held to what Hugging Face tokenizers gives for the same vocabulary.</summary>
[Trait("Category", "Reference")]
public sealed class TokenizerReferenceTests
{
    private static readonly Tokenizer Tokenizer = SmolLm2.Tokenizer;

    [Fact]
    public void Encode_ReferenceTexts_GivesTheirIds()
    {
        foreach ((string where, JsonElement line) in Lines("smollm2.jsonl"))
        {
            string text = line.GetProperty("text").GetString()!;
            bool special = line.TryGetProperty("add_special_tokens", out JsonElement add) && add.GetBoolean();
            TokenizedText encoded = Tokenizer.Encode(text, special);
            Assert.True(Ids(line).SequenceEqual(encoded.Ids), $"{where}: {text}\n{string.Join(' ', Ids(line))}\n{string.Join(' ', encoded.Ids)}");
            Assert.Equal(encoded.Ids.Length, encoded.Offsets.Length);
        }
    }

    [Fact]
    public void Decode_ReferenceIds_GivesTheirTexts()
    {
        foreach ((string where, JsonElement line) in Lines("smollm2.jsonl"))
        {
            int[] ids = Ids(line);
            AssertSame(where, line.GetProperty("decoded"), Tokenizer.Decode(ids));
            AssertSame(where, line.GetProperty("decoded_skip_special"), Tokenizer.Decode(ids, skipSpecialTokens: true));
        }
    }

    [Fact]
    public void Next_ReferenceStreams_GivesTheirPieces()
    {
        foreach ((string where, JsonElement line) in Lines("smollm2.stream.jsonl"))
        {
            int[] ids = Ids(line);
            StreamDecoder stream = Tokenizer.CreateStream(skipSpecialTokens: false);
            for (int k = 0; k <= ids.Length; k++)
            {
                AssertSame($"{where}, {k} ids", line.GetProperty("prefixes")[k], Tokenizer.Decode(ids.AsSpan(0, k)));
                if (k > 0)
                    AssertSame($"{where}, piece {k}", line.GetProperty("pieces")[k - 1], stream.Next(ids[k - 1]));
            }
            AssertSame($"{where}, flush", line.GetProperty("flush"), stream.Flush());
        }
    }

    private static void AssertSame(string where, JsonElement expected, string actual) =>
        Assert.True(expected.GetString() == actual, $"{where}: expected \"{expected}\", got \"{actual}\".");

    private static int[] Ids(JsonElement line) => [.. line.GetProperty("ids").EnumerateArray().Select(id => id.GetInt32())];

    private static IEnumerable<(string Where, JsonElement Line)> Lines(string name) =>
        from path in References.Folders("tokenizers").Select(folder => Path.Combine(folder, name)).Where(File.Exists).Prepend(References.Own($"tokenizers/{name}")).Distinct()
        from line in File.ReadLines(path).Index()
        select ($"{path}, line {line.Index + 1}", JsonElement.Parse(line.Item));
}
