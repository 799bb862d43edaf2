using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using Hone.Core.Blobs;
using Hone.Core.Finetunes;
using Hone.Core.Models;
using Hone.Core.Processes;
using Hone.Core.Store;
using Hone.Formats.Jobs;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Logging;

namespace Hone.Core.Scheduling;

/// <summary>
/// One attempt at one job: 1. its folder, 2. the trainer, 3. the proof, 4. the files into the blob store, 5. the one statement that makes it ready.
/// Meanwhile the lease is renewed; whatever ends it ends the child first. Every write is guarded by the fence, so that an attempt
/// that has lost its job changes nothing.
/// </summary>
internal sealed partial class JobAttempt(
    ClaimedJob job, long claimedAt, SqliteJobQueue queue, HoneStore store, StoreSignals signals, BlobStore blobs, ModelCatalog models,
    WorkerSettings settings, ILogger logger, TimeProvider clock)
{
    private static readonly TimeSpan FlushTime = TimeSpan.FromSeconds(5);

    private int _lastStep;

    public async Task RunAsync(CancellationToken stopping)
    {
        CrashPoint.Here("worker.claimed");
        LogBegins(logger, job.FinetuneId, job.Attempt, job.Fence);
        await using var lease = new LeaseKeeper(RenewAsync, claimedAt, settings, logger, clock);
        await using var events = new EventForwarder(
            (batch, metrics, token) => queue.AppendEventsAsync(job.FinetuneId, job.Fence, batch, metrics, token),
            answer => lease.End(answer == AttemptWrite.Lost ? LeaseEnd.Lost : LeaseEnd.CancelRequested),
            settings.EventsEvery, logger, clock);
        await using CancellationTokenRegistration stop = stopping.Register(() => lease.End(LeaseEnd.Stopping));
        using StoreSignals.Subscription changed = signals.Changed(job.FinetuneId);
        using var over = new CancellationTokenSource();
        // Cancelled when the user wants the job held back.
        using var pause = new CancellationTokenSource();
        Task watch = WatchAsync(changed, lease, pause, over.Token);
        try
        {
            AttemptResult result;
            try
            {
                result = await TrainAsync(lease, events, pause.Token);
            }
            catch (OperationCanceledException) when (lease.Ended.IsCancellationRequested)
            {
                result = new AttemptResult.Interrupted();
            }
            catch (Exception error) when (StorageException.From(error, settings.DataFolder) is { Problem: StorageProblem.DiskFull or StorageProblem.ReadOnly } storage)
            {
                LogNotWritten(logger, error, job.FinetuneId);
                result = new AttemptResult.NotWritten(Why(storage));
            }
            catch (Exception error)
            {
                LogFault(logger, error, job.FinetuneId);
                result = new AttemptResult.Crashed("The worker could not carry out the attempt; the server's log has the details.");
            }
            await ConcludeAsync(result, lease, events);
        }
        finally
        {
            await over.CancelAsync();
            await watch;
        }
    }

    /// <summary>Steps 1 to 4.</summary>
    private async Task<AttemptResult> TrainAsync(LeaseKeeper lease, EventForwarder events, CancellationToken pause)
    {
        ModelEntry model;
        string modelSha256;
        try
        {
            // Opening it is what tells that the file is there and still the one that was added.
            _ = await models.OpenAsync(job.ModelId, lease.Ended);
            model = (await models.FindAsync(job.ModelId, lease.Ended))!;
            modelSha256 = await models.Sha256Async(model, lease.Ended);
        }
        catch (ModelUnavailableException error)
        {
            LogModelUnavailable(logger, error, job.FinetuneId);
            return new AttemptResult.Rejected(ModelUnavailableException.Code, error.PublicMessage);
        }

        string? checkpoint = job.CheckpointBlob;
        if (checkpoint is not null && !await blobs.VerifyAsync(checkpoint, lease.Ended))
        {
            LogDamaged(logger, job.FinetuneId, blobs.PathOf(checkpoint));
            await events.AddAsync(new NewEvent("The server's copy of the last checkpoint is damaged: the training begins anew.", "warn"), null, lease.Ended);
            checkpoint = null;
        }
        foreach (string name in (string[])[AssetFiles.TrainingData, AssetFiles.ValidationData, AssetFiles.StartConfig, AssetFiles.StartModel])
        {
            if (!job.Assets.TryGetValue(name, out FinetuneAsset? asset) || await blobs.VerifyAsync(asset.Sha256, lease.Ended))
                continue;
            LogDamaged(logger, job.FinetuneId, blobs.PathOf(asset.Sha256));
            return new AttemptResult.Rejected("file_damaged", $"The server's copy of {name} is gone or damaged. Its log has the details; once the disk is sound, send the file again with another job.");
        }

        using JobFolder folder = MakeFolder(model, modelSha256, checkpoint);
        CrashPoint.Here("worker.folder_made");

        AttemptResult trained = await RunChildAsync(TrainerProcess.Train, folder, lease, events, pause);
        if (trained is not AttemptResult.Completed { Last: TrainerEvent.Finished finished })
            return trained;
        CrashPoint.Here("worker.trained");

        AttemptResult proven = await RunChildAsync(TrainerProcess.Prove, folder, lease, events, pause);
        if (proven is not AttemptResult.Completed { Last: TrainerEvent.Proven proof })
            return proven;
        CrashPoint.Here("worker.proven");

        // What the proof wrote replaces what the trainer wrote under the same name.
        OutputFile[] files = [.. finished.Files.Concat(proof.Files).GroupBy(f => f.Name, StringComparer.Ordinal).Select(g => g.Last())];
        foreach (OutputFile file in files)
        {
            if (await StoreAsync(folder, file, lease.Ended) is { } wrong)
                return new AttemptResult.Crashed(wrong);
            CrashPoint.Here("worker.file_stored");
        }
        return new AttemptResult.Trained(files, finished.Metrics, proof);
    }

    private JobFolder MakeFolder(ModelEntry model, string modelSha256, string? checkpoint)
    {
        var inputs = new Dictionary<string, string>
        {
            [AssetFiles.TrainingData] = blobs.PathOf(job.Assets[AssetFiles.TrainingData].Sha256),
        };
        foreach (string name in (string[])[AssetFiles.ValidationData, AssetFiles.StartConfig, AssetFiles.StartModel])
        {
            if (job.Assets.TryGetValue(name, out FinetuneAsset? asset))
                inputs[name] = blobs.PathOf(asset.Sha256);
        }
        if (checkpoint is not null)
            inputs[JobFolder.ResumeFile] = blobs.PathOf(checkpoint);
        var spec = new JobSpec
        {
            JobId = job.FinetuneId.ToString(),
            Fence = job.Fence,
            Name = job.Name,
            ModelId = job.ModelId,
            ModelPath = Path.GetFullPath(model.Path),
            ModelSha256 = modelSha256,
            TrainingData = AssetFiles.TrainingData,
            ValidationData = inputs.ContainsKey(AssetFiles.ValidationData) ? AssetFiles.ValidationData : null,
            Config = job.Config with { Seed = job.Config.Seed ?? job.Seed },
            Threads = settings.ThreadsPerJob,
            MemoryLimitMb = settings.MemoryLimitMb,
            ResumeFrom = checkpoint is null ? null : JobFolder.ResumeFile,
            StartAdapter = inputs.ContainsKey(AssetFiles.StartModel) ? new StartAdapter(AssetFiles.StartConfig, AssetFiles.StartModel) : null,
            CacheFolder = Store.DataFolder.RowsPathOf(settings.DataFolder),
        };
        return JobFolder.Create(settings.DataFolder, spec, inputs);
    }

    private async Task<AttemptResult> RunChildAsync(string command, JobFolder folder, LeaseKeeper lease, EventForwarder events, CancellationToken pause)
    {
        await using TrainerProcess trainer = TrainerProcess.Start(command, folder, settings, logger, clock);
        ChildProcess child = trainer.Child;
        // At once, even while the store keeps this method waiting.
        await using CancellationTokenRegistration kill = lease.Ended.Register(() =>
        {
            if (lease.Reason != LeaseEnd.Stopping)
                child.Kill();
        });
        CrashPoint.Here($"worker.{command}_started");
        bool isTrainer = command == TrainerProcess.Train;
        // The trainer writes a checkpoint first; the proof begins anew from the last one.
        await using CancellationTokenRegistration hold = pause.Register(() =>
        {
            if (isTrainer)
                child.Tell(JobFiles.PauseLine);
            else
                child.Kill();
        });
        try
        {
            TrainerEvent? last = null;
            using var patience = new CancellationTokenSource(Timeout.InfiniteTimeSpan, clock);
            using var reading = CancellationTokenSource.CreateLinkedTokenSource(patience.Token, lease.Ended);
            bool hangs = false, stalls = false;
            try
            {
                patience.CancelAfter(settings.StallAfter);
                await foreach (TrainerEvent e in trainer.ReadEventsAsync(reading.Token))
                {
                    // A slow store is not the trainer's silence.
                    patience.CancelAfter(Timeout.InfiniteTimeSpan);
                    await HandleAsync(e, folder, lease, events);
                    if (e is TrainerEvent.Finished or TrainerEvent.Proven or TrainerEvent.Failed or TrainerEvent.Paused)
                        last = e;
                    patience.CancelAfter(last is null ? settings.StallAfter : settings.StopGrace);
                }
                await child.Exited.WaitAsync(settings.StopGrace, clock, lease.Ended);
            }
            catch (OperationCanceledException) when (last is null && !lease.Ended.IsCancellationRequested)
            {
                LogStalls(logger, job.FinetuneId, child.Id, settings.StallAfter);
                stalls = true;
                child.Kill();
            }
            catch (Exception error) when (error is TimeoutException or OperationCanceledException && !lease.Ended.IsCancellationRequested)
            {
                // It has said its last word, or closed its output, and does not end: native code may hang on its way out.
                LogHangs(logger, job.FinetuneId, child.Id);
                hangs = true;
                child.Kill();
            }
            ChildExit exit = await child.Exited;
            lease.Ended.ThrowIfCancellationRequested();
            return last switch
            {
                TrainerEvent.Failed { Code: JobFiles.DiskFull } => new AttemptResult.NotWritten(Full),
                TrainerEvent.Failed failed => new AttemptResult.Rejected(failed.Code, failed.Text),
                TrainerEvent.Paused => new AttemptResult.Paused(),
                _ when !isTrainer && child.WasKilled && pause.IsCancellationRequested => new AttemptResult.Paused(),
                not null when exit.Code == 0 || hangs => new AttemptResult.Completed(last),
                null when stalls => new AttemptResult.Crashed(string.Create(CultureInfo.InvariantCulture,
                    $"{Who(command)} gave no sign of life for {settings.StallAfter.TotalSeconds:0.#} s{Where()} and was ended.")),
                null when exit.WasAskedToEnd => new AttemptResult.AskedToEnd(),
                null when hangs => new AttemptResult.Crashed($"The trainer closed its output but did not end within {settings.StopGrace.TotalSeconds:0} s."),
                _ => new AttemptResult.Crashed(Describe(command, child, exit)),
            };
        }
        catch (OperationCanceledException) when (lease.Ended.IsCancellationRequested)
        {
            ChildExit exit = lease.Reason == LeaseEnd.Stopping ? await child.StopAsync(settings.StopGrace) : await child.KillAsync();
            LogInterrupted(logger, job.FinetuneId, lease.Reason, exit);
            return new AttemptResult.Interrupted();
        }
        catch (ChildProtocolException error)
        {
            return new AttemptResult.Crashed(error.Message);
        }
    }

    private async Task HandleAsync(TrainerEvent e, JobFolder folder, LeaseKeeper lease, EventForwarder events)
    {
        if (e is TrainerEvent.Checkpoint checkpoint)
        {
            await SaveAsync(checkpoint, folder, lease, events);
            return;
        }
        if (e is TrainerEvent.AdapterSaved adapter)
        {
            await SaveAsync(adapter, folder, lease, events);
            return;
        }
        if (e is TrainerEvent.Step step)
        {
            CrashPoint.Here("worker.step");
            _lastStep = step.Number;
            int stride = Math.Max(1, (step.Of + settings.StepEvents - 1) / settings.StepEvents);
            if (step.Number % stride != 0 && step.Number != step.Of)
                return;
        }
        if (EventTexts.Of(e, again: job.Fence > 1) is { } next)
            await events.AddAsync(next, e is TrainerEvent.Step figures ? EventTexts.Figures(figures, clock.GetUtcNow()) : null, lease.Ended);
    }

    /// <summary>The steps before a checkpoint are stored before it: after a crash nobody would tell of them again.</summary>
    private async Task SaveAsync(TrainerEvent.Checkpoint checkpoint, JobFolder folder, LeaseKeeper lease, EventForwarder events)
    {
        CrashPoint.Here("worker.checkpoint_told");
        try
        {
            (string sha256, _) = await blobs.ImportAsync(folder.Resolve(checkpoint.File), lease.Ended);
            if (sha256 != checkpoint.Sha256)
            {
                LogCheckpointReplaced(logger, job.FinetuneId, checkpoint.AtStep);
                return;
            }
            CrashPoint.Here("worker.checkpoint_stored");
            await events.FlushAsync(lease.Ended);
            AttemptWrite answer = await queue.SaveCheckpointAsync(job.FinetuneId, job.Fence, checkpoint.AtStep, sha256, lease.Ended).WaitAsync(lease.Ended);
            if (answer == AttemptWrite.Lost)
                lease.End(LeaseEnd.Lost);
            CrashPoint.Here("worker.checkpoint_saved");
        }
        catch (FileNotFoundException)
        {
            // The trainer was faster: it keeps the last two, and one of its next lines tells of a newer one.
            LogCheckpointReplaced(logger, job.FinetuneId, checkpoint.AtStep);
        }
        catch (StorageException error)
        {
            // A full disk may have room again before the training ends, which needs no checkpoint to end well.
            LogNotStored(logger, error, job.FinetuneId, checkpoint.AtStep);
            await events.AddAsync(new NewEvent($"The checkpoint of step {checkpoint.AtStep} could not be stored. {Why(error)}.", "warn"), null, lease.Ended);
        }
    }

    /// <summary>The adapter of a step becomes a model of its own.</summary>
    private async Task SaveAsync(TrainerEvent.AdapterSaved adapter, JobFolder folder, LeaseKeeper lease, EventForwarder events)
    {
        var stored = new Dictionary<string, string>();
        try
        {
            foreach (OutputFile file in adapter.Files)
            {
                (string sha256, _) = await blobs.ImportAsync(folder.Resolve(file.Name), lease.Ended);
                if (sha256 != file.Sha256)
                    throw new ChildProtocolException($"The file {file.Name} is not what the trainer wrote: SHA-256 {sha256} instead of {file.Sha256}.");
                stored[Path.GetFileName(file.Name)] = sha256;
                // Nobody else reads it.
                File.Delete(folder.Resolve(file.Name));
            }
            if (!stored.TryGetValue(AssetFiles.AdapterConfig, out string? config) || !stored.TryGetValue(AssetFiles.AdapterModel, out string? weights))
                throw new ChildProtocolException($"The adapter of step {adapter.AtStep} lacks {AssetFiles.AdapterConfig} or {AssetFiles.AdapterModel}.");
            await events.FlushAsync(lease.Ended);
            var checkpoint = new FinetuneCheckpoint
            {
                FinetuneId = job.FinetuneId,
                Step = adapter.AtStep,
                ConfigSha256 = config,
                WeightsSha256 = weights,
                MetricsJson = JsonSerializer.Serialize(adapter.Metrics, JobJson.Default.CheckpointMetrics),
                CreatedAt = clock.GetUtcNow(),
            };
            if (await queue.SaveAdapterAsync(job.FinetuneId, job.Fence, checkpoint, lease.Ended).WaitAsync(lease.Ended) == AttemptWrite.Lost)
                lease.End(LeaseEnd.Lost);
            CrashPoint.Here("worker.adapter_saved");
        }
        catch (FileNotFoundException error)
        {
            throw new ChildProtocolException($"The trainer told of the adapter of step {adapter.AtStep}, which is not there.", error);
        }
        catch (StorageException error)
        {
            LogNotStored(logger, error, job.FinetuneId, adapter.AtStep);
            await events.AddAsync(new NewEvent($"The adapter of step {adapter.AtStep} could not be stored. {Why(error)}.", "warn"), null, lease.Ended);
        }
    }

    /// <summary>Into the blob store, and read back from there. What is wrong, or null.</summary>
    private async Task<string?> StoreAsync(JobFolder folder, OutputFile file, CancellationToken cancellationToken)
    {
        if (Path.GetFileName(file.Name) != file.Name)
            throw new ChildProtocolException($"The trainer named the output '{file.Name}', which is no plain file name.");
        (string sha256, long size) = await blobs.ImportAsync(folder.ResolveOutput(file), cancellationToken);
        if (sha256 != file.Sha256 || size != file.Size)
            return $"The file {file.Name} is not what the trainer wrote: SHA-256 {sha256} and {size} bytes instead of {file.Sha256} and {file.Size}.";
        return await blobs.VerifyAsync(sha256, cancellationToken) ? null : $"The file {file.Name} did not come back from the blob store as it was written. Check the disk.";
    }

    /// <summary>Step 5, or what is to be said instead.</summary>
    private async Task ConcludeAsync(AttemptResult result, LeaseKeeper lease, EventForwarder events)
    {
        // The reason of an interruption stands; a result that came just before it is taken as what it is, and the fence judges.
        LeaseEnd reason = result is AttemptResult.Interrupted ? lease.Reason : LeaseEnd.None;
        if (reason is LeaseEnd.Lost or LeaseEnd.Expired || lease.Reason is LeaseEnd.Lost or LeaseEnd.Expired)
        {
            LogGivenUp(logger, job.FinetuneId, job.Fence, lease.Reason);
            return;
        }
        try
        {
            using var patience = new CancellationTokenSource(FlushTime, clock);
            await events.FlushAsync(patience.Token);
        }
        catch (OperationCanceledException)
        {
            LogNotFlushed(logger, job.FinetuneId);
        }
        catch (System.Threading.Channels.ChannelClosedException)
        {
            // The forwarder has learnt that the job is lost; the writes below will as well.
        }
        AttemptWrite answer = await WriteAsync(result, reason);
        CrashPoint.Here("worker.concluded");
        LogConcluded(logger, job.FinetuneId, result.GetType().Name, answer);
    }

    private async Task<AttemptWrite> WriteAsync(AttemptResult result, LeaseEnd reason)
    {
        Guid id = job.FinetuneId;
        switch (result)
        {
            case AttemptResult.Trained trained:
                CrashPoint.Here("worker.publishing");
                PublishedFile[] files = [.. trained.Files.Select(f => new PublishedFile(f.Name, f.Sha256, f.Size))];
                AttemptWrite published = await queue.PublishAsync(id, job.Fence, files, FinalFigures(trained), CancellationToken.None);
                return published == AttemptWrite.CancelRequested ? await queue.FinishCancelAsync(id, job.Fence, CancellationToken.None) : published;
            case AttemptResult.Rejected rejected:
                return await queue.FailAsync(id, job.Fence, rejected.Code, rejected.Message, CancellationToken.None);
            case AttemptResult.Paused:
                return await queue.ReleaseAsync(id, job.Fence, TimeSpan.Zero, reason: null, countAttempt: false, CancellationToken.None);
            case AttemptResult.NotWritten notWritten:
                return await queue.ReleaseAsync(id, job.Fence, settings.RetryWhenNotWritten, $"{notWritten.Why}. No attempt is used up; the job goes on once it can be written.", countAttempt: false, CancellationToken.None);
            case AttemptResult.Crashed crashed:
                TimeSpan pause = settings.RetryAfter[Math.Min(job.Attempt, settings.RetryAfter.Count) - 1];
                return await queue.ReleaseAsync(id, job.Fence, pause, crashed.Reason, countAttempt: true, CancellationToken.None);
            case AttemptResult.AskedToEnd:
                return await queue.ReleaseAsync(id, job.Fence, settings.RetryAfter[0], "The trainer was asked to end, by other means than a cancellation.", countAttempt: false, CancellationToken.None);
            default:
                return reason == LeaseEnd.CancelRequested
                    ? await queue.FinishCancelAsync(id, job.Fence, CancellationToken.None)
                    : await queue.ReleaseAsync(id, job.Fence, TimeSpan.Zero, "The server shuts down.", countAttempt: false, CancellationToken.None);
        }
    }

    private static string FinalFigures(AttemptResult.Trained trained)
    {
        JsonObject figures = JsonSerializer.SerializeToNode(trained.Metrics, JobJson.Default.FinalMetrics)!.AsObject();
        figures["proof_max_relative_difference"] = trained.Proof.MaxRelativeDifference;
        figures["proof_base_difference"] = trained.Proof.BaseDifference;
        return figures.ToJsonString();
    }

    private string Describe(string command, ChildProcess child, ChildExit exit)
    {
        string why = exit.LooksLikeOutOfMemory && !child.WasKilled
            ? " Out of memory? The system ends processes so; give the machine more, or set a smaller batch_size or max_length." : "";
        string what = $"{Who(command)} ended with {exit}{Where()}.{why}";
        if (child.LastErrors(lines: 200) is not { Length: > 0 } words)
            return what;
        LogLastWords(logger, job.FinetuneId, what, words);
        return LastWords.ForTheUser(words) is { Length: > 0 } text ? $"{what} Its last words: {text}" : what;
    }

    /// <summary>Where the data folder lies is the log's to say.</summary>
    private static string Why(StorageException error) => error.Problem == StorageProblem.DiskFull ? Full : "The server's data folder cannot be written";

    private const string Full = "The server's disk is full";

    private static string Who(string command) => command == TrainerProcess.Prove ? "The proof of the adapter" : "The trainer";

    private string Where() => _lastStep > 0 ? string.Create(CultureInfo.InvariantCulture, $" after step {_lastStep}") : " before its first step";

    private async Task<LeaseEnd> RenewAsync(CancellationToken cancellationToken) =>
        await queue.RenewAsync(job.FinetuneId, job.Fence, settings.Lease, cancellationToken) switch
        {
            AttemptWrite.Lost => LeaseEnd.Lost,
            AttemptWrite.CancelRequested => LeaseEnd.CancelRequested,
            _ => LeaseEnd.None,
        };

    /// <summary>Something happened to the job: mostly this attempt's own events. A look at the row tells whether it is worth a renewal, which then says what.</summary>
    private async Task WatchAsync(StoreSignals.Subscription changed, LeaseKeeper lease, CancellationTokenSource pause, CancellationToken cancellationToken)
    {
        while (true)
        {
            try
            {
                await changed.WaitAsync(settings.PollEvery, cancellationToken);
                await using HoneDbContext db = store.Read();
                var row = await db.Finetunes.Where(f => f.Id == job.FinetuneId && f.Fence == job.Fence && f.State == FinetuneState.Running && !f.CancelRequested)
                    .Select(f => new { f.PauseRequested }).FirstOrDefaultAsync(cancellationToken);
                if (row is { PauseRequested: true })
                    await pause.CancelAsync();
                if (row is null)
                {
                    lease.RenewNow();
                    return;
                }
            }
            catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
            {
                return;
            }
            catch (Exception error)
            {
                LogNotWatched(logger, error, job.FinetuneId);
            }
        }
    }
}
