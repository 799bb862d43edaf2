using System.Globalization;
using System.Text.Json;
using Hone.Core.Blobs;
using Hone.Core.Files;
using Hone.Core.Finetunes;
using Hone.Formats.Jobs;
using Microsoft.EntityFrameworkCore;

namespace Hone.Core.Store;

/// <summary>What a worker is given to work on.</summary>
public sealed record ClaimedJob
{
    public required Guid FinetuneId { get; init; }
    public required string AccountId { get; init; }
    public required string Name { get; init; }
    public required string ModelId { get; init; }
    public required long Fence { get; init; }

    /// <summary>From 1.</summary>
    public required int Attempt { get; init; }
    public required int MaximumAttempts { get; init; }
    public string? CheckpointBlob { get; init; }
    public int? CheckpointStep { get; init; }
    public long? Seed { get; init; }

    /// <summary>What the user gave; null values are automatic.</summary>
    public required TrainingConfig Config { get; init; }

    /// <summary>Uploaded files by name.</summary>
    public required IReadOnlyDictionary<string, FinetuneAsset> Assets { get; init; }
}

/// <summary>The answer to a write of an attempt.</summary>
public enum AttemptWrite
{
    Done,

    /// <summary>The user wants it cancelled: stop the trainer, then <see cref="SqliteJobQueue.FinishCancelAsync"/>.</summary>
    CancelRequested,

    /// <summary>The attempt no longer holds the job, or the job is gone: stop, and write nothing more. Nothing was changed.</summary>
    Lost,
}

public sealed record PublishedFile(string FileName, string Sha256, long Size);

/// <summary>
/// Claims, heartbeats and results on SQLite. Every write of an attempt is guarded by id, fence and state; no row means <see cref="AttemptWrite.Lost"/>.
/// Leases are on the database's clock alone. One transaction writes at a time, so a claim is exclusive.
/// </summary>
public sealed class SqliteJobQueue(HoneStore store, StoreWriter writer, StoreSignals signals, BlobStore blobs, HoneLimits limits)
{
    /// <summary>Milliseconds since 1970 on the database's clock; one value within a statement.</summary>
    internal const string Now = "CAST(unixepoch('now', 'subsec') * 1000 AS INTEGER)";

    private const string Claimable = $"""
        NOT cancel_requested AND ((state = 'queued' AND (not_before IS NULL OR not_before <= {Now}))
        OR (state = 'running' AND lease_until <= {Now} AND NOT pause_requested AND workers_lost + 1 < @lost))
        """;

    private const string Abandoned = $"state = 'running' AND lease_until <= {Now} AND (cancel_requested OR pause_requested OR workers_lost + 1 >= @lost)";

    /// <summary>Whether there is anything to do. Two questions, as for the two conditions in one SQLite reads all rows.</summary>
    internal const string Any = $"EXISTS (SELECT 1 FROM finetunes WHERE {Claimable}) OR EXISTS (SELECT 1 FROM finetunes WHERE {Abandoned})";

    /// <summary>
    /// Takes the next job: queued and due, or running under a lease that ended, which is the same attempt going on. Jobs that have lost too many workers are
    /// failed (or cancelled, where that was asked for) on the way. Null when there is nothing to do.
    /// </summary>
    public async Task<ClaimedJob?> ClaimAsync(string worker, TimeSpan lease, CancellationToken cancellationToken)
    {
        object lost = Parameter("@lost", limits.JobWorkersLost);
        await using (HoneDbContext db = store.Read())
        {
            // Spares the writer when there is nothing.
            if (!await db.Database.SqlQueryRaw<bool>($"SELECT {Any} AS Value", lost).SingleAsync(cancellationToken))
                return null;
        }
        var ended = new List<Guid>();
        ClaimedJob? job = await writer.RunAsync(async db =>
        {
            ended.Clear();
            foreach (string id in await db.Database.SqlQueryRaw<string>($"SELECT id AS Value FROM finetunes WHERE {Abandoned}", lost).ToListAsync(cancellationToken))
            {
                await EndAbandonedAsync(db, Guid.Parse(id), cancellationToken);
                ended.Add(Guid.Parse(id));
            }
            List<string> next = await db.Database.SqlQueryRaw<string>($"SELECT id AS Value FROM finetunes WHERE {Claimable} ORDER BY priority DESC, created_at, id LIMIT 1", lost)
                .ToListAsync(cancellationToken);
            if (next.Count == 0)
                return null;
            var claimed = Guid.Parse(next[0]);
            bool takenOver = await db.Finetunes.AnyAsync(f => f.Id == claimed && f.State == FinetuneState.Running, cancellationToken);
            await db.Database.ExecuteSqlRawAsync($"""
                UPDATE finetunes SET state = 'running', fence = fence + 1, attempts = attempts + (state = 'queued'), workers_lost = workers_lost + (state = 'running'),
                    lease_until = {Now} + @lease, worker = @worker, not_before = NULL, started_at = COALESCE(started_at, {Now}), modified_at = {Now},
                    metrics_json = json_remove(metrics_json, '$.estimated_finish')
                WHERE id = @id
                """, [Parameter("@lease", (long)lease.TotalMilliseconds), Parameter("@worker", worker), Parameter("@id", claimed.ToString("D"))], cancellationToken);
            if (takenOver)
                await EventLog.AppendAsync(db, claimed, [new NewEvent("The worker was lost; another goes on with the job.", "warn")], cancellationToken);
            return await ReadAsync(db, claimed, cancellationToken);
        }, cancellationToken);
        foreach (Guid id in ended)
            signals.NotifyChanged(id);
        if (job is not null)
            signals.NotifyChanged(job.FinetuneId);
        return job;
    }

