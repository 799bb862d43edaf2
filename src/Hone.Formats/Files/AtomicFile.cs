using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Hone.Formats.Files;

/// <summary>A file that exists whole or not at all: written under a temporary name in the same folder, synced, renamed, and the folder synced.</summary>
public static partial class AtomicFile
{
    private const int NoSpace = 28, QuotaExceeded = 122;

    /// <summary>Whether it was for want of space that a file could not be written.</summary>
    public static bool IsFull(Exception exception) => exception is IOException { HResult: NoSpace or QuotaExceeded };

    public static void Write(string path, Action<Stream> write)
    {
        string temporary = $"{path}.{Guid.NewGuid():n}.tmp";
        try
        {
            using (var stream = new FileStream(temporary, FileMode.CreateNew, FileAccess.Write, FileShare.None, 1 << 16))
            {
                write(stream);
                stream.Flush(flushToDisk: true);
            }
            File.Move(temporary, path, overwrite: true);
        }
        catch
        {
            File.Delete(temporary);
            throw;
        }
        SyncFolder(Path.GetDirectoryName(Path.GetFullPath(path))!);
    }

    public static void WriteAllBytes(string path, ReadOnlyMemory<byte> bytes) => Write(path, s => s.Write(bytes.Span));

    public static void WriteAllText(string path, string text) => WriteAllBytes(path, System.Text.Encoding.UTF8.GetBytes(text));

    /// <summary>Makes renames and deletions in a folder durable.</summary>
    public static void SyncFolder(string folder)
    {
        if (!OperatingSystem.IsLinux())
            return;
        int descriptor = Open(folder, 0);
        if (descriptor < 0)
            throw new IOException($"Cannot open the folder {folder} to sync it: {Marshal.GetLastPInvokeErrorMessage()}.");
        using var handle = new SafeFileHandle(descriptor, ownsHandle: true);
        if (Sync(descriptor) != 0)
            throw new IOException($"Cannot sync the folder {folder}: {Marshal.GetLastPInvokeErrorMessage()}.");
    }

    [LibraryImport("libc", EntryPoint = "open", StringMarshalling = StringMarshalling.Utf8, SetLastError = true)]
    private static partial int Open(string path, int flags);

    [LibraryImport("libc", EntryPoint = "fsync", SetLastError = true)]
    private static partial int Sync(int descriptor);
}
