using System.Globalization;
using System.Runtime.InteropServices;

namespace Hone.Formats.Jobs;

/// <summary>
/// A named place where tests end the process the hard way. Nothing happens unless <c>HONE_CRASH_AT</c> holds the name: <c>NAME</c> at the first passage,
/// <c>NAME#3</c> at the third. With <c>HONE_CRASH_MARKER=FILE</c> it happens once over all processes: who creates the file is killed, and the file tells the test.
/// </summary>
public static partial class CrashPoint
{
    private static readonly (string? Name, int Passage, string? Marker) Armed = Read();
    private static int s_passed;

    public static void Here(string name)
    {
        if (Armed.Name is null || Armed.Name != name || Interlocked.Increment(ref s_passed) != Armed.Passage || !TakeMarker())
            return;
        _ = Kill(Environment.ProcessId, 9);
        // SIGKILL to oneself is delivered before kill returns; no other thread gets further either.
        Environment.FailFast($"Crash point '{name}'");
    }

    private static bool TakeMarker()
    {
        if (Armed.Marker is null)
            return true;
        try
        {
            using var marker = new FileStream(Armed.Marker, FileMode.CreateNew, FileAccess.Write);
            return true;
        }
        catch (IOException)
        {
            return false;
        }
    }

    private static (string?, int, string?) Read()
    {
        string? value = Environment.GetEnvironmentVariable("HONE_CRASH_AT");
        if (string.IsNullOrEmpty(value))
            return (null, 0, null);
        int hash = value.LastIndexOf('#');
        int passage = hash < 0 ? 1 : int.Parse(value.AsSpan(hash + 1), NumberStyles.None, CultureInfo.InvariantCulture);
        string? marker = Environment.GetEnvironmentVariable("HONE_CRASH_MARKER");
        return (hash < 0 ? value : value[..hash], passage, string.IsNullOrEmpty(marker) ? null : marker);
    }

    [LibraryImport("libc", EntryPoint = "kill")]
    private static partial int Kill(int process, int signal);
}
