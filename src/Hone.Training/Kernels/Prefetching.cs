using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;

namespace Hone.Training.Kernels;

/// <summary>Asks for memory ahead of its use.</summary>
internal static unsafe class Prefetching
{
    /// <summary>From what is read to what is asked for: more than a page, which the processor does not look beyond by itself.</summary>
    public const int Ahead = 4608;

    private const int CacheLine = 64;

    /// <returns>What follows upon the bytes that were asked for, up to four lines of them.</returns>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static byte* Ask(byte* next, int bytes)
    {
        if (!Sse.IsSupported)
            return next;
        Sse.Prefetch0(next);
        if (bytes > CacheLine)
            Sse.Prefetch0(next + CacheLine);
        if (bytes > 2 * CacheLine)
            Sse.Prefetch0(next + 2 * CacheLine);
        if (bytes > 3 * CacheLine)
            Sse.Prefetch0(next + 3 * CacheLine);
        return next + bytes;
    }
}
