using System.Collections.Concurrent;

namespace Hone.Server.Auth;

/// <summary>What is left of a window after a request was counted.</summary>
/// <param name="Allowed">False: it came after the last one that was.</param>
/// <param name="Reset">Until the window ends.</param>
internal readonly record struct RateCount(bool Allowed, int Remaining, TimeSpan Reset);

/// <summary>
/// Counts by key in windows that begin with a key's first request. Holds at most <paramref name="capacity"/> keys: those whose window is over make room, and
/// where none is, newcomers share one window.
/// </summary>
internal sealed class RateWindows<TKey>(RateLimit limit, TimeProvider clock, int capacity) where TKey : notnull
{
    private readonly ConcurrentDictionary<TKey, Window> windows = new();
    private readonly Window shared = new();
    private readonly Lock sweeping = new();
    private readonly long length = (long)limit.Window.TotalMilliseconds;
    private readonly long origin = clock.GetTimestamp();
    private long swept = long.MinValue;
    private int held;

    /// <summary>Keys in memory.</summary>
    internal int Held => held;

    public RateCount Take(TKey key)
    {
        long now = (long)clock.GetElapsedTime(origin).TotalMilliseconds;
        var window = windows.TryGetValue(key, out var known) ? known : Add(key, now);
        lock (window)
        {
            if (window.Count == 0 || now - window.Start >= length)
                (window.Start, window.Count) = (now, 0);
            bool allowed = window.Count < limit.Requests;
            if (allowed)
                window.Count++;
            return new(allowed, limit.Requests - window.Count, TimeSpan.FromMilliseconds(window.Start + length - now));
        }
    }

    private Window Add(TKey key, long now)
    {
        if (Volatile.Read(ref held) >= capacity && !MakeRoom(now))
            return shared;
        var made = new Window { Start = now };
        var window = windows.GetOrAdd(key, made);
        if (ReferenceEquals(window, made))
            Interlocked.Increment(ref held);
        return window;
    }

    /// <summary>A look at every key is worth it a few times a window, not with each of a flood's requests.</summary>
    private bool MakeRoom(long now)
    {
        lock (sweeping)
        {
            if (held < capacity)
                return true;
            if (swept != long.MinValue && now - swept < length / 4)
                return false;
            swept = now;
            foreach (var (key, window) in windows)
            {
                bool over;
                lock (window)
                    over = now - window.Start >= length;
                if (over && windows.TryRemove(key, out _))
                    Interlocked.Decrement(ref held);
            }
            return held < capacity;
        }
    }

    private sealed class Window
    {
        public long Start;
        public int Count;
    }
}
