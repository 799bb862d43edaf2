using System.Text;

namespace Hone.Training;

/// <summary>
/// SplitMix64 (Steele, Lea and Flood 2014): small, and the same on every machine. Streams are named, so that what one part draws never shifts another's.
/// </summary>
internal struct SplitMix64(ulong state)
{
    private ulong _state = state;

    public SplitMix64(long seed, string stream)
        : this(Mix((ulong)seed ^ Fnv1a(stream)))
    {
    }

    public ulong Next() => Mix(_state += 0x9E3779B97F4A7C15);

    /// <summary>In [0, 1), 53 bits.</summary>
    public double NextDouble() => (Next() >> 11) * (1.0 / (1UL << 53));

    /// <summary>In [0, bound).</summary>
    public int NextInt(int bound) => (int)(Next() % (ulong)bound);

    private static ulong Mix(ulong z)
    {
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
        return z ^ (z >> 31);
    }

    private static ulong Fnv1a(string text)
    {
        ulong hash = 14695981039346656037;
        foreach (byte b in Encoding.UTF8.GetBytes(text))
            hash = (hash ^ b) * 1099511628211;
        return hash;
    }
}
