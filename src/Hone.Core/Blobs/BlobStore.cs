using System.Buffers;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using Hone.Core.Store;
using Hone.Formats.Files;
using Microsoft.Win32.SafeHandles;

namespace Hone.Core.Blobs;

/// <summary>More bytes came than are allowed.</summary>
public sealed class BlobTooLargeException(long limit) : Exception($"The file is larger than the {limit:N0} bytes allowed.")
{
    public long Limit { get; } = limit;
}

/// <summary>Files named by their SHA-256. A blob is whole and on disk from the moment it has its name.</summary>
public sealed partial class BlobStore(DataFolder folder)
{
    private const UnixFileMode ReadOnly = UnixFileMode.UserRead;
    private const int BufferSize = 1 << 17;

    /// <summary>Bytes after which the disk is set to work: the sync at the end would find all of a file otherwise.</summary>
    private const int WriteBehind = 8 << 20;

    // Keeps a blob that is being written from being collected between the look at its age and its deletion.
    private readonly Lock naming = new();

    public string Path => folder.BlobPath;

    private string TemporaryPath => System.IO.Path.Combine(folder.BlobPath, "tmp");

    /// <summary>Makes the folders and, where no other process can be writing, removes what broken writes of an earlier one left.</summary>
    public void Initialize() => Guard(() =>
    {
        DataFolder.CreatePrivateFolder(folder.BlobPath);
        DataFolder.CreatePrivateFolder(TemporaryPath);
        if (folder.IsHeld)
            DeleteTemporary(DateTime.MaxValue);
        return true;
    });

    /// <summary>Removes temporary files that were last written before that.</summary>
    internal void DeleteTemporary(DateTime before)
    {
        foreach (FileInfo file in new DirectoryInfo(TemporaryPath).EnumerateFiles())
        {
            if (file.LastWriteTimeUtc < before)
                file.Delete();
        }
    }

    /// <summary>
    /// Takes a stream to its end into a temporary file while hashing it. Nothing remains of it unless <see cref="StagedBlob.Keep"/> is called.
    /// Throws <see cref="BlobTooLargeException"/> as soon as the limit is passed, and <see cref="StorageException"/>.
    /// </summary>
    public async Task<StagedBlob> StageAsync(Stream source, long limit, CancellationToken cancellationToken)
    {
        string path = System.IO.Path.Combine(TemporaryPath, Guid.NewGuid().ToString("n"));
        FileStream file = Guard(() => OpenPrivate(path));
        byte[] buffer = ArrayPool<byte>.Shared.Rent(BufferSize);
        try
        {
            await using (file)
            {
                using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
                long size = 0, begun = 0;
                while (true)
                {
                    int read = await source.ReadAsync(buffer.AsMemory(0, BufferSize), cancellationToken);
                    if (read == 0)
                        break;
                    size += read;
                    if (size > limit)
                        throw new BlobTooLargeException(limit);
                    // Written by another thread while this one hashes.
                    Task writing = GuardAsync(() => file.WriteAsync(buffer.AsMemory(0, read), cancellationToken)).AsTask();
                    hash.AppendData(buffer, 0, read);
                    await writing;
                    if (size - begun >= WriteBehind)
                    {
                        BeginWriting(file.SafeFileHandle, begun, size - begun);
                        begun = size;
                    }
                }
                Guard(() =>
                {
                    file.Flush(flushToDisk: true);
                    return true;
                });
                return new StagedBlob(this, path, Convert.ToHexStringLower(hash.GetHashAndReset()), size);
            }
        }
        catch
        {
            File.Delete(path);
            throw;
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    /// <summary>Stores a copy of a file. What is stored is what was hashed, whatever happens to the file meanwhile.</summary>
    public async Task<(string Sha256, long Size)> ImportAsync(string path, CancellationToken cancellationToken)
    {
        await using var source = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, 0, FileOptions.Asynchronous | FileOptions.SequentialScan);
        await using StagedBlob staged = await StageAsync(source, long.MaxValue, cancellationToken);
        staged.Keep();
        return (staged.Sha256, staged.Size);
    }

    /// <summary>Where a blob lies, whether it is there or not. The file is never to be written.</summary>
    public string PathOf(string sha256)
    {
        if (sha256.Length != 64 || !sha256.All(char.IsAsciiHexDigitLower))
            throw new ArgumentException("A blob is named by 64 lower-case hex digits.", nameof(sha256));
        return System.IO.Path.Combine(folder.BlobPath, sha256[..2], sha256);
    }

    public bool Exists(string sha256, long size) => new FileInfo(PathOf(sha256)) is { Exists: true } file && file.Length == size;

    /// <exception cref="StorageException">It is gone, or of another size.</exception>
    public FileStream OpenRead(string sha256, long size) => Exists(sha256, size) ? OpenRead(sha256) : throw Damaged(sha256);

    /// <summary>Where a blob lies that has been read back and hashed.</summary>
    /// <exception cref="StorageException">It is gone, or not what its name says.</exception>
    public async Task<string> VerifiedPathAsync(string sha256, CancellationToken cancellationToken) =>
        await VerifyAsync(sha256, cancellationToken) ? PathOf(sha256) : throw Damaged(sha256);

    private StorageException Damaged(string sha256) =>
        new(StorageProblem.FileDamaged, $"{PathOf(sha256)} is {(File.Exists(PathOf(sha256)) ? "damaged: its bytes are not those that were stored" : "gone")}. Check the disk, and restore the file from a backup.");

    private FileStream OpenRead(string sha256) => new(PathOf(sha256), FileMode.Open, FileAccess.Read, FileShare.Read | FileShare.Delete, 1 << 16, FileOptions.Asynchronous | FileOptions.SequentialScan);

    /// <summary>Reads a blob back and hashes it: true when it is what its name says.</summary>
    public async Task<bool> VerifyAsync(string sha256, CancellationToken cancellationToken)
    {
        if (!File.Exists(PathOf(sha256)))
            return false;
        await using FileStream file = OpenRead(sha256);
        return Convert.ToHexStringLower(await SHA256.HashDataAsync(file, cancellationToken)) == sha256;
    }

    internal IEnumerable<FileInfo> All() => Directory.EnumerateDirectories(folder.BlobPath)
        .Where(d => System.IO.Path.GetFileName(d).Length == 2)
        .SelectMany(d => new DirectoryInfo(d).EnumerateFiles())
        .Where(f => f.Name.Length == 64);

    internal void Name(string temporary, string sha256) => Guard(() =>
    {
        string path = PathOf(sha256), parent = System.IO.Path.GetDirectoryName(path)!;
        if (!Directory.Exists(parent))
        {
            DataFolder.CreatePrivateFolder(parent);
            AtomicFile.SyncFolder(folder.BlobPath);
        }
        if (!OperatingSystem.IsWindows())
            File.SetUnixFileMode(temporary, ReadOnly);
        // Replaces an equal file: its age starts anew.
        lock (naming)
            File.Move(temporary, path, overwrite: true);
        AtomicFile.SyncFolder(parent);
        return true;
    });

    /// <summary>Deletes a blob that is still older than that.</summary>
    internal bool DeleteOlder(string sha256, DateTime before)
    {
        lock (naming)
        {
            var file = new FileInfo(PathOf(sha256));
            if (!file.Exists || file.LastWriteTimeUtc >= before)
                return false;
            file.Delete();
            return true;
        }
    }

    private static FileStream OpenPrivate(string path)
    {
        var how = new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.ReadWrite, Share = FileShare.Read, Options = FileOptions.Asynchronous, BufferSize = 0 };
        if (!OperatingSystem.IsWindows())
            how.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        return new FileStream(path, how);
    }

