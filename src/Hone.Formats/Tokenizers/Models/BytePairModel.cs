namespace Hone.Formats.Tokenizers;

/// <summary>
/// Byte pair encoding (Sennrich et al. 2016): a word begins as the tokens of its bytes or characters; of all neighbours the pair of the lowest
/// rank merges, the leftmost first, until no pair is in the merges.
/// </summary>
internal sealed class BytePairModel : TokenModel
{
    // Beyond this many symbols rescanning for the lowest rank costs more than the buckets of LongWordMerger.
    private const int LongestScanned = 48;

    private readonly SymbolReader _symbols;
    private readonly MergeTable _merges;
    private readonly Vocabulary? _wholeWords;
    private readonly WordCache _cache = new();

    /// <param name="vocabulary">The tokens.</param>
    /// <param name="merges">Their merges.</param>
    /// <param name="symbols">What a word begins as.</param>
    /// <param name="ignoreMerges">A word that is in the vocabulary is that one token, whatever the merges make of it.</param>
    public BytePairModel(Vocabulary vocabulary, MergeTable merges, SymbolReader symbols, bool ignoreMerges) =>
        (_merges, _symbols, _wholeWords) = (merges, symbols, ignoreMerges ? vocabulary : null);

    public override void Encode(ReadOnlySpan<char> word, int at, ByteWord scratch, TokenBuffer output)
    {
        if (_wholeWords is not null)
        {
            EncodePart(word, at, scratch, output);
            return;
        }
        while (!word.IsEmpty)
        {
            int length = _symbols.FirstPart(word);
            EncodePart(word[..length], at, scratch, output);
            word = word[length..];
            at += length;
        }
    }

    private int? WholeWord(ReadOnlySpan<char> word) => _wholeWords is null ? null
        : _symbols is ByteSymbols ? _wholeWords.WordId(word)
        : _wholeWords.TryGetModelId(word, out int id) && !_wholeWords.IsSpecial(id) ? id : null;

    private void EncodePart(ReadOnlySpan<char> word, int at, ByteWord scratch, TokenBuffer output)
    {
        bool cached = word.Length <= WordCache.LongestWord;
        if (cached && _cache.TryAppend(word, at, output))
            return;
        int first = output.Count;
        if (WholeWord(word) is { } whole)
        {
            output.Add(whole, at, at + word.Length);
            if (cached)
                _cache.Store(word, at, output, first);
            return;
        }
        _symbols.Read(word, scratch);
        int count = scratch.SymbolCount <= LongestScanned ? MergeByScanning(scratch) : LongWordMerger.Merge(scratch, _merges);
        scratch.AppendTo(output, count, at);
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
