namespace Hone.Formats.Tokenizers;

/// <summary>
/// Byte-level byte pair encoding (Sennrich et al. 2016): a word begins as its bytes' tokens; of all neighbours the pair of the lowest rank
/// merges, the leftmost first, until no pair is in the merges. A byte that has no token is dropped, and its neighbours then touch.
/// </summary>
internal sealed class BytePairModel
{
    // Beyond this many symbols rescanning for the lowest rank costs more than the buckets of LongWordMerger.
    private const int LongestScanned = 48;

    private readonly int[] _byteTokens = new int[256];
    private readonly MergeTable _merges;
    private readonly Vocabulary? _wholeWords;
    private readonly WordCache _cache = new();

    /// <param name="vocabulary">The tokens.</param>
    /// <param name="merges">Their merges.</param>
    /// <param name="ignoreMerges">A word that is in the vocabulary is that one token, whatever the merges make of it.</param>
    public BytePairModel(Vocabulary vocabulary, MergeTable merges, bool ignoreMerges)
    {
        _merges = merges;
        _wholeWords = ignoreMerges ? vocabulary : null;
        for (int b = 0; b < 256; b++)
            _byteTokens[b] = vocabulary.TryGetId(ByteAlphabet.CharacterOf((byte)b).ToString(), out int id) ? id : -1;
    }

    /// <summary>Appends the tokens of a word that begins at unit <paramref name="at"/> of the text.</summary>
    public void Encode(ReadOnlySpan<char> word, int at, ByteWord scratch, TokenBuffer output)
    {
        bool cached = word.Length <= WordCache.LongestWord;
        if (cached && _cache.TryAppend(word, at, output))
            return;
        int first = output.Count;
        if (_wholeWords?.WordId(word) is { } whole)
        {
            output.Add(whole, at, at + word.Length);
            return;
        }
        scratch.Read(word, _byteTokens);
        int count = scratch.SymbolCount <= LongestScanned ? MergeByScanning(scratch) : LongWordMerger.Merge(scratch, _merges);
        scratch.AppendTo(output, count, word, at);
        if (cached)
            _cache.Store(word, at, output, first);
    }

    /// <summary>Quadratic in the number of symbols, with a small factor. Answers the number of tokens.</summary>
    internal int MergeByScanning(ByteWord word)
    {
        Span<int> ids = word.Ids, first = word.First;
        int count = word.SymbolCount;
        Span<Merge> merges = stackalloc Merge[LongestScanned];
        if (count > merges.Length)
            merges = new Merge[count];
        for (int i = 0; i + 1 < count; i++)
            merges[i] = MergeAt(ids, i);
        while (count > 1)
        {
            int best = 0;
            for (int i = 1; i + 1 < count; i++)
            {
                if (merges[i].Rank < merges[best].Rank)
                    best = i;
            }
            if (merges[best].Rank == int.MaxValue)
                break;
            ids[best] = merges[best].Token;
            ids[(best + 2)..count].CopyTo(ids[(best + 1)..]);
            first[(best + 2)..count].CopyTo(first[(best + 1)..]);
            merges[(best + 1)..(count - 1)].CopyTo(merges[best..]);
            count--;
            if (best + 1 < count)
                merges[best] = MergeAt(ids, best);
            if (best > 0)
                merges[best - 1] = MergeAt(ids, best - 1);
        }
        return count;
    }

    private Merge MergeAt(ReadOnlySpan<int> ids, int i) =>
        _merges.TryGet(ids[i], ids[i + 1], out Merge merge) ? merge : new Merge(int.MaxValue, -1);
}
