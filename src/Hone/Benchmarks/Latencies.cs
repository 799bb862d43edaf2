using System.Diagnostics;

namespace Hone.Benchmarks;

/// <summary>How long requests took.</summary>
internal sealed class Latencies
{
    private readonly List<long> _ticks = new(1 << 16);

    public int Count => _ticks.Count;

    public void Add(long ticks) => _ticks.Add(ticks);

    public void Add(Latencies other) => _ticks.AddRange(other._ticks);

    /// <summary>Milliseconds that this share of them did not exceed.</summary>
    public double Quantile(double share)
    {
        if (_ticks.Count == 0)
            return double.NaN;
        _ticks.Sort();
        return Stopwatch.GetElapsedTime(0, _ticks[Math.Min(_ticks.Count - 1, (int)(share * _ticks.Count))]).TotalMilliseconds;
    }
}
