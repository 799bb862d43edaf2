using Hone.Training.Lora;

namespace Hone.Training.Generation;

/// <summary>
/// Keys and values of streams under way and of streams that have ended, so that a prompt which begins like one of them (the same system prompt, an earlier turn)
/// is computed from there on. Of the ended the longest unused go first. Used by the generator's thread alone.
/// </summary>
internal sealed class PrefixCache(long maxBytes = 256 << 20) : IDisposable
{
    /// <summary>A shorter common beginning is computed again: looking it up costs about as much.</summary>
    private const int ShortestPrefix = 8;

    private readonly LinkedList<Entry> _entries = new(); // the last used first
    private long _bytes;

    /// <summary>Of the pages that ended streams hold, each counted once.</summary>
    public long Bytes => _bytes;

    /// <summary>Gives a stream that has not begun what is known of its prompt; at least its last token is left to compute.</summary>
    /// <returns>False where it had better wait for the next pass: this one computes a longer beginning of its prompt for another stream.</returns>
    public bool Begin(GenerationStream stream, IReadOnlyList<GenerationStream> active)
    {
        if (stream.ScoresPrompt)
            return true; // its prompt's logits are wanted, which nobody keeps
        GenerationStream? running = null;
        LinkedListNode<Entry>? best = null;
        int longest = ShortestPrefix - 1;
        for (LinkedListNode<Entry>? node = _entries.First; node is not null; node = node.Next)
        {
            if (node.Value.Adapter != stream.Adapter)
                continue;
            int common = Math.Min(node.Value.Tokens.AsSpan().CommonPrefixLength(stream.Prompt), stream.Prompt.Length - 1);
            if (common > longest)
                (best, longest) = (node, common);
        }
        foreach (GenerationStream other in active)
        {
            int common = other.Adapter == stream.Adapter ? Math.Min(other.Prompt.AsSpan().CommonPrefixLength(stream.Prompt), stream.Prompt.Length - 1) : 0;
            if (common > longest)
                (running, longest) = (other, common);
        }
        if (running is not null)
        {
            if (running.Cache.Length < longest)
                return false;
            stream.BeginAfter(running.Cache.Pages, longest);
        }
        else if (best is not null)
        {
            stream.BeginAfter(best.Value.Pages, longest);
            _entries.Remove(best);
            _entries.AddFirst(best);
        }
        return true;
    }

    /// <summary>Keeps what an ended stream has computed.</summary>
    public void Keep(GenerationStream stream)
    {
        int[] tokens = stream.Known();
        if (tokens.Length < ShortestPrefix)
            return;
        // What is a beginning of the new entry is of no more use.
        for (LinkedListNode<Entry>? node = _entries.First, next; node is not null; node = next)
        {
            next = node.Next;
            if (node.Value.Adapter == stream.Adapter && tokens.AsSpan().StartsWith(node.Value.Tokens))
                Remove(node);
        }
        CachePage[] pages = [.. stream.Cache.Pages.Take((tokens.Length + KeyValueCache.PageTokens - 1) / KeyValueCache.PageTokens).Select(p => p.Take())];
        foreach (CachePage page in pages)
            _bytes += page.Kept++ == 0 ? page.Bytes : 0;
        _entries.AddFirst(new Entry(stream.Adapter, tokens, pages));
        Shrink(maxBytes);
    }

    /// <summary>Drops the longest unused until no more than so many bytes are left.</summary>
    public void Shrink(long bytes)
    {
        while (_bytes > bytes && _entries.Last is { } last)
            Remove(last);
    }

    public void Dispose()
    {
        while (_entries.Last is { } last)
            Remove(last);
    }

    private void Remove(LinkedListNode<Entry> node)
    {
        _entries.Remove(node);
        foreach (CachePage page in node.Value.Pages)
        {
            _bytes -= --page.Kept == 0 ? page.Bytes : 0;
            page.Dispose();
        }
    }

    private sealed record Entry(LoraAdapter? Adapter, int[] Tokens, CachePage[] Pages);
}
