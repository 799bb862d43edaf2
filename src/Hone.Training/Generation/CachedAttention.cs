using Hone.Training.Kernels;
using Hone.Training.Model;
using Hone.Training.Training;
using static TorchSharp.torch;

namespace Hone.Training.Generation;

/// <summary>New tokens of several streams in one batch: each stream's see its cache and the stream's own tokens before them. One token a stream where products are taken row by row.</summary>
internal sealed unsafe class CachedAttention : Attention
{
    private const int ScoreSlot = 2, PageTokens = KeyValueCache.PageTokens;

    private readonly IReadOnlyList<(KeyValueCache Cache, int NewTokens)> _streams;
    private readonly AttentionShape _shape;
    private readonly int[] _starts;

    public CachedAttention(IReadOnlyList<(KeyValueCache Cache, int NewTokens)> streams, AttentionShape shape)
    {
        (_streams, _shape) = (streams, shape);
        _starts = new int[streams.Count];
        for (int s = 0, start = 0; s < streams.Count; start += streams[s++].NewTokens)
        {
            _starts[s] = start;
            streams[s].Cache.Grow(streams[s].NewTokens);
        }
    }

    public override Tensor Forward(int layer, Tensor qkv, SavedAttention? saved)
    {
        using Profile.Measure measured = Profile.Of(Operation.Attention);
        if (saved is not null)
            throw new InvalidOperationException("Attention with a cache has no backward pass.");
        Tensor result = TensorPool.Empty(qkv.size(0), _shape.QueryWidth); // [N, H·d]
        bool rowByRow = RowProduct.IsUsed;
        Matrix all = Matrix.Of(qkv), target = Matrix.Of(result);
        int pairs = _shape.KeyValueHeads, turns = _streams.Count * pairs;
        Cores.For(turns, i =>
        {
            int then = Math.Min(i + Cores.Count, turns - 1); // the turn that this thread most likely takes next
            Pair(layer, i / pairs, i % pairs, rowByRow, all, target, _streams[then / pairs].Cache.Keys(layer, then % pairs, 0));
        });
        return result;
    }

    /// <summary>The query heads of one stream that share a key-value head.</summary>
    /// <param name="then">What is read after this.</param>
    private void Pair(int layer, int s, int pair, bool rowByRow, Matrix all, Matrix target, Matrix then)
    {
        (KeyValueCache cache, int added) = _streams[s];
        int d = _shape.HeadDim, group = _shape.Group, known = cache.Length, seen = known + added, window = _shape.WindowOf(layer);
        Matrix own = all.RowRange(_starts[s], added), result = target.RowRange(_starts[s], added);
        for (int row = 0; row < added; row++)
        {
            (int page, int at) = Math.DivRem(known + row, PageTokens);
            own.Row(row).Slice(_shape.KeyColumn(pair), d).CopyTo(cache.Keys(layer, pair, page).Row(at));
            own.Row(row).Slice(_shape.ValueColumn(pair), d).CopyTo(cache.Values(layer, pair, page).Row(at));
        }
        if (rowByRow)
        {
            Matrix Heads(float* row) => new(row + pair * group * d, group, d, d); // [G, d]: a token's heads as rows
            OneToken(cache, layer, pair, Heads(own.Data), Heads(result.Data), Math.Max(0, seen - window), seen, then);
            return;
        }
        for (int head = pair * group; head < (pair + 1) * group; head++)
        {
            Matrix scores = Scratch.Take(ScoreSlot, added, seen);
            int first = (int)Math.Max(0, known + 1L - window);
            Scores(cache, layer, pair, own.ColumnRange(head * d, d), scores, first);
            CausalSoftmax(scores, window);
            Values(cache, layer, pair, scores, result.ColumnRange(head * d, d), first);
        }
    }

    /// <param name="first">The first token that is seen.</param>
    /// <param name="seen">The one behind the last.</param>
    private void OneToken(KeyValueCache cache, int layer, int pair, Matrix queries, Matrix result, int first, int seen, Matrix then)
    {
        Matrix scores = Scratch.Take(ScoreSlot, queries.Rows, seen);
        int firstPage = first / PageTokens, lastPage = (seen - 1) / PageTokens;
        for (int page = firstPage, start = page * PageTokens; page <= lastPage; page++, start += PageTokens)
        {
            int count = Math.Min(PageTokens, seen - start);
            Matrix next = page < lastPage ? cache.Keys(layer, pair, page + 1) : cache.Values(layer, pair, firstPage);
            HeadKernel.Scores(queries, cache.Keys(layer, pair, page).RowRange(0, count), (float)_shape.Scale, scores.ColumnRange(start, count), next.Data);
        }
        Cap(scores);
        for (int head = 0; head < queries.Rows; head++)
            Softmax(scores.Data + head * scores.Stride + first, seen - first);
        for (int page = firstPage, start = page * PageTokens; page <= lastPage; page++, start += PageTokens)
        {
            int from = Math.Max(first, start), count = Math.Min(start + PageTokens, seen) - from;
            Matrix next = page < lastPage ? cache.Values(layer, pair, page + 1) : then;
            HeadKernel.Values(scores.ColumnRange(from, count), cache.Values(layer, pair, page).RowRange(from - start, count), result, accumulate: from > first, next.Data);
        }
    }

    /// <summary>Scaled products of the tokens' queries with the keys of every page that they see, capped.</summary>
    /// <param name="first">The first token that is seen.</param>
    private void Scores(KeyValueCache cache, int layer, int pair, Matrix queries, Matrix scores, int first)
    {
        for (int page = first / PageTokens, column = page * PageTokens; column < scores.Columns; page++, column += PageTokens)
        {
            int count = Math.Min(PageTokens, scores.Columns - column), blind = Math.Max(0, column - cache.Length);
            Matrix target = scores.ColumnRange(column, count).RowRange(blind, scores.Rows - blind);
            var term = new ProductTerm(queries.RowRange(blind, target.Rows), cache.Keys(layer, pair, page).RowRange(0, count), Transposed: true, (float)_shape.Scale);
            MatrixProduct.RunHere(target, false, term);
        }
        Cap(scores);
    }

    private void Cap(Matrix scores)
    {
        for (int row = 0; _shape.Softcap is { } cap && row < scores.Rows; row++)
            Cap(scores.Row(row), cap);
    }

    private static void Values(KeyValueCache cache, int layer, int pair, Matrix scores, Matrix result, int first)
    {
        bool adds = false;
        for (int page = first / PageTokens, column = page * PageTokens; column < scores.Columns; page++, column += PageTokens)
        {
            int from = Math.Max(first, column), count = Math.Min(column + PageTokens, scores.Columns) - from;
            Matrix values = cache.Values(layer, pair, page).RowRange(from - column, count);
            int blind = Math.Max(0, column - cache.Length), rows = scores.Rows - blind;
            MatrixProduct.RunHere(result.RowRange(blind, rows), adds, new ProductTerm(scores.ColumnRange(from, count).RowRange(blind, rows), values, Transposed: false));
            adds = true;
        }
    }
}
