using System.Runtime.InteropServices;

namespace Hone.Commands;

/// <summary>glibc's allocator, of which SQLite and the runtime's compiler take.</summary>
internal static partial class NativeHeap
{
    /// <summary>
    /// At most two heaps for all threads: by default each thread fills one of its own and keeps it, 10 MB more in a server. Does nothing where there is another allocator.
    /// </summary>
    public static void Share()
    {
        const int arenaMax = -8;
        if (!OperatingSystem.IsLinux())
            return;
        try
        {
            _ = SetOption(arenaMax, 2);
        }
        catch (EntryPointNotFoundException)
        {
            // musl.
        }
    }

    [LibraryImport("libc", EntryPoint = "mallopt")]
    private static partial int SetOption(int name, int value);
}
