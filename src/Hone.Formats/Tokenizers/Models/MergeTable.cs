namespace Hone.Formats.Tokenizers;

/// <summary>What two neighbouring tokens merge into, and how early: the lowest rank goes first.</summary>
internal readonly record struct Merge(int Rank, int Token);

/// <summary>
/// The merges of a byte pair encoding by the ids of their sides. Nearly all of the encoder's time goes into looking up pairs, most of them
/// absent, so this is a sparse open-addressing table: one cache line a look-up.
/// </summary>
internal sealed class MergeTable
{
    private readonly Slot[] _slots;
    private readonly int _shift;

    /// <param name="count">At most so many merges.</param>
    public MergeTable(int count)
    {
        int bits = 32 - int.LeadingZeroCount(count) + 1;
        _slots = new Slot[1 << bits];
        _shift = 64 - bits;
    }

    /// <summary>Reads lines "left right". Of a pair that occurs twice the later counts.</summary>
    /// <exception cref="InvalidFileException">A line is not a pair, or a side or the merged text is not in the vocabulary.</exception>
    public static MergeTable Parse(IReadOnlyList<string> lines, Vocabulary vocabulary, string source)
    {
        var table = new MergeTable(lines.Count);
        for (int rank = 0; rank < lines.Count; rank++)
        {
            string line = lines[rank];
            int space = line.IndexOf(' ');
            if (space <= 0 || space == line.Length - 1 || line.IndexOf(' ', space + 1) >= 0)
                throw new InvalidFileException($"{source}: merge {rank} (\"{line}\") is not two tokens with a space between them.");
            table.Add(IdOf(line[..space]), IdOf(line[(space + 1)..]), new Merge(rank, IdOf(line.Remove(space, 1))));

            int IdOf(string token) => vocabulary.TryGetId(token, out int id) ? id
                : throw new InvalidFileException($"{source}: merge {rank} (\"{line}\") needs the token \"{token}\", which the vocabulary does not have.");
        }
        return table;
    }

    public void Add(int left, int right, Merge merge)
    {
        ulong key = Key(left, right);
        Find(key) = new Slot(key, merge);
    }

    public bool TryGet(int left, int right, out Merge merge)
    {
        ulong key = Key(left, right);
        ref Slot slot = ref Find(key);
        merge = slot.Merge;
        return slot.Key == key;
    }

    /// <summary>The slot of a key, or the empty one where it belongs. At least half of the slots are empty.</summary>
    private ref Slot Find(ulong key)
    {
        int at = (int)((key * 0x9E3779B97F4A7C15) >> _shift);
        while (_slots[at].Key != key && _slots[at].Key != 0)
            at = (at + 1) & (_slots.Length - 1);
        return ref _slots[at];
    }

    /// <summary>Never 0, which marks an empty slot.</summary>
    private static ulong Key(int left, int right) => (((ulong)(uint)left << 32) | (uint)right) + 1;

    private readonly record struct Slot(ulong Key, Merge Merge);
}