    /// <summary>
    /// Ends the leases of a worker that is known to be gone: the one before under the same name. Its jobs can be claimed at once.
    /// Answers how many there were.
    /// </summary>
    public Task<int> EndLeasesAsync(string worker, CancellationToken cancellationToken) =>
        writer.RunAsync(db => db.Database.ExecuteSqlRawAsync(
            $"UPDATE finetunes SET lease_until = {Now} WHERE state = 'running' AND worker = @worker", [Parameter("@worker", worker)], cancellationToken), cancellationToken);

    /// <summary>Prolongs the lease.</summary>
    public Task<AttemptWrite> RenewAsync(Guid id, long fence, TimeSpan lease, CancellationToken cancellationToken) =>
        WriteAsync(id, async db =>
        {
            if (await GuardedAsync(db, id, fence, new Change($"lease_until = {Now} + @lease", Parameter("@lease", (long)lease.TotalMilliseconds)), cancellationToken) == 0)
                return AttemptWrite.Lost;
            return await db.Finetunes.AnyAsync(f => f.Id == id && f.CancelRequested, cancellationToken) ? AttemptWrite.CancelRequested : AttemptWrite.Done;
        }, notify: false, cancellationToken);

    /// <param name="metricsJson">Replaces the finetune's figures when given.</param>
    public Task<AttemptWrite> AppendEventsAsync(Guid id, long fence, IReadOnlyList<NewEvent> events, string? metricsJson, CancellationToken cancellationToken) =>
        WriteAsync(id, async db =>
        {
            if (await GuardedAsync(db, id, fence, new Change($"metrics_json = COALESCE(@metrics, metrics_json), modified_at = {Now}", Parameter("@metrics", metricsJson)), cancellationToken) == 0)
                return AttemptWrite.Lost;
            await EventLog.AppendAsync(db, id, events, cancellationToken);
            return AttemptWrite.Done;
        }, notify: true, cancellationToken);

    /// <summary>
    /// Names a checkpoint that is in the blob store already, and deletes the one before. One of a later step than any before is progress: lost workers are forgotten.
    /// Throws <see cref="FileNotFoundException"/> where the blob is not stored.
    /// </summary>
    public async Task<AttemptWrite> SaveCheckpointAsync(Guid id, long fence, int step, string blobSha256, CancellationToken cancellationToken)
    {
        string? before = null;
        var change = new Change(
            $"checkpoint_blob = @blob, workers_lost = CASE WHEN @step > COALESCE(checkpoint_step, 0) THEN 0 ELSE workers_lost END, checkpoint_step = @step, modified_at = {Now}", Parameter("@blob", blobSha256), Parameter("@step", step));
        AttemptWrite result = await WriteAsync(id, async db =>
        {
            // Here, as another job with the same checkpoint deletes it behind a write.
            if (!File.Exists(blobs.PathOf(blobSha256)))
                throw new FileNotFoundException($"The checkpoint's blob {blobSha256} is not stored.");
            before = await db.Finetunes.Where(f => f.Id == id).Select(f => f.CheckpointBlob).SingleOrDefaultAsync(cancellationToken);
            return await GuardedAsync(db, id, fence, change, cancellationToken) == 0 ? AttemptWrite.Lost : AttemptWrite.Done;
        }, notify: false, cancellationToken);
        if (result == AttemptWrite.Done && before is not null && before != blobSha256)
        {
            // The row above is on disk, and until this is over nobody else writes one that names the blob.
            await writer.RunAsync(async db => !await BlobCollector.IsNamedAsync(db, before, cancellationToken) && blobs.DeleteOlder(before, DateTime.MaxValue), cancellationToken);
        }
        return result;
    }

