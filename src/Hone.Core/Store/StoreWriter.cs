using System.Threading.Channels;
using Microsoft.Data.Sqlite;
using Microsoft.EntityFrameworkCore;

namespace Hone.Core.Store;

/// <summary>
/// The one writer of this process, with group commit: what is queued shares one transaction and one sync to disk, each write in a savepoint of
/// its own, so that one that fails leaves the others whole. A write is answered after the commit, never before.
/// </summary>
public sealed class StoreWriter : IAsyncDisposable
{
    private const int MaximumBatch = 256;
    private readonly HoneStore store;
    private readonly Channel<Write> queue = Channel.CreateUnbounded<Write>(new UnboundedChannelOptions { SingleReader = true });
    private readonly Task loop;

    public StoreWriter(HoneStore store)
    {
        this.store = store;
        loop = Task.Run(LoopAsync);
    }

    /// <summary>Transactions committed so far.</summary>
    internal long Commits { get; private set; }

    /// <summary>
    /// Runs a write and returns its result once it is on disk. The delegate works on the database alone; it may run again in no case. When it throws,
    /// its changes are taken back and the exception comes out here. Throws <see cref="StorageException"/> when the disk does not do its part.
    /// </summary>
    public async Task<T> RunAsync<T>(Func<HoneDbContext, Task<T>> write, CancellationToken cancellationToken)
    {
        var queued = new ContextWrite<T>(write, cancellationToken);
        ObjectDisposedException.ThrowIf(!queue.Writer.TryWrite(queued), this);
        return await queued.Answer.Task;
    }

    /// <summary>The same for a write of prepared statements, without the cost of a context.</summary>
    internal async Task<T> RunPreparedAsync<T>(Func<PreparedWrites, T> write, CancellationToken cancellationToken)
    {
        var queued = new PreparedWrite<T>(write, cancellationToken);
        ObjectDisposedException.ThrowIf(!queue.Writer.TryWrite(queued), this);
        return await queued.Answer.Task;
    }

    /// <summary>Finishes what is queued.</summary>
    public async ValueTask DisposeAsync()
    {
        queue.Writer.TryComplete();
        await loop;
    }

    private async Task LoopAsync()
    {
        Connection? connection = null;
        var batch = new List<Write>();
        while (await queue.Reader.WaitToReadAsync())
        {
            batch.Clear();
            try
            {
                connection ??= new Connection(store);
                connection.Prepared.Run("BEGIN IMMEDIATE");
                while (batch.Count < MaximumBatch && queue.Reader.TryRead(out Write? write))
                {
                    batch.Add(write);
                    await RunOneAsync(connection, write);
                }
                connection.Prepared.Run("COMMIT");
                Commits++;
            }
            catch (Exception e)
            {
                // Nothing of the batch is stored. A full disk, for one, makes SQLite end the whole transaction.
                if (batch.Count == 0 && queue.Reader.TryRead(out Write? first))
                    batch.Add(first);
                Exception cause = batch.Select(w => w.Error).FirstOrDefault(error => error is StorageException) ?? StorageException.From(e, store.FolderPath) ?? e;
                foreach (Write write in batch)
                    write.Error ??= cause;
                if (connection is not null)
                    await connection.DisposeAsync();
                connection = null;
            }
            foreach (Write write in batch)
                write.Complete();
        }
        if (connection is not null)
            await connection.DisposeAsync();
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
            Prepared.Run("PRAGMA cache_size = -8000");
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
        protected override ValueTask<T> BodyAsync(Connection connection) => new(body(connection.Prepared));
    }
}
