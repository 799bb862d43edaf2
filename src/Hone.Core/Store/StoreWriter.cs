using System.Threading.Channels;
using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Storage;

namespace Hone.Core.Store;

/// <summary>
/// The one writer of this process, with group commit: what is queued shares one transaction and one sync to disk, each write in a savepoint of
/// its own, so that one that fails leaves the others whole. A write is answered after the commit, never before.
/// </summary>
public sealed class StoreWriter : IAsyncDisposable
{
    private const int MaximumBatch = 256;
    private const string Savepoint = "write";
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
        var queued = new Write<T>(write, cancellationToken);
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
        HoneDbContext? db = null;
        var batch = new List<Write>();
        while (await queue.Reader.WaitToReadAsync())
        {
            batch.Clear();
            try
            {
                db ??= store.OpenWriter();
                await using IDbContextTransaction transaction = await db.Database.BeginTransactionAsync();
                while (batch.Count < MaximumBatch && queue.Reader.TryRead(out Write? write))
                {
                    batch.Add(write);
                    await RunOneAsync(db, transaction, write);
                }
                await transaction.CommitAsync();
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
                if (db is not null)
                    await db.DisposeAsync();
                db = null;
            }
            foreach (Write write in batch)
                write.Complete();
        }
        if (db is not null)
            await db.DisposeAsync();
    }

    private async Task RunOneAsync(HoneDbContext db, IDbContextTransaction transaction, Write write)
    {
        await transaction.CreateSavepointAsync(Savepoint);
        try
        {
            await write.RunAsync(db);
            await transaction.ReleaseSavepointAsync(Savepoint);
        }
        catch (Exception e)
        {
            write.Error = StorageException.From(e, store.FolderPath) ?? e;
            await transaction.RollbackToSavepointAsync(Savepoint);
            await transaction.ReleaseSavepointAsync(Savepoint);
        }
        finally
        {
            db.ChangeTracker.Clear();
        }
    }

    private abstract class Write
    {
        public Exception? Error { get; set; }

        public abstract Task RunAsync(HoneDbContext db);

        public abstract void Complete();
    }

    private sealed class Write<T>(Func<HoneDbContext, Task<T>> body, CancellationToken cancellationToken) : Write
    {
        private T? result;

        public TaskCompletionSource<T> Answer { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public override async Task RunAsync(HoneDbContext db)
        {
            cancellationToken.ThrowIfCancellationRequested();
            result = await body(db);
        }

        public override void Complete()
        {
            if (Error is OperationCanceledException cancelled && cancellationToken.IsCancellationRequested)
                Answer.SetCanceled(cancelled.CancellationToken);
            else if (Error is not null)
                Answer.SetException(Error);
            else
                Answer.SetResult(result!);
        }
    }
}