    /// <summary>Names the adapter of a step, whose blobs are stored already. Told again, nothing changes. The oldest beyond the limit go.</summary>
    public Task<AttemptWrite> SaveAdapterAsync(Guid id, long fence, FinetuneCheckpoint checkpoint, CancellationToken cancellationToken)
    {
        if (!File.Exists(blobs.PathOf(checkpoint.ConfigSha256)) || !File.Exists(blobs.PathOf(checkpoint.WeightsSha256)))
            throw new ArgumentException($"The adapter of step {checkpoint.Step} is not stored.", nameof(checkpoint));
        return WriteAsync(id, async db =>
        {
            if (await GuardedAsync(db, id, fence, new Change($"modified_at = {Now}"), cancellationToken) == 0)
                return AttemptWrite.Lost;
            int known = await db.FinetuneCheckpoints.Where(c => c.FinetuneId == id && c.Step == checkpoint.Step).ExecuteDeleteAsync(cancellationToken);
            db.FinetuneCheckpoints.Add(checkpoint);
            await db.SaveChangesAsync(cancellationToken);
            int oldest = await db.FinetuneCheckpoints.Where(c => c.FinetuneId == id).OrderByDescending(c => c.Step).Take(limits.CheckpointsPerFinetune).MinAsync(c => c.Step, cancellationToken);
            await db.FinetuneCheckpoints.Where(c => c.FinetuneId == id && c.Step < oldest).ExecuteDeleteAsync(cancellationToken);
            if (known == 0)
            {
                Finetune finetune = await db.Finetunes.AsNoTracking().SingleAsync(f => f.Id == id, cancellationToken);
                await EventLog.AppendAsync(db, id, [new NewEvent($"Checkpoint created: {FinetuneRules.CheckpointName(finetune, checkpoint.Step)}")], cancellationToken);
            }
            return AttemptWrite.Done;
        }, notify: true, cancellationToken);
    }

    /// <summary>
    /// Makes the finetune ready and names its files, in one transaction. Refused once cancellation was asked for. The blobs must be stored: a missing
    /// one, or one of another size, throws and changes nothing.
    /// </summary>
    public Task<AttemptWrite> PublishAsync(Guid id, long fence, IReadOnlyList<PublishedFile> files, string? metricsJson, CancellationToken cancellationToken)
    {
        foreach (PublishedFile file in files)
        {
            if (!blobs.Exists(file.Sha256, file.Size))
                throw new ArgumentException($"The blob of {file.FileName} ({file.Sha256}, {file.Size} bytes) is not stored.", nameof(files));
        }
        return WriteAsync(id, async db =>
        {
            var publish = new Change($"{Ended(FinetuneState.Ready)}, metrics_json = COALESCE(@metrics, metrics_json)", Parameter("@metrics", metricsJson)) { OnlyIf = "NOT cancel_requested" };
            if (await GuardedAsync(db, id, fence, publish, cancellationToken) == 0)
            {
                return await db.Finetunes.AnyAsync(f => f.Id == id && f.Fence == fence && f.State == FinetuneState.Running, cancellationToken)
                    ? AttemptWrite.CancelRequested : AttemptWrite.Lost;
            }
            Finetune ready = await db.Finetunes.AsNoTracking().SingleAsync(f => f.Id == id, cancellationToken);
            foreach (PublishedFile file in files)
                db.FinetuneAssets.Add(new FinetuneAsset { FinetuneId = id, FileName = file.FileName, Sha256 = file.Sha256, Size = file.Size, CreatedAt = ready.ModifiedAt });
            if (files.FirstOrDefault(f => f.FileName == AssetFiles.StepMetrics) is { } metrics)
            {
                db.Files.Add(new StoredFile
                {
                    Id = StoredFile.NewId(ready.ModifiedAt),
                    AccountId = ready.AccountId,
                    FinetuneId = id,
                    FileName = metrics.FileName,
                    Purpose = StoredFile.FineTuneResults,
                    Sha256 = metrics.Sha256,
                    Size = metrics.Size,
                    CreatedAt = ready.ModifiedAt,
                });
            }
            await db.SaveChangesAsync(cancellationToken);
            await EventLog.AppendAsync(db, id,
                [new NewEvent($"New fine-tuned model created: {FinetuneRules.ModelName(ready)}"), new NewEvent("The job has successfully completed")], cancellationToken);
            return AttemptWrite.Done;
        }, notify: true, cancellationToken);
    }

