using System.Buffers.Text;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Hone.Training.Processes;

/// <summary>
/// A bound on this process's private writable memory. It is watched, and is reached while some is left: a runtime that is refused memory itself ends the process
/// without a word of its own, or waits for ever for a lock that the refused thread holds. A single allocation beyond the bound is refused by the system (RLIMIT_DATA).
/// </summary>
internal sealed partial class MemoryLimit : IDisposable
{
    /// <summary>In bytes: more than is taken between two looks, and than is needed to tell of it.</summary>
    private const long Reserve = 64 << 20;

    private static readonly TimeSpan LookEvery = TimeSpan.FromMilliseconds(10);

    private const int Data = 2; // RLIMIT_DATA

    private readonly ManualResetEvent _over = new(false);

    /// <param name="onReached">Called once at most: here, where the bound is too small to begin with, or on a thread of its own.</param>
    public MemoryLimit(int megabytes, Action onReached)
    {
        if (!OperatingSystem.IsLinux())
            return;
        long bytes = (long)megabytes << 20;
        long bound = bytes - Reserve;
        SafeFileHandle file = File.OpenHandle("/proc/self/statm");
        if (PrivateBytes(file) >= bound)
        {
            onReached();
            return;
        }
        if (GetLimit(Data, out Limit before) != 0)
            throw new InvalidOperationException($"Cannot read the limit of the memory: {Marshal.GetLastPInvokeErrorMessage()}.");
        var watch = new Thread(() => Watch(file, bound, before, onReached)) { IsBackground = true, Name = "memory" };
        watch.Start();
        if (SetLimit(Data, before with { Current = Math.Min((ulong)bytes, before.Maximum) }) != 0)
            throw new InvalidOperationException($"Cannot limit the memory to {megabytes} MiB: {Marshal.GetLastPInvokeErrorMessage()}.");
    }

    public void Dispose() => _over.Set();

    private void Watch(SafeFileHandle file, long bound, Limit before, Action onReached)
    {
        while (!_over.WaitOne(LookEvery))
        {
            if (PrivateBytes(file) >= bound)
            {
                // Who is refused memory from here on may hold a lock that it takes to tell of it.
                _ = SetLimit(Data, before);
                onReached();
                return;
            }
        }
    }

    /// <param name="file">size, resident, shared, text, lib, data and dt, in pages.</param>
    private static long PrivateBytes(SafeFileHandle file)
    {
        Span<byte> line = stackalloc byte[128];
        ReadOnlySpan<byte> rest = line[..RandomAccess.Read(file, line, 0)];
        for (int field = 0; field < 5; field++)
            rest = rest[(rest.IndexOf((byte)' ') + 1)..];
        return Utf8Parser.TryParse(rest, out long pages, out _) ? pages * Environment.SystemPageSize : 0;
    }

    [StructLayout(LayoutKind.Sequential)]
    private record struct Limit
    {
        public ulong Current;
        public ulong Maximum;
    }

    [LibraryImport("libc", EntryPoint = "setrlimit", SetLastError = true)]
    private static partial int SetLimit(int resource, in Limit limit);

    [LibraryImport("libc", EntryPoint = "getrlimit", SetLastError = true)]
    private static partial int GetLimit(int resource, out Limit limit);
}
