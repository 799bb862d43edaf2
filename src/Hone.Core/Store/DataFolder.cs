using System.Globalization;
using System.Runtime.InteropServices;
using Hone.Formats.Files;
using Microsoft.Win32.SafeHandles;

namespace Hone.Core.Store;

/// <summary>The data folder and where things lie in it.</summary>
public sealed partial class DataFolder(HoneCoreOptions options)
{
    private const UnixFileMode Private = UnixFileMode.UserRead | UnixFileMode.UserWrite;

    public string Path { get; } = System.IO.Path.GetFullPath(options.DataFolder);
    public string DatabasePath => System.IO.Path.Combine(Path, "hone.db");
    public string BlobPath { get; } = System.IO.Path.GetFullPath(options.BlobFolder ?? System.IO.Path.Combine(options.DataFolder, "blobs"));
    public string JobsPath => System.IO.Path.Combine(Path, "jobs");
    public string AdaptersPath => System.IO.Path.Combine(Path, "adapters");

    /// <summary>Encoded rows, which trainers keep for each other.</summary>
    public string RowsPath => RowsPathOf(Path);
    public string CredentialsPath => System.IO.Path.Combine(Path, "credentials.json");
    public string ReservePath => System.IO.Path.Combine(Path, "reserve");
    public string LockPath => System.IO.Path.Combine(Path, "serve.lock");

    internal static string RowsPathOf(string dataFolder) => System.IO.Path.Combine(System.IO.Path.GetFullPath(dataFolder), "rows");

    /// <summary>This process has the folder to itself.</summary>
    internal bool IsHeld { get; private set; }

    /// <summary>From now on what this process and its children write is this user's alone, also in a data folder that somebody else made and others may enter.</summary>
    public static void KeepPrivate()
    {
        if (!OperatingSystem.IsWindows())
            _ = SetMask(0b000_111_111);
    }

    /// <summary>Makes the folder (mode 0700) when it is missing. Throws <see cref="StorageException"/>.</summary>
    public void Create()
    {
        try
        {
            if (!Directory.Exists(Path))
                CreatePrivateFolder(Path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw StorageException.From(e, Path) ?? new StorageException(StorageProblem.Failed, $"The data folder {Path} cannot be made: {e.Message}", e);
        }
    }

    /// <summary>
    /// Takes the folder for one server until the result is disposed or the process ends, however it ends.
    /// Throws <see cref="StorageException"/> with <see cref="StorageProblem.InUse"/> when another has it.
    /// </summary>
    public IDisposable Lock()
    {
        Create();
        FileStream file;
        try
        {
            file = new FileStream(LockPath, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None, bufferSize: 0);
        }
        catch (Exception e) when (StorageException.From(e, Path) is { } storage)
        {
            throw storage;
        }
        catch (IOException e)
        {
            throw new StorageException(StorageProblem.InUse,
                $"Another server{Holder()} uses the data folder {Path}. Stop it, or choose another folder with --data.", e);
        }
        try
        {
            file.SetLength(0);
            file.Write(System.Text.Encoding.ASCII.GetBytes(Environment.ProcessId.ToString(CultureInfo.InvariantCulture) + "\n"));
            IsHeld = true;
            return new Hold(this, file);
        }
        catch (Exception e)
        {
            file.Dispose();
            if (StorageException.From(e, Path) is { } storage)
                throw storage;
            throw;
        }
    }

    /// <summary>Writes a file whole or not at all, readable by this user alone from its first byte.</summary>
    public void WritePrivateFile(string path, ReadOnlySpan<byte> bytes)
    {
        string temporary = $"{path}.{Guid.NewGuid():n}.tmp";
        try
        {
            var how = new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write, Share = FileShare.None };
            if (!OperatingSystem.IsWindows())
                how.UnixCreateMode = Private;
            using (var stream = new FileStream(temporary, how))
            {
                stream.Write(bytes);
                stream.Flush(flushToDisk: true);
            }
            File.Move(temporary, path, overwrite: true);
            AtomicFile.SyncFolder(System.IO.Path.GetDirectoryName(path)!);
        }
        catch (Exception e)
        {
            File.Delete(temporary);
            if (StorageException.From(e, Path) is { } storage)
                throw storage;
            throw;
        }
    }

    internal static void CreatePrivateFolder(string path)
    {
        if (OperatingSystem.IsWindows())
            Directory.CreateDirectory(path);
        else
            Directory.CreateDirectory(path, Private | UnixFileMode.UserExecute);
    }

    private string Holder()
    {
        // The runtime asks for a lock with every file that it opens; a handle of the system's own reads beside the holder's.
        if (!OperatingSystem.IsLinux())
            return "";
        using var handle = new SafeFileHandle(Open(LockPath, 0), ownsHandle: true);
        if (handle.IsInvalid)
            return "";
        Span<byte> text = stackalloc byte[20];
        int read = RandomAccess.Read(handle, text, 0);
        return int.TryParse(text[..read].TrimEnd((byte)'\n'), CultureInfo.InvariantCulture, out int id) ? $" (process {id})" : "";
    }

    [LibraryImport("libc", EntryPoint = "umask")]
    private static partial uint SetMask(uint mask);

    [LibraryImport("libc", EntryPoint = "open", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Open(string path, int flags);

    private sealed class Hold(DataFolder folder, FileStream file) : IDisposable
    {
        public void Dispose()
        {
            folder.IsHeld = false;
            file.Dispose();
        }
    }
}