    /// <summary>Ends the job as failed, or as cancelled where that was asked for.</summary>
    public Task<AttemptWrite> FailAsync(Guid id, long fence, string code, string message, CancellationToken cancellationToken) =>
        WriteAsync(id, async db =>
        {
            AttemptWrite failed = await FailedAsync(db, id, fence, code, message, cancellationToken);
            return failed == AttemptWrite.Lost ? await CancelledAsync(db, id, fence, cancellationToken) : failed;
        }, notify: true, cancellationToken);

    /// <summary>Ends a job whose cancellation was asked for, after its trainer is gone.</summary>
    public Task<AttemptWrite> FinishCancelAsync(Guid id, long fence, CancellationToken cancellationToken) =>
        WriteAsync(id, db => CancelledAsync(db, id, fence, cancellationToken), notify: true, cancellationToken);

    /// <summary>
    /// Gives the job back to the queue, to go on from its last checkpoint after a while. Attempts that count and were the last end it as failed;
    /// one whose cancellation was asked for ends as cancelled, one that is to be held back is paused.
    /// </summary>
    /// <param name="reason">For the user: why this attempt ended; null: it was asked to.</param>
    /// <param name="countAttempt">False when the attempt ended for no fault of the job's: the worker shuts down.</param>
    public async Task<AttemptWrite> ReleaseAsync(Guid id, long fence, TimeSpan retryAfter, string? reason, bool countAttempt, CancellationToken cancellationToken)
    {
        AttemptWrite result = await WriteAsync(id, async db =>
        {
            if (await db.Finetunes.AnyAsync(f => f.Id == id && f.Fence == fence && f.CancelRequested, cancellationToken))
                return await CancelledAsync(db, id, fence, cancellationToken);
            int? attempts = await db.Finetunes.Where(f => f.Id == id && f.Fence == fence && f.State == FinetuneState.Running)
                .Select(f => (int?)f.Attempts).SingleOrDefaultAsync(cancellationToken);
            if (attempts is null)
                return AttemptWrite.Lost;
            if (countAttempt && attempts >= limits.JobAttempts)
            {
                string message = $"{reason} That was attempt {attempts} of {limits.JobAttempts}; the job is given up.";
                return await FailedAsync(db, id, fence, "attempts_exhausted", message, cancellationToken);
            }
            int back = countAttempt ? 0 : 1;
            var hold = new Change($"{HeldBack}, attempts = attempts - @back", Parameter("@back", back)) { OnlyIf = "pause_requested" };
            if (await GuardedAsync(db, id, fence, hold, cancellationToken) > 0)
            {
                NewEvent[] told = reason is null ? [] : [new NewEvent(reason, "warn")];
                await EventLog.AppendAsync(db, id, [.. told, new NewEvent(EventLog.Paused)], cancellationToken);
                return AttemptWrite.Done;
            }
            var requeue = new Change($"state = 'queued', lease_until = NULL, worker = NULL, not_before = {Now} + @wait, attempts = attempts - @back, modified_at = {Now}",
                Parameter("@wait", (long)retryAfter.TotalMilliseconds), Parameter("@back", back));
            await GuardedAsync(db, id, fence, requeue, cancellationToken);
            string next = countAttempt ? $"{reason} Attempt {attempts + 1} of {limits.JobAttempts} follows in {retryAfter.TotalSeconds:0.#} s." : $"{reason ?? "The pause was taken back."} The job is queued again.";
            await EventLog.AppendAsync(db, id, [new NewEvent(next, reason is null ? "info" : "warn")], cancellationToken);
            return AttemptWrite.Done;
        }, notify: true, cancellationToken);
        if (result == AttemptWrite.Done)
            signals.NotifyQueued();
        return result;
    }

    private async Task<AttemptWrite> WriteAsync(Guid id, Func<HoneDbContext, Task<AttemptWrite>> write, bool notify, CancellationToken cancellationToken)
    {
        AttemptWrite result = await writer.RunAsync(write, cancellationToken);
        if (notify && result != AttemptWrite.Lost)
            signals.NotifyChanged(id);
        return result;
    }

    /// <summary>The guard that every write of an attempt goes through; answers how many rows it changed, 0 or 1.</summary>
    private static Task<int> GuardedAsync(HoneDbContext db, Guid id, long fence, Change change, CancellationToken cancellationToken)
    {
        string sql = $"UPDATE finetunes SET {change.Set} WHERE id = @id AND fence = @fence AND state = 'running' AND ({change.OnlyIf})";
        return db.Database.ExecuteSqlRawAsync(sql, [.. change.Parameters, Parameter("@id", id.ToString("D")), Parameter("@fence", fence)], cancellationToken);
    }

