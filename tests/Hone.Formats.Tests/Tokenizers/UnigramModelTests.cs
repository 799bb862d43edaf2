using Hone.Formats.Tokenizers;

namespace Hone.Formats.Tests.Tokenizers;

public sealed class UnigramModelTests
{
    [Fact]
    public void Encode_RandomScores_FindsTheBestOfAllWays()
    {
        var random = new Random(5);
        for (int round = 0; round < 300; round++)
        {
            List<string> texts = ["<unk>", "a", "b"]; // c and é are unknown
            for (int i = 0; i < 12; i++)
            {
                string text = new([.. Enumerable.Range(0, random.Next(2, 5)).Select(_ => "abc"[random.Next(3)])]);
                if (!texts.Contains(text))
                    texts.Add(text);
            }
            List<double> scores = [.. texts.Select((_, i) => i == 0 ? 0 : -random.NextDouble() * 12)];
            string word = new([.. Enumerable.Range(0, random.Next(1, 12)).Select(_ => "aabbcé"[random.Next(6)])]);
            int[] ids = Encode(texts, scores, word, byteFallback: false).Ids;
            Assert.Equal(Best(texts, scores, word), Score(texts, scores, word, ids), 1e-9);
        }
    }

    [Fact]
    public void Encode_UnknownCharacters_AreOneTokenOrTheirBytes()
    {
        List<string> texts = ["<unk>", "a", "<0xC3>", "<0xA9>", "ab"];
        List<double> scores = [0, -1, 0, 0, -3];
        TokenizedText plain = Encode(texts, scores, "aéé𝐀ab", byteFallback: false);
        Assert.Equal([1, 0, 4], plain.Ids);
        Assert.Equal([(0, 1), (1, 5), (5, 7)], plain.Offsets);
        TokenizedText bytes = Encode(texts, scores, "aééab", byteFallback: true);
        Assert.Equal([1, 2, 3, 2, 3, 4], bytes.Ids);
        Assert.Equal([(0, 1), (1, 2), (1, 2), (2, 3), (2, 3), (3, 5)], bytes.Offsets);
        // One byte without a token, and all of the run is unknown.
        Assert.Equal([1, 0], Encode(texts, scores, "aéx", byteFallback: true).Ids);
    }

    [Fact]
    public void Encode_NoUnknownToken_IsRefusedWithTheCharacter() =>
        Assert.Contains("'é'", Assert.Throws<InvalidFileException>(() => Encode(["a"], [0], "aé", byteFallback: false, unknown: null)).Message, StringComparison.Ordinal);

    private static TokenizedText Encode(List<string> texts, List<double> scores, string word, bool byteFallback, int? unknown = 0)
    {
        var tokens = texts.Select((text, id) => (text, id)).ToDictionary(t => t.text, t => t.id);
        var kinds = new TokenKind[texts.Count];
        kinds[0] = unknown is null ? TokenKind.Normal : TokenKind.Special;
        var model = new UnigramModel(new Vocabulary(texts, kinds, tokens), tokens, scores, unknown, byteFallback);
        var output = new TokenBuffer();
        model.Encode(word, 0, new ByteWord(), output);
        return output.ToText();
    }

    private static double Best(List<string> texts, List<double> scores, string word) => word.Length == 0 ? 0
        : texts.Index().Where(t => t.Index > 0 && word.StartsWith(t.Item, StringComparison.Ordinal)).Select(t => scores[t.Index] + Best(texts, scores, word[t.Item.Length..]))
            .Concat(texts.Contains(word[..1]) ? [] : [scores.Min() - 10 + Best(texts, scores, word[1..])]).Max();

    /// <summary>What the tokens cost; an unknown one costs for every character, of which it has as many as make it fit.</summary>
    private static double Score(List<string> texts, List<double> scores, string word, int[] ids)
    {
        (int at, double score) = (0, 0);
        for (int i = 0; i < ids.Length; i++)
        {
            if (ids[i] != 0)
            {
                Assert.StartsWith(texts[ids[i]], word[at..], StringComparison.Ordinal);
                at += texts[ids[i]].Length;
                score += scores[ids[i]];
                continue;
            }
            while (at < word.Length && !texts.Contains(word[at..(at + 1)]) && (i + 1 == ids.Length || !word[at..].StartsWith(texts[ids[i + 1]], StringComparison.Ordinal)))
            {
                at++;
                score += scores.Min() - 10;
            }
        }
        Assert.Equal(word.Length, at);
        return score;
    }
}