    /// <summary>Has the system begin to write out a part of a file, and does not wait for it. That it is written is the sync's to see to.</summary>
    private static void BeginWriting(SafeFileHandle file, long offset, long count)
    {
        const uint write = 2;
        if (OperatingSystem.IsLinux())
            _ = SyncFileRange(file, offset, count, write);
    }

    [LibraryImport("libc", EntryPoint = "sync_file_range")]
    private static partial int SyncFileRange(SafeFileHandle file, long offset, long count, uint flags);

    private T Guard<T>(Func<T> body)
    {
        try
        {
            return body();
        }
        catch (Exception e) when (e is not StorageException && StorageException.From(e, folder.BlobPath) is { } storage)
        {
            throw storage;
        }
    }

    private async ValueTask GuardAsync(Func<ValueTask> body)
    {
        try
        {
            await body();
        }
        catch (Exception e) when (e is not StorageException && StorageException.From(e, folder.BlobPath) is { } storage)
        {
            throw storage;
        }
    }
}

/// <summary>A file that has come whole and is on disk under a temporary name. Disposing removes it unless it was kept.</summary>
public sealed class StagedBlob : IAsyncDisposable
{
    private readonly BlobStore owner;
    private bool kept;

    internal StagedBlob(BlobStore owner, string path, string sha256, long size)
    {
        this.owner = owner;
        Path = path;
        Sha256 = sha256;
        Size = size;
    }

    /// <summary>Temporary before <see cref="Keep"/>, the blob's after.</summary>
    public string Path { get; private set; }
    public string Sha256 { get; }
    public long Size { get; }

    /// <summary>Gives the file its name among the blobs.</summary>
    public void Keep()
    {
        if (kept)
            return;
        owner.Name(Path, Sha256);
        Path = owner.PathOf(Sha256);
        kept = true;
    }

    public ValueTask DisposeAsync()
    {
        if (!kept)
            File.Delete(Path);
        return ValueTask.CompletedTask;
    }
}
