using System.Runtime.InteropServices;

namespace Hone.Training.Processes;

/// <summary>What a child of a worker or a server owes its parent: a process group of its own, an end when the parent ends, and way to the server.</summary>
public static partial class ChildLifetime
{
    /// <summary>Of a job: behind the API, and behind the answers that somebody waits for.</summary>
    public const int JobNice = 10;

    /// <summary>Of an engine: behind the API.</summary>
    public const int EngineNice = 5;

    /// <summary>A group of its own, so that the parent can end it with all that it may have started. A leader already, or a shell's job: as it is.</summary>
    public static void LeadGroup()
    {
        if (OperatingSystem.IsLinux())
            _ = SetProcessGroup(0, 0);
    }

    /// <summary>
    /// Ends this process as soon as its standard input ends: the parent holds the other end, so even a parent killed outright leaves nothing behind.
    /// A terminal or a closed input is nobody's life line.
    /// </summary>
    /// <param name="onLine">Told each line that the parent writes there.</param>
    public static void EndWithStandardInput(Action<string>? onLine = null)
    {
        if (!Console.IsInputRedirected)
            return;
        var input = new StreamReader(Console.OpenStandardInput());
        var watch = new Thread(() =>
        {
            try
            {
                while (input.ReadLine() is { } line)
                    onLine?.Invoke(line);
            }
            catch (IOException)
            {
            }
            // Nothing to say goodbye to: events go nowhere, files are complete or have temporary names.
            End(3);
        })
        {
            IsBackground = true,
            Name = "parent",
        };
        watch.Start();
    }

    /// <summary>Ends this process at once, without the exit handlers and destructors of the runtime and of native libraries.</summary>
    public static void End(int code)
    {
        if (OperatingSystem.IsWindows())
            Environment.Exit(code);
        else
            Exit(code);
    }

    /// <summary>
    /// Gives way to the server, whose answers take little time and are waited for: a processor that both want goes to it, by its weight, and at once, because
    /// whoever asks for short turns may break into the turn of one that asks for long ones (Linux 6.12). On an idle machine nothing changes. Threads inherit it
    /// from the one that starts them, so those that the runtime has by now are told each.
    /// </summary>
    /// <param name="nice">0 is an ordinary process, 19 the last in the queue.</param>
    public static void YieldToServer(int nice)
    {
        if (!OperatingSystem.IsLinux())
            return;
        const ulong Turn = 20_000_000; // nanoseconds; an ordinary one has about 3 ms
        long call = RuntimeInformation.ProcessArchitecture == Architecture.Arm64 ? 274 : 314; // sched_setattr
        var scheduling = new Scheduling { Size = (uint)Marshal.SizeOf<Scheduling>(), Nice = nice, Runtime = Turn };
        // Twice: one that was not told yet may have started another meanwhile.
        for (int pass = 0; pass < 2; pass++)
        {
            foreach (string task in Directory.EnumerateDirectories("/proc/self/task"))
            {
                int thread = int.Parse(Path.GetFileName(task.AsSpan()), System.Globalization.CultureInfo.InvariantCulture);
                if (SystemCall(call, thread, in scheduling, 0) != 0)
                    _ = SetPriority(0, thread, nice);
            }
        }
    }

    /// <summary>Most memory this process has held, in MiB (VmHWM).</summary>
    public static double PeakMemoryMb()
    {
        foreach (string line in File.ReadLines("/proc/self/status"))
        {
            if (line.StartsWith("VmHWM:", StringComparison.Ordinal))
                return double.Parse(line.AsSpan(6, line.Length - 8).Trim(), System.Globalization.CultureInfo.InvariantCulture) / 1024;
        }
        return 0;
    }

    [LibraryImport("libc", EntryPoint = "setpgid", SetLastError = true)]
    private static partial int SetProcessGroup(int process, int group);

    /// <summary>The kernel's <c>sched_attr</c>.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct Scheduling
    {
        public uint Size;
        public uint Policy;
        public ulong Flags;
        public int Nice;
        public uint Priority;
        public ulong Runtime;
        public ulong Deadline;
        public ulong Period;
    }

    [LibraryImport("libc", EntryPoint = "syscall", SetLastError = true)]
    private static partial long SystemCall(long number, int thread, in Scheduling scheduling, uint flags);

    [LibraryImport("libc", EntryPoint = "setpriority", SetLastError = true)]
    private static partial int SetPriority(int which, int who, int priority);

    [LibraryImport("libc", EntryPoint = "_exit")]
    private static partial void Exit(int code);
}
