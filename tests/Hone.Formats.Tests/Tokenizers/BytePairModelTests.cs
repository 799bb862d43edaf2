using Hone.Formats.Tokenizers;

namespace Hone.Formats.Tests.Tokenizers;

public sealed class BytePairModelTests
{
    private static readonly int[] Letters = [.. Enumerable.Range(0, 256).Select(b => b is >= 'a' and <= 'c' ? b - 'a' : -1)];

    [Fact]
    public void Merge_RandomMergesAndWords_EqualsMergingTheLowestPairEachTime()
    {
        var random = new Random(3);
        for (int round = 0; round < 150; round++)
        {
            // Merges in random order: a later token may have a lower rank than those it is made of.
            List<string> tokens = ["a", "b", "c"];
            List<string> merges = [];
            for (int i = 0; i < 40; i++)
            {
                (string left, string right) = (tokens[random.Next(tokens.Count)], tokens[random.Next(tokens.Count)]);
                if (!tokens.Contains(left + right) && left.Length + right.Length <= 9)
                    tokens.Add(left + right);
                if (tokens.Contains(left + right))
                    merges.Insert(random.Next(merges.Count + 1), $"{left} {right}");
            }
            var vocabulary = new Vocabulary(tokens, new TokenKind[tokens.Count]);
            MergeTable table = MergeTable.Parse(merges, vocabulary, "test");
            var model = new BytePairModel(vocabulary, table, new ByteSymbols(vocabulary), ignoreMerges: false);
            string text = string.Concat(Enumerable.Range(0, random.Next(1, 200)).Select(_ => (char)('a' + random.Next(3))));

            int[] expected = MergeLowestEachTime(text, tokens, table);
            Assert.Equal(expected, Tokens(text, model.MergeByScanning));
            Assert.Equal(expected, Tokens(text, word => LongWordMerger.Merge(word, table)));
        }
    }

    private static int[] MergeLowestEachTime(string text, List<string> tokens, MergeTable table)
    {
        List<int> ids = [.. text.Select(c => tokens.IndexOf(c.ToString()))];
        while (true)
        {
            if (ids.Count < 2)
                return [.. ids];
            var best = ids.Zip(ids.Skip(1)).Index()
                .Select(p => (p.Index, Merge: table.TryGet(p.Item.First, p.Item.Second, out Merge merge) ? merge : new Merge(int.MaxValue, -1)))
                .MinBy(p => p.Merge.Rank);
            if (best.Merge.Token < 0)
                return [.. ids];
            ids[best.Index] = best.Merge.Token;
            ids.RemoveAt(best.Index + 1);
        }
    }

    private static int[] Tokens(string text, Func<ByteWord, int> merge)
    {
        var word = new ByteWord();
        word.Read(text, Letters);
        int count = merge(word);
        return word.Ids[..count];
    }

    /// <summary>Of 1,000 pairs nearly all have a hash of their own: with few, looking up what joins takes longer than all else together.</summary>
    [Fact]
    public void Bug_PairsOfCharactersShareTheirHashes()
    {
        IEnumerable<int> characters = Enumerable.Range('a', 26).Append('▁').Concat(Enumerable.Range(0x430, 6));
        ulong[] pairs = [.. characters.SelectMany(left => characters.Select(right => CharacterSymbols.PairOf(left, right)))];
        Assert.Equal(33 * 33, pairs.Distinct().Count());
        Assert.True(pairs.Select(pair => pair.GetHashCode()).Distinct().Count() > 1_050);
        Assert.Equal(CharacterSymbols.PairOf('b', 0x1F600), CharacterSymbols.PairOf("ab", "\ud83d\ude00c"));
    }
}
