using System.Diagnostics;

namespace Hone.Training.Kernels;

/// <summary>What a step's time goes to.</summary>
internal enum Operation
{
    /// <summary>Packing rows, tensors, places, whatever has no name of its own.</summary>
    Rest,

    /// <summary>Frozen weights, forward, with the adapter's second product, which rides on theirs.</summary>
    Products,

    /// <summary>The input's gradient through frozen weights and the adapter's first matrix.</summary>
    InputGradients,

    /// <summary>The adapter's first product.</summary>
    AdapterProducts,

    /// <summary>The gradients of the adapter's matrices.</summary>
    AdapterGradients,
    Attention,
    AttentionGradient,
    Norms,
    Rotary,
    GatedUnit,
    Residual,

    /// <summary>Logits, cross-entropy and their gradient.</summary>
    Head,
    Optimizer,
}

/// <summary>
/// Where the time of the calling thread goes, by operation; an operation within another counts for itself. Costs nothing to speak of while off, and little while on.
/// </summary>
internal static class Profile
{
    private static readonly long[] s_ticks = new long[Enum.GetValues<Operation>().Length];

    [ThreadStatic]
    private static bool t_on;

    private static readonly long[] s_rows = new long[Enum.GetValues<Operation>().Length];

    private static Operation s_current;
    private static long s_since;

    /// <summary>Begins at zero on the calling thread; one thread at a time.</summary>
    public static void Start()
    {
        Array.Clear(s_ticks);
        Array.Clear(s_rows);
        (s_current, s_since, t_on) = (Operation.Rest, Stopwatch.GetTimestamp(), true);
    }

    /// <returns>Seconds of each operation.</returns>
    public static IReadOnlyDictionary<Operation, double> Stop()
    {
        Switch(Operation.Rest);
        t_on = false;
        return Enum.GetValues<Operation>().ToDictionary(o => o, o => (double)s_ticks[(int)o] / Stopwatch.Frequency);
    }

    /// <summary>Rows that an operation has computed since the start: tokens, or logits' rows.</summary>
    public static long Rows(Operation operation) => s_rows[(int)operation];

    /// <param name="rows">Computed by it.</param>
    public static Measure Of(Operation operation, long rows = 0)
    {
        if (!t_on)
            return default;
        s_rows[(int)operation] += rows;
        return new Measure(Switch(operation));
    }

    private static Operation Switch(Operation next)
    {
        long now = Stopwatch.GetTimestamp();
        s_ticks[(int)s_current] += now - s_since;
        Operation before = s_current;
        (s_current, s_since) = (next, now);
        return before;
    }

    /// <summary>Until disposed.</summary>
    public readonly struct Measure(Operation before) : IDisposable
    {
        private readonly bool _on = true;

        public void Dispose()
        {
            if (_on)
                Switch(before);
        }
    }
}
