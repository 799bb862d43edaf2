using System.Runtime.InteropServices;

namespace Hone.Core.Processes;

/// <summary>A second name for a blob's bytes where the file system allows it, a copy elsewhere.</summary>
internal static partial class HardLink
{
    public static void CreateOrCopy(string source, string target)
    {
        if (OperatingSystem.IsWindows() || Link(source, target) != 0)
            File.Copy(source, target, overwrite: false);
    }

    [LibraryImport("libc", EntryPoint = "link", StringMarshalling = StringMarshalling.Utf8, SetLastError = true)]
    private static partial int Link(string source, string target);
}
