using System.Runtime.InteropServices;

namespace Hone.Core.Tests.Blobs;

/// <summary>A file system in memory, of 1 MiB unless another size is given. Needs root: where mounting is not allowed, <see cref="TryMount"/> answers null.</summary>
internal sealed partial class SmallDisk : IDisposable
{
    private const ulong ReadOnlyFlag = 1, RemountFlag = 32;
    private const int Detach = 2;

    private SmallDisk(string path) => Path = path;

    public string Path { get; }

    public static SmallDisk? TryMount(int mebibytes = 1)
    {
        if (!OperatingSystem.IsLinux())
            return null;
        string path = Directory.CreateTempSubdirectory("hone-disk-").FullName;
        if (Mount("tmpfs", path, "tmpfs", 0, $"size={mebibytes}m") == 0)
            return new SmallDisk(path);
        Directory.Delete(path);
        return null;
    }

    public void MakeReadOnly()
    {
        if (Mount("tmpfs", Path, "tmpfs", ReadOnlyFlag | RemountFlag, null) != 0)
            throw new InvalidOperationException($"Cannot remount {Path}: {Marshal.GetLastPInvokeErrorMessage()}.");
    }

    public void Dispose()
    {
        if (Unmount(Path, Detach) != 0)
            throw new InvalidOperationException($"Cannot unmount {Path}: {Marshal.GetLastPInvokeErrorMessage()}.");
        Directory.Delete(Path);
    }

    [LibraryImport("libc", EntryPoint = "mount", StringMarshalling = StringMarshalling.Utf8, SetLastError = true)]
    private static partial int Mount(string source, string target, string type, ulong flags, string? data);

    [LibraryImport("libc", EntryPoint = "umount2", StringMarshalling = StringMarshalling.Utf8, SetLastError = true)]
    private static partial int Unmount(string target, int flags);
}
