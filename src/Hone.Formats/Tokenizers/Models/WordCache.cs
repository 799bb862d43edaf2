namespace Hone.Formats.Tokenizers;

/// <summary>
/// Remembers the tokens of short words. Each word has one slot, by its hash, and the latest takes it: the memory is bounded and threads
/// share the cache without a lock, since an entry never changes.
/// </summary>
internal sealed class WordCache
{
    public const int LongestWord = 32;
    private const int Slots = 1 << 14;

    private readonly Entry?[] _slots = new Entry?[Slots];

    public bool TryAppend(ReadOnlySpan<char> word, int at, TokenBuffer output)
    {
        if (_slots[SlotOf(word)] is not { } entry || !word.SequenceEqual(entry.Word))
            return false;
        for (int i = 0; i < entry.Ids.Length; i++)
            output.Add(entry.Ids[i], at + entry.Offsets[i].Start, at + entry.Offsets[i].End);
        return true;
    }

    /// <summary>Stores the tokens that <paramref name="output"/> holds from <paramref name="first"/> on for the word at <paramref name="at"/>.</summary>
    public void Store(ReadOnlySpan<char> word, int at, TokenBuffer output, int first)
    {
        int[] ids = output.Ids[first..].ToArray();
        var offsets = new (int Start, int End)[ids.Length];
        for (int i = 0; i < ids.Length; i++)
        {
            (int start, int end) = output.Offsets[first + i];
            offsets[i] = (start - at, end - at);
        }
        _slots[SlotOf(word)] = new Entry(word.ToString(), ids, offsets);
    }

    private static int SlotOf(ReadOnlySpan<char> word) => string.GetHashCode(word) & (Slots - 1);

    private sealed record Entry(string Word, int[] Ids, (int Start, int End)[] Offsets);
}
