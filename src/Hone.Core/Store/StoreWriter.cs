using Microsoft.Data.Sqlite;

namespace Hone.Core.Store;

/// <summary>
/// The one writer of this process, with group commit: what is queued shares one transaction and one sync to disk, and one that fails leaves the others
/// whole. A write is answered after the commit, never before. One that comes alone is written by its own thread; where the last ones came together, the
/// next wait for those that are on their way to the queue.
/// </summary>
public sealed class StoreWriter(HoneStore store, StoreVersion version, DiskReserve reserve) : IAsyncDisposable
{
    private const int MaximumBatch = 256;
    private readonly Lock gate = new();
    private readonly Queue<Write> queue = new();
    private readonly List<Write> batch = [];
    private Connection? connection;
    private bool writing, closed, crowded;
    private TaskCompletionSource? idle;

    /// <summary>Transactions committed so far.</summary>
    internal long Commits { get; private set; }

    /// <summary>
    /// Runs a write and returns its result once it is on disk. The delegate works on the database alone; it may run again in no case. When it throws,
    /// its changes are taken back and the exception comes out here. Throws <see cref="StorageException"/> when the disk does not do its part.
    /// </summary>
    public Task<T> RunAsync<T>(Func<HoneDbContext, Task<T>> write, CancellationToken cancellationToken) => RunAsync(new ContextWrite<T>(write, cancellationToken));

    /// <summary>The same for a write after which space can be freed: on a full disk it may have what is held back for it, and then runs again.</summary>
    internal async Task<T> RunFreeingAsync<T>(Func<HoneDbContext, Task<T>> write, CancellationToken cancellationToken)
    {
        try
        {
            return await RunAsync(write, cancellationToken);
        }
        catch (StorageException full) when (full.Problem == StorageProblem.DiskFull && reserve.Release())
        {
            return await RunAsync(write, cancellationToken);
        }
    }

    /// <summary>
    /// The same for a write of prepared statements, without the cost of a context and of a savepoint. It changes neither accounts nor tokens, and may run a second
    /// time: where one of a batch throws, all of them are taken back and each is given its savepoint.
    /// </summary>
    internal Task<T> RunPreparedAsync<T>(Func<PreparedWrites, T> write, CancellationToken cancellationToken) => RunAsync(new PreparedWrite<T>(write, cancellationToken));

    private Task<T> RunAsync<T>(Write<T> write)
    {
        bool first, later;
        lock (gate)
        {
            ObjectDisposedException.ThrowIf(closed, this);
            queue.Enqueue(write);
            first = !writing;
            later = crowded;
            writing = true;
        }
        if (first && later)
            WriteLater();
        else if (first)
            _ = WriteAsync(alone: true);
        return write.Answer.Task;
    }

    /// <summary>Finishes what is queued.</summary>
    public async ValueTask DisposeAsync()
    {
        lock (gate)
        {
            closed = true;
            if (writing)
                idle ??= new(TaskCreationOptions.RunContinuationsAsynchronously);
        }
        if (idle is not null)
            await idle.Task;
        if (connection is not null)
            await connection.DisposeAsync();
        connection = null;
    }

    /// <summary>Writes what is queued, batch by batch.</summary>
    /// <param name="alone">On the thread of a write that has an answer to give: after its batch another goes on.</param>
    private async Task WriteAsync(bool alone)
    {
        bool more;
        do
        {
            await CommitAsync();
            foreach (Write write in batch)
                write.Complete();
            lock (gate)
            {
                crowded = batch.Count > 1;
                batch.Clear();
                more = writing = queue.Count > 0;
                if (!more)
                    idle?.SetResult();
            }
        }
        while (more && !alone);
        if (more)
            WriteLater();
    }

    private void WriteLater() => ThreadPool.UnsafeQueueUserWorkItem(static writer => _ = writer.WriteAsync(alone: false), this, preferLocal: false);

    /// <summary>The next of the batch, which holds writes of one kind; null: that is all of it.</summary>
    private Write? Next()
    {
        lock (gate)
        {
            bool joins = batch.Count < MaximumBatch && queue.TryPeek(out Write? next) && (batch.Count == 0 || next.MayRunAgain == batch[0].MayRunAgain);
            if (!joins)
                return null;
            Write write = queue.Dequeue();
            batch.Add(write);
            return write;
        }
    }

