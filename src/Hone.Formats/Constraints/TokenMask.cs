namespace Hone.Formats.Constraints;

/// <summary>Tokens that may come next: a bit an id.</summary>
public sealed class TokenMask(ulong[] bits, int count)
{
    public ReadOnlySpan<ulong> Bits => bits;

    /// <summary>How many may.</summary>
    public int Count => count;

    public bool this[int token] => token >> 6 < bits.Length && (bits[token >> 6] >> (token & 63) & 1) != 0;

    internal TokenMask Without(IReadOnlyCollection<int> tokens)
    {
        ulong[] left = [.. bits];
        foreach (int token in tokens)
            left[token >> 6] &= ~(1ul << (token & 63));
        return new TokenMask(left, count - tokens.Count);
    }
}
