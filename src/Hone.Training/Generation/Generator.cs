using System.Collections.Concurrent;
using System.Diagnostics;
using System.Runtime.CompilerServices;
using Hone.Formats.Inference;
using Hone.Formats.Models;
using Hone.Training.Kernels;
using Hone.Training.Lora;
using Hone.Training.Model;
using static TorchSharp.torch;
using StringBuilder = System.Text.StringBuilder;

namespace Hone.Training.Generation;

/// <summary>
/// Answers many streams with one model: each pass computes a piece of the prompts of the streams that joined and one token of every other, whatever adapter each uses.
/// One thread owns the model; streams come through a queue. A stream joins when its keys and values have room at their longest beside those of the others,
/// so that memory does not grow beyond the bound however many streams come. A stream whose events nobody takes rests; it keeps its memory until another one
/// needs it.
/// </summary>
/// <param name="maxCacheBytes">For all keys and values; null: a quarter of the memory that this process may use.</param>
/// <param name="patience">How long a stream may rest before it makes room for others; null: ten seconds.</param>
internal sealed class Generator(BaseModel model, Decoder decoder, int maxStreams = 32, long? maxCacheBytes = null, TimeSpan? patience = null)
{
    /// <summary>A stream that rests for less has a reader who is about to take its token: it keeps its place.</summary>
    private static readonly TimeSpan s_moment = TimeSpan.FromSeconds(0.1);

    /// <summary>Of all prompts in a pass: half a second or so on two cores, in which the other streams and whoever hangs up wait.</summary>
    private const int MaxPromptTokens = ModelMemory.PromptTokens;

    /// <summary>Tokens of a prompt whose logits lie in memory at once.</summary>
    private const int ScoredTokens = 32;

    private readonly TimeSpan _patience = patience ?? TimeSpan.FromSeconds(10);
    private readonly ConcurrentQueue<GenerationStream> _waiting = [];
    private readonly object _gate = new();
    private bool _changed;
    private readonly List<GenerationStream> _active = [];
    private long _endedBytes; // keys and values of ended streams

    /// <summary>A stream that may need more than this by itself is to be refused.</summary>
    public long MaxCacheBytes { get; } = maxCacheBytes ?? GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / 4;

    /// <summary>Bytes of all keys and values, those of ended streams included. For the model's thread alone.</summary>
    public long CacheBytes => _endedBytes + _active.Sum(s => s.Cache.Bytes);

    public BaseModel Model => model;

    public void Add(GenerationStream stream)
    {
        stream.Read = () => Wake();
        stream.Cancellation.Register(() => Wake());
        _waiting.Enqueue(stream);
        Wake();
    }

    private void Wake()
    {
        lock (_gate)
        {
            _changed = true;
            Monitor.Pulse(_gate);
        }
    }

    private void WaitForChange(TimeSpan limit)
    {
        lock (_gate)
        {
            if (!_changed)
                Monitor.Wait(_gate, limit);
            _changed = false;
        }
    }

    /// <summary>Until cancelled; a fault of the model ends it, and with it the process.</summary>
    public void Run(CancellationToken cancellation)
    {
        List<GenerationStream> active = _active, running = [], held = []; // held: in the order in which they came
        using var prefixes = new PrefixCache();
        using CancellationTokenRegistration wake = cancellation.Register(() => Wake());
        while (!cancellation.IsCancellationRequested)
        {
            Remove(active, s => s.Cancellation.IsCancellationRequested, prefixes);
            Running(running);
            int places = maxStreams - active.Count(HasPlace);
            long reserved = active.Sum(s => s.MostCacheBytes);
            int h = 0; // of the held ones, the next to join
            while (places > 0)
            {
                if (h == held.Count)
                {
                    if (!_waiting.TryDequeue(out GenerationStream? waiting))
                        break;
                    held.Add(waiting);
                }
                GenerationStream next = held[h];
                if (next.Cancellation.IsCancellationRequested)
                {
                    next.Abandon();
                    next.Dispose();
                    held.RemoveAt(h);
                    continue;
                }
                if (active.Count > 0 && reserved + next.MostCacheBytes > MaxCacheBytes)
                {
                    if (LongestUnread() is not { } unread)
                        break;
                    unread.Fail("internal", "Nobody took the answer's tokens while other answers needed its memory. Read the stream as it comes.");
                    reserved -= unread.MostCacheBytes;
                    Remove(active, s => s == unread, prefixes);
                    continue;
                }
                if (!prefixes.Begin(next, active))
                {
                    h++; // those behind it do not wait for its beginning
                    continue;
                }
                prefixes.Shrink(MaxCacheBytes - reserved - next.MostCacheBytes);
                reserved += next.MostCacheBytes;
                places--;
                active.Add(next);
                running.Add(next);
                held.RemoveAt(h);
            }
            _endedBytes = prefixes.Bytes;
            if (running.Count > 0)
                Pass(decoder, running);
            else
                WaitForChange(held.Count > 0 || !_waiting.IsEmpty ? s_moment : active.Count == 0 ? Timeout.InfiniteTimeSpan : _patience);
            Remove(active, s => s.Finished, prefixes);
        }
    }

    /// <summary>The streams whose readers keep up.</summary>
    private void Running(List<GenerationStream> running)
    {
        running.Clear();
        foreach (GenerationStream stream in _active)
        {
            bool unread = stream.IsUnread;
            stream.UnreadSince = !unread ? 0 : stream.UnreadSince != 0 ? stream.UnreadSince : Stopwatch.GetTimestamp();
            if (!unread)
                running.Add(stream);
        }
    }