    private async Task CommitAsync()
    {
        try
        {
            connection ??= new Connection(store);
            connection.Prepared.Run("BEGIN IMMEDIATE");
            StoreVersion.Header before = version.Read();
            bool again = false;
            while (!again && Next() is { } write)
            {
                if (write.MayRunAgain)
                    again = !await TryOneAsync(connection, write);
                else
                    await RunOneAsync(connection, write);
            }
            if (again)
            {
                connection.Prepared.Run("ROLLBACK");
                connection.Prepared.Run("BEGIN IMMEDIATE");
                before = version.Read();
                foreach (Write write in batch)
                    await RunOneAsync(connection, write);
            }
            connection.Prepared.Run("COMMIT");
            if (batch.Count > 0 && batch[0].MayRunAgain)
                version.KeepAccounts(before);
            Commits++;
        }
        catch (Exception e)
        {
            // Nothing of the batch is stored. A full disk, for one, makes SQLite end the whole transaction.
            if (batch.Count == 0)
                Next();
            Exception cause = batch.Select(w => w.Error).FirstOrDefault(error => error is StorageException) ?? StorageException.From(e, store.FolderPath) ?? e;
            foreach (Write write in batch)
                write.Error ??= cause;
            if (connection is not null)
                await connection.DisposeAsync();
            connection = null;
        }
    }

    private static async ValueTask<bool> TryOneAsync(Connection connection, Write write)
    {
        try
        {
            await write.RunAsync(connection);
            return true;
        }
        catch (Exception)
        {
            // It runs again, and what it throws then is its answer.
            return false;
        }
    }

    private async Task RunOneAsync(Connection connection, Write write)
    {
        connection.Prepared.Run("SAVEPOINT one");
        try
        {
            await write.RunAsync(connection);
        }
        catch (Exception e)
        {
            write.Error = StorageException.From(e, store.FolderPath) ?? e;
            connection.Prepared.Run("ROLLBACK TO one");
        }
        connection.Prepared.Run("RELEASE one");
    }

    /// <summary>The one connection that writes, for a context and for prepared statements. Closing it takes back what is not committed.</summary>
    private sealed class Connection : IAsyncDisposable
    {
        private readonly SqliteConnection connection;

        public Connection(HoneStore store)
        {
            connection = store.OpenConnection();
            Prepared = new PreparedWrites(connection);
            // The commit that fills the log pays for copying it into the database: rarely, and pages that changed often are copied once.
            Prepared.Run("PRAGMA wal_autocheckpoint = 4000");
            Prepared.Run("PRAGMA cache_size = -2000");
            Db = HoneStore.ContextOver(connection);
        }

        public PreparedWrites Prepared { get; }

        public HoneDbContext Db { get; }

        public async ValueTask DisposeAsync()
        {
            await Db.DisposeAsync();
            Prepared.Dispose();
            await connection.DisposeAsync();
        }
    }

    private abstract class Write
    {
        public Exception? Error { get; set; }

        public abstract bool MayRunAgain { get; }

        public abstract ValueTask RunAsync(Connection connection);

        public abstract void Complete();
    }

    private abstract class Write<T>(CancellationToken cancellationToken) : Write
    {
        private T? result;

        public TaskCompletionSource<T> Answer { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public sealed override async ValueTask RunAsync(Connection connection)
        {
            cancellationToken.ThrowIfCancellationRequested();
            result = await BodyAsync(connection);
        }

        protected abstract ValueTask<T> BodyAsync(Connection connection);

        public sealed override void Complete()
        {
            if (Error is OperationCanceledException cancelled && cancellationToken.IsCancellationRequested)
                Answer.SetCanceled(cancelled.CancellationToken);
            else if (Error is not null)
                Answer.SetException(Error);
            else
                Answer.SetResult(result!);
        }
    }

    private sealed class ContextWrite<T>(Func<HoneDbContext, Task<T>> body, CancellationToken cancellationToken) : Write<T>(cancellationToken)
    {
        public override bool MayRunAgain => false;

        protected override async ValueTask<T> BodyAsync(Connection connection)
        {
            try
            {
                return await body(connection.Db);
            }
            finally
            {
                connection.Db.ChangeTracker.Clear();
            }
        }
    }

    private sealed class PreparedWrite<T>(Func<PreparedWrites, T> body, CancellationToken cancellationToken) : Write<T>(cancellationToken)
    {
        public override bool MayRunAgain => true;

        protected override ValueTask<T> BodyAsync(Connection connection) => new(body(connection.Prepared));
    }
}
