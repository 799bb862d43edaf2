namespace Hone.Formats.Tokenizers;

/// <summary>
/// Merges a word of any length in about linear time: positions are kept in one bucket for each rank, and the lowest bucket is emptied from
/// left to right. A bucket that a new, lower rank interrupts is taken up again later.
/// </summary>
internal sealed class LongWordMerger
{
    private readonly MergeTable _merges;
    private readonly int[] _ids;
    private readonly int[] _next;
    private readonly int[] _previous;
    private readonly int _count;
    private readonly Dictionary<int, Bucket> _buckets = [];
    private readonly PriorityQueue<Bucket, int> _queue = new();

    private LongWordMerger(ByteWord word, MergeTable merges)
    {
        _merges = merges;
        _ids = word.Ids;
        _count = word.SymbolCount;
        _next = new int[_count];
        _previous = new int[_count];
        for (int i = 0; i < _count; i++)
            (_next[i], _previous[i]) = (i + 1, i - 1);
    }

    /// <summary>Answers the number of tokens, which are compacted to the front of the word.</summary>
    public static int Merge(ByteWord word, MergeTable merges)
    {
        var merger = new LongWordMerger(word, merges);
        merger.Run();
        int tokens = 0;
        for (int i = 0; i < merger._count; i = merger._next[i])
        {
            word.Ids[tokens] = word.Ids[i];
            word.First[tokens++] = i;
        }
        return tokens;
    }

    private void Run()
    {
        for (int i = 0; i < _count; i++)
            Add(i);
        while (_queue.TryDequeue(out Bucket? bucket, out int rank))
        {
            bucket.Queued = !TryEmpty(bucket, rank);
            if (bucket.Queued)
                _queue.Enqueue(bucket, rank);
        }
    }

    /// <summary>Answers false when a pair of a lower rank has come up first.</summary>
    private bool TryEmpty(Bucket bucket, int rank)
    {
        for (bucket.Sort(); bucket.TryTake(out int at);)
        {
            int right = _next[at];
            // The pair may have gone: one of its sides has merged with another neighbour.
            if (right >= _count || !_merges.TryGet(_ids[at], _ids[right], out Merge merge) || merge.Rank != rank)
                continue;
            _ids[at] = merge.Token;
            _ids[right] = -1;
            _next[at] = _next[right];
            if (_next[at] < _count)
                _previous[_next[at]] = at;
            if (_previous[at] >= 0)
                Add(_previous[at]);
            Add(at);
            if (_queue.TryPeek(out _, out int lowest) && lowest < rank)
                return false;
        }
        return true;
    }

    private void Add(int at)
    {
        int right = _next[at];
        if (right >= _count || !_merges.TryGet(_ids[at], _ids[right], out Merge merge))
            return;
        if (!_buckets.TryGetValue(merge.Rank, out Bucket? bucket))
        {
            bucket = new Bucket();
            _buckets.Add(merge.Rank, bucket);
        }
        bucket.Add(at);
        if (!bucket.Queued)
        {
            bucket.Queued = true;
            _queue.Enqueue(bucket, merge.Rank);
        }
    }

    /// <summary>
    /// The positions of one rank, all of whose pairs make the same token. Its text is longer than its sides, so emptying a bucket never adds to it.
    /// </summary>
    private sealed class Bucket
    {
        private readonly List<int> _positions = [];
        private int _taken;
        private bool _unsorted;

        public bool Queued { get; set; }

        public void Add(int at)
        {
            _unsorted |= _positions.Count > _taken && at < _positions[^1];
            _positions.Add(at);
        }

        public void Sort()
        {
            if (_unsorted)
                _positions.Sort(_taken, _positions.Count - _taken, null);
            _unsorted = false;
        }

        public bool TryTake(out int at)
        {
            if (_taken < _positions.Count)
            {
                at = _positions[_taken++];
                return true;
            }
            _positions.Clear();
            (_taken, at) = (0, -1);
            return false;
        }
    }
}