    private static async Task<AttemptWrite> FailedAsync(HoneDbContext db, Guid id, long fence, string code, string message, CancellationToken cancellationToken)
    {
        var change = new Change($"{Ended(FinetuneState.Failed)}, error_code = @code, error_message = @message", Parameter("@code", code), Parameter("@message", message))
        {
            OnlyIf = "NOT cancel_requested",
        };
        if (await GuardedAsync(db, id, fence, change, cancellationToken) == 0)
            return AttemptWrite.Lost;
        await EventLog.AppendAsync(db, id, [new NewEvent(message, "error")], cancellationToken);
        return AttemptWrite.Done;
    }

    private static async Task<AttemptWrite> CancelledAsync(HoneDbContext db, Guid id, long fence, CancellationToken cancellationToken)
    {
        if (await GuardedAsync(db, id, fence, new Change(Ended(FinetuneState.Cancelled)) { OnlyIf = "cancel_requested" }, cancellationToken) == 0)
            return AttemptWrite.Lost;
        await EventLog.AppendAsync(db, id, [new NewEvent(EventLog.Cancelled)], cancellationToken);
        return AttemptWrite.Done;
    }

    private static string Ended(FinetuneState state) =>
        $"state = '{state.Name()}', finalized_at = {Now}, modified_at = {Now}, lease_until = NULL, worker = NULL, checkpoint_blob = NULL, pause_requested = 0";

    private static string HeldBack => $"state = '{FinetuneState.Paused.Name()}', lease_until = NULL, worker = NULL, not_before = NULL, pause_requested = 0, modified_at = {Now}";

    private async Task EndAbandonedAsync(HoneDbContext db, Guid id, CancellationToken cancellationToken)
    {
        Finetune job = await db.Finetunes.AsNoTracking().SingleAsync(f => f.Id == id, cancellationToken);
        if (job.CancelRequested)
        {
            await CancelledAsync(db, id, job.Fence, cancellationToken);
            return;
        }
        if (job.PauseRequested && job.WorkersLost + 1 < limits.JobWorkersLost)
        {
            // Its worker is gone before it could hold it back: one more lost, and no attempt.
            await GuardedAsync(db, id, job.Fence, new Change($"{HeldBack}, attempts = attempts - 1, workers_lost = workers_lost + 1"), cancellationToken);
            await EventLog.AppendAsync(db, id, [new NewEvent("The worker was lost.", "warn"), new NewEvent(EventLog.Paused)], cancellationToken);
            return;
        }
        string message = string.Create(CultureInfo.InvariantCulture,
            $"{job.WorkersLost + 1} times the worker died or stopped answering over this job, without a new checkpoint in between; the job is given up. Does the machine run out of memory? A smaller batch_size or max_length, a limit for trainers (--memory-limit), or a smaller checkpoint_every may help.");
        await FailedAsync(db, id, job.Fence, "worker_lost", message, cancellationToken);
    }

    private async Task<ClaimedJob> ReadAsync(HoneDbContext db, Guid id, CancellationToken cancellationToken)
    {
        Finetune job = await db.Finetunes.AsNoTracking().SingleAsync(f => f.Id == id, cancellationToken);
        List<FinetuneAsset> assets = await db.FinetuneAssets.AsNoTracking().Where(a => a.FinetuneId == id).ToListAsync(cancellationToken);
        return new ClaimedJob
        {
            FinetuneId = id,
            AccountId = job.AccountId,
            Name = job.Name,
            ModelId = job.Model,
            Fence = job.Fence,
            Attempt = job.Attempts,
            MaximumAttempts = limits.JobAttempts,
            CheckpointBlob = job.CheckpointBlob,
            CheckpointStep = job.CheckpointStep,
            Seed = job.Seed,
            Config = job.ConfigJson is null ? new TrainingConfig() : JsonSerializer.Deserialize(job.ConfigJson, JobJson.Default.TrainingConfig)!,
            Assets = assets.ToDictionary(a => a.FileName, StringComparer.Ordinal),
        };
    }

    private static Microsoft.Data.Sqlite.SqliteParameter Parameter(string name, object? value) => new(name, value ?? DBNull.Value);

    /// <summary>What a guarded write sets, and what beyond the guard must hold.</summary>
    private sealed class Change(string set, params object[] parameters)
    {
        public string Set { get; } = set;
        public object[] Parameters { get; } = parameters;
        public string OnlyIf { get; init; } = "1";
    }
}
