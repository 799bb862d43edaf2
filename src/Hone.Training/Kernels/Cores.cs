using System.Runtime.ExceptionServices;
using TorchSharp;

namespace Hone.Training.Kernels;

/// <summary>
/// The threads that compute. A loop's turns are taken one by one by whoever is free, so a core that others use slows the loop by its share alone, and the
/// caller never waits for a thread that has not begun. Waiting threads spin for a moment, then sleep. Which thread takes a turn changes no result.
/// </summary>
internal static class Cores
{
    private const int Spins = 4000;

    private static readonly object Gate = new(), Sleep = new();
    private static Thread[] s_workers = [];
    private static Loop? s_loop;
    private static int s_sleeping;

    [ThreadStatic]
    private static bool t_inside;

    /// <summary>Threads, the caller's own among them.</summary>
    public static int Count { get; private set; } = 1;

    /// <summary>Begins to load the tensor library, which takes one core half a second, while the caller reads files. What fails fails again where the library is first used.</summary>
    public static void BeginLoading() => Task.Run(torch.get_num_threads).ContinueWith(t => _ = t.Exception, TaskScheduler.Default);

    /// <summary>From now on loops run on so many threads.</summary>
    public static void Use(int threads)
    {
        lock (Gate)
        {
            Count = Math.Max(1, threads);
            // The loops here take every core; the library's own threads would spin beside them.
            torch.set_num_threads(1);
            for (int i = s_workers.Length; i < Count - 1; i++)
            {
                int index = i;
                var worker = new Thread(() => Work(index)) { IsBackground = true, Name = $"core {i + 1}" };
                s_workers = [.. s_workers, worker];
                worker.Start();
            }
        }
    }

    /// <summary>Runs <paramref name="body"/> for 0 … <paramref name="count"/> − 1, on all cores, in any order. A loop within a loop runs where it is.</summary>
    public static void For(int count, Action<int> body)
    {
        if (count <= 1 || Count == 1 || t_inside || !Monitor.TryEnter(Gate))
        {
            for (int i = 0; i < count; i++)
                body(i);
            return;
        }
        try
        {
            var loop = new Loop(body, count);
            Volatile.Write(ref s_loop, loop);
            Interlocked.MemoryBarrier();
            if (Volatile.Read(ref s_sleeping) > 0)
            {
                lock (Sleep)
                    Monitor.PulseAll(Sleep);
            }
            t_inside = true;
            loop.Take();
            t_inside = false;
            loop.Close();
        }
        finally
        {
            Monitor.Exit(Gate);
        }
    }

    /// <summary>The same over ranges of about equal length, several a core.</summary>
    public static void ForRanges(int count, int smallest, Action<int, int> body)
    {
        int ranges = Math.Clamp(count / Math.Max(1, smallest), 1, Count * 4);
        For(ranges, r => body((int)((long)count * r / ranges), (int)((long)count * (r + 1) / ranges)));
    }

    private static void Work(int index)
    {
        t_inside = true;
        Loop? seen = null;
        while (true)
        {
            seen = Next(seen);
            if (index < Count - 1 && seen.Join())
            {
                seen.Take();
                seen.Leave();
            }
        }
    }

    private static Loop Next(Loop? seen)
    {
        for (int spin = 0; spin < Spins; spin++)
        {
            if (Volatile.Read(ref s_loop) is { } loop && loop != seen)
                return loop;
            Thread.SpinWait(4);
        }
        lock (Sleep)
        {
            Interlocked.Increment(ref s_sleeping);
            while (true)
            {
                if (Volatile.Read(ref s_loop) is { } loop && loop != seen)
                {
                    Interlocked.Decrement(ref s_sleeping);
                    return loop;
                }
                Monitor.Wait(Sleep);
            }
        }
    }

    private sealed class Loop(Action<int> body, int count)
    {
        private int _next;
        private int _joined; // −1: closed
        private ExceptionDispatchInfo? _error;

        public bool Join()
        {
            while (Volatile.Read(ref _joined) is >= 0 and int joined)
            {
                if (Interlocked.CompareExchange(ref _joined, joined + 1, joined) == joined)
                    return true;
            }
            return false;
        }

        public void Take()
        {
            try
            {
                for (int i; (i = Interlocked.Increment(ref _next) - 1) < count;)
                    body(i);
            }
            catch (Exception e)
            {
                _error = ExceptionDispatchInfo.Capture(e);
                Volatile.Write(ref _next, count);
            }
        }

        public void Leave() => Interlocked.Decrement(ref _joined);

        /// <summary>Waits for those who joined; nobody joins afterwards.</summary>
        public void Close()
        {
            for (int spin = 0; Interlocked.CompareExchange(ref _joined, -1, 0) != 0; spin++)
            {
                if (spin < Spins)
                    Thread.SpinWait(4);
                else
                    Thread.Yield();
            }
            _error?.Throw();
        }
    }
}
