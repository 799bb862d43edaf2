using Hone.Formats.Files;
using Microsoft.Data.Sqlite;

namespace Hone.Core.Store;

public enum StorageProblem
{
    /// <summary>No space or no quota is left.</summary>
    DiskFull,

    /// <summary>The folder or its file system cannot be written.</summary>
    ReadOnly,

    /// <summary>Another server holds the data folder.</summary>
    InUse,

    /// <summary>Another process holds the database's write lock for too long.</summary>
    Busy,

    /// <summary>The file is not a database, or a damaged one, or gone.</summary>
    Damaged,

    /// <summary>A stored file is gone, or is no longer what it was.</summary>
    FileDamaged,

    /// <summary>The database was made by a newer version.</summary>
    Newer,

    /// <summary>The database was made by an older version, and is not brought up to date.</summary>
    Older,

    /// <summary>Any other failure of reading or writing.</summary>
    Failed,
}

/// <summary>The data folder does not do what it must. The message says what, where, and what to do.</summary>
public sealed class StorageException(StorageProblem problem, string message, Exception? inner = null) : IOException(message, inner)
{
    private const int ReadOnlyFileSystem = 30;

    public StorageProblem Problem { get; } = problem;

    /// <summary>The storage failure inside an exception, or null when it is none.</summary>
    public static StorageException? From(Exception exception, string where)
    {
        for (Exception? e = exception; e is not null; e = e.InnerException)
        {
            StorageException? found = e switch
            {
                StorageException known => known,
                SqliteException sqlite => From(sqlite, where),
                UnauthorizedAccessException => new(StorageProblem.ReadOnly, $"{where} cannot be written: {e.Message} Give this user the right to write there, or choose another folder with --data.", e),
                FileNotFoundException or EndOfStreamException => null,
                DirectoryNotFoundException => new(StorageProblem.Failed, $"{where} is gone: {e.Message}", e),
                IOException when AtomicFile.IsFull(e) => Full(where, e),
                IOException { HResult: ReadOnlyFileSystem } => new(StorageProblem.ReadOnly, $"{where} is on a read-only file system. Mount it for writing, or choose another folder with --data.", e),
                _ => null,
            };
            if (found is not null)
                return found;
        }
        return null;
    }

    private static StorageException Full(string where, Exception inner) =>
        new(StorageProblem.DiskFull, $"The disk of {where} is full. Nothing of this request is stored; free some space and send it again.", inner);

    private static StorageException? From(SqliteException e, string where) => e.SqliteErrorCode switch
    {
        SQLitePCL.raw.SQLITE_FULL => Full(where, e),
        // The index of the log is made at its full size, and says no more than that it could not be.
        SQLitePCL.raw.SQLITE_IOERR when e.SqliteExtendedErrorCode is SQLitePCL.raw.SQLITE_IOERR_SHMSIZE or SQLitePCL.raw.SQLITE_IOERR_WRITE && HasNoSpace(where) => Full(where, e),
        SQLitePCL.raw.SQLITE_READONLY => new(StorageProblem.ReadOnly, $"The database in {where} cannot be written: {e.Message.TrimEnd('.')}.", e),
        SQLitePCL.raw.SQLITE_CANTOPEN => new(StorageProblem.Failed, $"The database in {where} cannot be opened or made. The folder must exist and be writable.", e),
        SQLitePCL.raw.SQLITE_BUSY or SQLitePCL.raw.SQLITE_LOCKED => new(StorageProblem.Busy, $"Another process is writing the database in {where}; try again.", e),
        SQLitePCL.raw.SQLITE_NOTADB or SQLitePCL.raw.SQLITE_CORRUPT => new(StorageProblem.Damaged, $"The database in {where} is damaged or not a database: {e.Message.TrimEnd('.')}. Restore it from a backup, or choose another folder with --data.", e),
        SQLitePCL.raw.SQLITE_IOERR => new(StorageProblem.Failed, $"The database in {where} cannot be read or written: {e.Message.TrimEnd('.')}.", e),
        _ => null,
    };

    private static bool HasNoSpace(string folder)
    {
        const int LogIndex = 32 << 10;
        try
        {
            return new DriveInfo(folder).AvailableFreeSpace < LogIndex;
        }
        catch (Exception e) when (e is IOException or ArgumentException or UnauthorizedAccessException)
        {
            return false;
        }
    }
}