    private static bool HasPlace(GenerationStream stream) => stream.UnreadSince == 0 || Stopwatch.GetElapsedTime(stream.UnreadSince) < s_moment;

    private GenerationStream? LongestUnread() =>
        _active.Where(s => s.UnreadSince != 0 && Stopwatch.GetElapsedTime(s.UnreadSince) > _patience).MinBy(s => s.UnreadSince);

    /// <summary>What a finished stream has said.</summary>
    public static string TextOf(GenerationStream stream)
    {
        var text = new StringBuilder();
        while (stream.Events.TryRead(out GenerateEvent? next))
        {
            if (next is GenerateEvent.Token token)
                text.Append(token.Text);
        }
        return text.ToString();
    }

    private static void Remove(List<GenerationStream> active, Predicate<GenerationStream> which, PrefixCache prefixes)
    {
        foreach (GenerationStream stream in active.FindAll(which))
        {
            stream.Abandon();
            prefixes.Keep(stream);
            stream.Dispose();
            active.Remove(stream);
        }
    }

    /// <summary>
    /// The next tokens of all streams: first of those that joined, as much of their prompts as a pass takes, then one of every other. The two have products of
    /// their own, so that what a stream says does not depend on who joins beside it.
    /// </summary>
    public static void Pass(Decoder decoder, IReadOnlyList<GenerationStream> active)
    {
        GenerationStream[] joined = [.. active.Where(s => s.IsNew)], others = [.. active.Where(s => !s.IsNew)];
        if (joined.Length > 0)
            PassOf(decoder, Shares(joined));
        if (others.Length == 0)
            return;
        using RowProduct.Use rows = RowProduct.Begin();
        PassOf(decoder, others.Select(s => (s, 1)));
    }

    /// <summary>What of each prompt is computed in this pass: as much of one as of another, and what a short one leaves goes to the longer.</summary>
    private static List<(GenerationStream Stream, int Tokens)> Shares(GenerationStream[] joined)
    {
        var shares = new List<(GenerationStream, int)>();
        int left = Math.Max(MaxPromptTokens, joined.Length);
        foreach (GenerationStream stream in joined.OrderBy(s => s.Next.Length))
        {
            int tokens = Math.Min(stream.Next.Length, left / (joined.Length - shares.Count));
            left -= tokens;
            shares.Add((stream, tokens));
        }
        return shares;
    }

    /// <param name="active">With the number of its next tokens that are computed.</param>
    private static void PassOf(Decoder decoder, IEnumerable<(GenerationStream Stream, int Tokens)> active)
    {
        using var scope = NewDisposeScope();
        (GenerationStream Stream, int Tokens)[] streams = [.. active.OrderBy(s => s.Stream.Adapter is null ? 0 : RuntimeHelpers.GetHashCode(s.Stream.Adapter))];
        int[] tokens = [.. streams.SelectMany(s => s.Stream.Next.Take(s.Tokens))];
        int[] positions = [.. streams.SelectMany(s => Enumerable.Range(s.Stream.Cache.Length, s.Tokens))];
        var attention = new CachedAttention([.. streams.Select(s => (s.Stream.Cache, s.Tokens))], decoder.AttentionShape);
        Tensor hidden = decoder.Forward(tokens, positions, attention, Adapters(streams)); // [N, D]

        var last = new List<long>();
        var answering = new List<(GenerationStream Stream, int Tokens)>();
        int end = 0;
        foreach ((GenerationStream stream, int count) in streams)
        {
            if (stream.ScoresPrompt && stream.IsNew)
                Score(decoder, stream, hidden.narrow(0, end, count));
            end += count;
            if (count < stream.Next.Length)
            {
                stream.Compute(count);
                continue;
            }
            last.Add(end - 1);
            answering.Add((stream, 1));
        }
        if (last.Count == 0)
            return;
        Tensor answered = last.Count == tokens.Length ? hidden : hidden.index_select(0, tensor(last));
        Tensor logits = decoder.Logits(answered, Adapters(answering)); // [S, V]
        Matrix of = Matrix.Of(logits);
        for (int s = 0; s < answering.Count; s++)
            answering[s].Stream.Advance(of.Row(s));
    }

    /// <param name="hidden">[n, D] of the stream's next tokens.</param>
    private static void Score(Decoder decoder, GenerationStream stream, Tensor hidden)
    {
        int count = Math.Min((int)hidden.size(0), stream.Next.Length - 1); // nothing is behind the last one
        for (int first = 0; first < count; first += ScoredTokens)
        {
            using var scope = NewDisposeScope();
            int some = Math.Min(ScoredTokens, count - first);
            stream.Score(Matrix.Of(decoder.Logits(hidden.narrow(0, first, some), stream.Adapter is { } adapter ? [new AdapterRows(adapter, 0, some)] : [])), first);
        }
    }

    /// <summary>Neighbouring streams with the same adapter share its products.</summary>
    private static List<AdapterRows> Adapters(IEnumerable<(GenerationStream Stream, int Tokens)> streams)
    {
        var rows = new List<AdapterRows>();
        long start = 0;
        foreach ((GenerationStream stream, int length) in streams)
        {
            if (stream.Adapter is not null)
            {
                if (rows.Count > 0 && rows[^1].Adapter == stream.Adapter)
                    rows[^1] = rows[^1] with { Length = rows[^1].Length + length };
                else
                    rows.Add(new AdapterRows(stream.Adapter, start, length));
            }
            start += length;
        }
        return rows;
    }
}
