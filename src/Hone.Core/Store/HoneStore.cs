using System.Data.Common;
using System.Runtime.CompilerServices;
using Hone.Core.Blobs;
using Microsoft.Data.Sqlite;
using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Diagnostics;
using Microsoft.EntityFrameworkCore.Infrastructure;

namespace Hone.Core.Store;

/// <summary>The database of a data folder: brings it up to date and hands out readers. Everything is written through <see cref="StoreWriter"/>.</summary>
public sealed class HoneStore : IAsyncDisposable
{
    private readonly DataFolder folder;
    private readonly BlobStore blobs;
    private readonly DiskReserve reserve;
    private readonly string readString, writeString;
    private readonly PooledDbContextFactory<HoneDbContext> readers;

    public HoneStore(DataFolder folder, BlobStore blobs, DiskReserve reserve)
    {
        this.folder = folder;
        this.blobs = blobs;
        this.reserve = reserve;
        // Whoever reads breaks no foreign key, and to switch them on is a statement with each opening.
        readString = new SqliteConnectionStringBuilder { DataSource = folder.DatabasePath, DefaultTimeout = 30 }.ToString();
        writeString = new SqliteConnectionStringBuilder(readString) { ForeignKeys = true, Pooling = false }.ToString();
        readers = new PooledDbContextFactory<HoneDbContext>(Options(readString).UseQueryTrackingBehavior(QueryTrackingBehavior.NoTracking).Options);
    }

    /// <summary>
    /// Makes the data folder and the database or brings them up to date; under <see cref="DataFolder.Lock"/> also removes what an earlier crash left of
    /// uploads. A second call changes nothing. Throws <see cref="StorageException"/>.
    /// </summary>
    public async Task InitializeAsync(CancellationToken cancellationToken)
    {
        try
        {
            folder.Create();
            blobs.Initialize();
            try
            {
                await OpenAsync(cancellationToken);
                reserve.Fill();
            }
            catch (Exception e) when (StorageException.From(e, folder.Path) is { Problem: StorageProblem.DiskFull } && folder.IsHeld && reserve.Release())
            {
                // Whoever is to free space by deleting needs a server for it. The collector takes the reserve again.
                await OpenAsync(cancellationToken);
            }
        }
        catch (Exception e) when (e is not StorageException && StorageException.From(e, folder.Path) is { } storage)
        {
            throw storage;
        }

        async Task OpenAsync(CancellationToken cancellationToken)
        {
            await using HoneDbContext db = OpenWriter();
            await db.Database.ExecuteSqlRawAsync("PRAGMA journal_mode = WAL;", cancellationToken);
            if (blobs.All().Any() && !(await db.Database.GetAppliedMigrationsAsync(cancellationToken)).Any())
                throw new StorageException(StorageProblem.Damaged, $"{folder.Path} holds files of finetunes, but {Path.GetFileName(folder.DatabasePath)}, which knows whose they are, is gone or empty. Restore it from a backup, with the files that begin with its name; to begin anew, move {blobs.Path} away.");
            await MigrateAsync(db, cancellationToken);
        }
    }

    /// <summary>
    /// For a process beside the one that initializes, which writes nothing here: throws <see cref="StorageException"/> where the database is of another version.
    /// </summary>
    public async Task RequireVersionAsync(CancellationToken cancellationToken)
    {
        try
        {
            await using HoneDbContext db = Read();
            if (!await IsUpToDateAsync(db, cancellationToken))
                throw new StorageException(StorageProblem.Older, $"The database in {folder.Path} was made by an older Hone. Start `hone serve` of this version on it first: it brings it up to date.");
        }
        catch (Exception e) when (e is not StorageException && StorageException.From(e, folder.Path) is { } storage)
        {
            throw storage;
        }
    }

    /// <summary>A context for reading; nothing is tracked. The caller disposes it.</summary>
    public HoneDbContext Read() => readers.CreateDbContext();

    internal HoneDbContext OpenWriter() => new(Options(writeString).Options);

    /// <summary>A connection beside the readers', for statements that are prepared once; the caller disposes it.</summary>
    internal SqliteConnection OpenConnection()
    {
        var connection = new SqliteConnection(writeString);
        try
        {
            connection.Open();
            ConnectionSettings.Apply(connection);
            return connection;
        }
        catch
        {
            connection.Dispose();
            throw;
        }
    }

    /// <summary>A context over the writer's connection. The writer begins and commits: the context must not.</summary>
    internal static HoneDbContext ContextOver(SqliteConnection connection)
    {
        var db = new HoneDbContext(new DbContextOptionsBuilder<HoneDbContext>().UseSqlite(connection).Options);
        db.Database.AutoTransactionBehavior = AutoTransactionBehavior.Never;
        return db;
    }

    internal string FolderPath => folder.Path;

    public ValueTask DisposeAsync()
    {
        using var connection = new SqliteConnection(readString);
        SqliteConnection.ClearPool(connection);
        return ValueTask.CompletedTask;
    }

    private async Task MigrateAsync(HoneDbContext db, CancellationToken cancellationToken)
    {
        if (await IsUpToDateAsync(db, cancellationToken))
            return;
        // A process that was killed while it migrated leaves its lock behind, and the next would wait for ever. Nobody else migrates under the folder's lock.
        if (folder.IsHeld)
            await db.Database.ExecuteSqlRawAsync("""DROP TABLE IF EXISTS "__EFMigrationsLock";""", cancellationToken);
        await db.Database.MigrateAsync(cancellationToken);
    }

    /// <summary>False for an older version; a newer one throws.</summary>
    private async Task<bool> IsUpToDateAsync(HoneDbContext db, CancellationToken cancellationToken)
    {
        string[] known = [.. db.Database.GetMigrations()], applied = [.. await db.Database.GetAppliedMigrationsAsync(cancellationToken)];
        return applied.Except(known).Any()
            ? throw new StorageException(StorageProblem.Newer, $"The database in {folder.Path} was made by a newer Hone. Use that one, or choose another folder with --data.")
            : applied.Length == known.Length;
    }

    private static DbContextOptionsBuilder<HoneDbContext> Options(string connectionString) =>
        new DbContextOptionsBuilder<HoneDbContext>().UseSqlite(connectionString).AddInterceptors(ConnectionSettings.Instance);

    /// <summary>What SQLite forgets with each connection.</summary>
    private sealed class ConnectionSettings : DbConnectionInterceptor
    {
        public static readonly ConnectionSettings Instance = new();
        // Another process's write lock, a backup's for one, is waited for as long as a command may take. Half a megabyte of pages for each connection: the
        // system's own cache has the rest.
        private const string Settings = "PRAGMA busy_timeout = 30000; PRAGMA synchronous = FULL; PRAGMA cache_size = -512;";

        // The pool gives connections again and again, and what was set stays with SQLite's handle.
        private static readonly ConditionalWeakTable<object, object> Settled = [];

        public override void ConnectionOpened(DbConnection connection, ConnectionEndEventData eventData) => Apply(connection);

        public static void Apply(DbConnection connection)
        {
            if (connection is not SqliteConnection { Handle: { } handle } || !Settled.TryAdd(handle, handle))
                return;
            using DbCommand command = connection.CreateCommand();
            command.CommandText = Settings;
            command.ExecuteNonQuery();
        }

        // SQLite itself knows no waiting but by a thread.
        public override Task ConnectionOpenedAsync(DbConnection connection, ConnectionEndEventData eventData, CancellationToken cancellationToken = default)
        {
            Apply(connection);
            return Task.CompletedTask;
        }
    }
}
