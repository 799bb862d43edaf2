namespace Hone.Formats.TrainingData;

/// <summary>The known name that a misspelt one most likely means.</summary>
internal static class NearestName
{
    /// <returns>Null when none is near: more than a third of the letters would have to change.</returns>
    public static string? Find(string name, IEnumerable<string> known)
    {
        if (name.Length > 64)
            return null;
        var (best, distance) = known.Select(k => (k, Distance(Fold(name), Fold(k)))).DefaultIfEmpty((name, int.MaxValue)).MinBy(p => p.Item2);
        return distance <= Math.Max(1, Math.Max(name.Length, best.Length) / 3) && best != name ? best : null;
    }

    private static string Fold(string name) => name.Replace("-", "_", StringComparison.Ordinal).ToLowerInvariant();

    private static int Distance(string a, string b)
    {
        int[] previous = [.. Enumerable.Range(0, b.Length + 1)], current = new int[b.Length + 1];
        for (int i = 1; i <= a.Length; i++)
        {
            current[0] = i;
            for (int j = 1; j <= b.Length; j++)
                current[j] = Math.Min(Math.Min(current[j - 1], previous[j]) + 1, previous[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1));
            (previous, current) = (current, previous);
        }
        return previous[b.Length];
    }
}
