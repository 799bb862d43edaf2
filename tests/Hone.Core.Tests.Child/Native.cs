using System.Runtime.InteropServices;

namespace Hone.Core.Tests.Child;

internal static partial class Native
{
    /// <summary>Makes this process the leader of a group, as `hone train` and `hone engine` do.</summary>
    public static void LeadGroup() => _ = SetGroup(0, 0);

    public static void KillSelf()
    {
        _ = Kill(Environment.ProcessId, 9);
        Environment.FailFast("killed");
    }

    [LibraryImport("libc", EntryPoint = "setpgid")]
    private static partial int SetGroup(int process, int group);

    [LibraryImport("libc", EntryPoint = "kill")]
    private static partial int Kill(int process, int signal);
}
