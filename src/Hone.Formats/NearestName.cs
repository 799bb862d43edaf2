namespace Hone.Formats;

/// <summary>The name that was probably meant, for error messages.</summary>
public static class NearestName
{
    private const int MaxLength = 256;

    /// <summary>The candidate with the fewest single-character edits; null where none shares at least half of the name.</summary>
    public static string? Of(string name, IEnumerable<string> candidates)
    {
        string? best = null;
        int bestDistance = int.MaxValue;
        foreach (string candidate in candidates)
        {
            if (Math.Abs(candidate.Length - name.Length) >= bestDistance)
                continue;
            int distance = Distance(name, candidate);
            if (distance < bestDistance)
                (best, bestDistance) = (candidate, distance);
        }
        return best is not null && bestDistance <= Math.Max(name.Length, best.Length) / 2 ? best : null;
    }

    /// <summary>The key or word that a misspelt one most likely means, whatever the case and the hyphens; null where more than a third of the letters would have to change.</summary>
    public static string? Meant(string name, IEnumerable<string> known)
    {
        string folded = Fold(name);
        var (best, distance) = known.Select(k => (k, Distance(folded, Fold(k)))).DefaultIfEmpty((name, int.MaxValue)).MinBy(p => p.Item2);
        return best != name && distance <= Math.Max(1, Math.Max(name.Length, best.Length) / 3) ? best : null;
    }

    /// <summary>The candidate as a half sentence, or nothing.</summary>
    public static string Hint(string name, IEnumerable<string> candidates) => Of(name, candidates) is { } nearest ? $" (nearest: '{nearest}')" : "";

    /// <summary>Insertions, deletions, replacements and swaps of neighbours that turn one name into the other.</summary>
    public static int Distance(string a, string b)
    {
        if (a.Length > MaxLength || b.Length > MaxLength)
            return a == b ? 0 : Math.Max(a.Length, b.Length);
        var previous = new int[b.Length + 1];
        var current = new int[b.Length + 1];
        var next = new int[b.Length + 1];
        for (int j = 0; j <= b.Length; j++)
            current[j] = j;
        for (int i = 1; i <= a.Length; i++)
        {
            next[0] = i;
            for (int j = 1; j <= b.Length; j++)
            {
                next[j] = Math.Min(Math.Min(current[j], next[j - 1]) + 1, current[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1));
                if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                    next[j] = Math.Min(next[j], previous[j - 2] + 1);
            }
            (previous, current, next) = (current, next, previous);
        }
        return current[b.Length];
    }

    private static string Fold(string name) => name.Replace("-", "_", StringComparison.Ordinal).ToLowerInvariant();
}
