using System.Runtime.InteropServices;
using Microsoft.Data.Sqlite;

namespace Hone.Core.Store;

/// <summary>
/// A number that changes with every commit to the database, by whichever process. What was read after one number was asked for is current while it stays.
/// It is the checksum in the header of SQLite's WAL index (https://sqlite.org/walformat.html#wal_index_header), a counter of commits among what it sums up: every
/// process has that in memory, so that asking costs a look and no call of the system.
/// </summary>
public sealed unsafe partial class StoreVersion(HoneStore store) : IDisposable
{
    /// <summary>Bytes before the counter of commits and before the checksum in the header.</summary>
    private const int Commits = 8, Checksum = 40;

    /// <summary>A page of the index, as SQLite maps it.</summary>
    private const int RegionSize = 32 << 10;

    private readonly Lock gate = new();
    private SqliteConnection? connection;
    private byte* header;
    private Kept kept = new(0, 0);

    public long Now() => Volatile.Read(ref *(long*)(At + Checksum));

    /// <summary>The same, but that it stays with commits that changed neither accounts nor tokens, as far as they are known to be such.</summary>
    internal long OfAccounts()
    {
        long now = Now();
        Kept last = Volatile.Read(ref kept);
        return last.To == now ? last.From : now;
    }

    internal Header Read()
    {
        byte* at = At;
        while (true)
        {
            long before = Volatile.Read(ref *(long*)(at + Checksum));
            uint commits = Volatile.Read(ref *(uint*)(at + Commits));
            if (before == Volatile.Read(ref *(long*)(at + Checksum)))
                return new(commits, before);
        }
    }

    /// <summary>A commit of this process changed neither accounts nor tokens.</summary>
    /// <param name="before">Read while the database was locked for it.</param>
    internal void KeepAccounts(Header before)
    {
        Header after = Read();
        // Otherwise another process has committed since.
        if (after.Commits == before.Commits + 1)
            Volatile.Write(ref kept, new(kept.To == before.Checksum ? kept.From : before.Checksum, after.Checksum));
    }

    internal readonly record struct Header(uint Commits, long Checksum);

    /// <summary>Between two versions nothing but such commits.</summary>
    private sealed record Kept(long From, long To);

    private byte* At => header is null ? Open() : header;

    private byte* Open()
    {
        lock (gate)
        {
            if (header is not null)
                return header;
            ObjectDisposedException.ThrowIf(connection is not null, this);
            connection = store.OpenConnection();
            using SqliteCommand read = connection.CreateCommand();
            // The first read opens the index.
            read.CommandText = "SELECT count(*) FROM sqlite_schema";
            read.ExecuteScalar();
            // A field of SQLite's structure is asked of its own methods: a second handle to the file would take its locks away when it is closed.
            const int filePointer = 7;
            File* file = null;
            void* region = null;
            int error = FileControl(connection.Handle!.DangerousGetHandle(), "main", filePointer, &file);
            if (error == 0)
                error = file->Methods->ShmMap(file, 0, RegionSize, 0, &region);
            if (error != 0 || region is null)
                throw new StorageException(StorageProblem.Failed, $"The WAL index of {store.FolderPath} cannot be read (SQLite error {error}).");
            return header = (byte*)region;
        }
    }

    public void Dispose()
    {
        lock (gate)
        {
            header = null;
            connection?.Dispose();
        }
    }

    /// <summary><c>sqlite3_file</c>.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct File
    {
        public Methods* Methods;
    }

    /// <summary><c>sqlite3_io_methods</c>, as far as it is needed.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct Methods
    {
        public nint Version, Close, Read, Write, Truncate, Sync, FileSize, Lock, Unlock, CheckReservedLock, FileControl, SectorSize, DeviceCharacteristics;
        public delegate* unmanaged[Cdecl]<File*, int, int, int, void**, int> ShmMap;
    }

    [LibraryImport("e_sqlite3", EntryPoint = "sqlite3_file_control", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int FileControl(nint database, string name, int operation, File** result);
}
