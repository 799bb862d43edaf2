using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using Hone.Core.Files;
using Hone.Core.Store;
using Hone.Formats.Jobs;
using Hone.Formats.TrainingData;
using Microsoft.EntityFrameworkCore;

namespace Hone.Core.Finetunes;

public sealed partial class FinetuneService
{
    /// <summary>Errors that a failed job names; the others are counted.</summary>
    private const int MaximumErrors = 20;

    /// <summary>How a job is called where the other dialect has only its finetune's id.</summary>
    public static string JobId(Guid finetune) => $"ftjob-{finetune:n}";

    /// <summary>
    /// Makes a finetune of files that are stored: it is validating, and <see cref="JobValidation"/> queues it or fails it. Everything that the request alone shows
    /// is checked before anything is written; the answer has all errors.
    /// </summary>
    public async Task<CreateResult> CreateJobAsync(string accountId, CreateJob request, CancellationToken cancellationToken)
    {
        var errors = new List<CreateError>();
        string? start = request.Model is not null && FinetuneRules.TryParseModelName(request.Model, out _, out _) ? request.Model : null;
        if (start is not null)
        {
            await using HoneDbContext db = store.Read();
            (Start? found, string? error) = await FindStartAsync(db, accountId, start, cancellationToken);
            if (found is null)
                errors.Add(new(CreateErrorCode.UnknownModel, "model", error!));
            else
                request = request with { Model = found.BaseModel };
        }
        if (errors.Count == 0 && await models.FindAsync(request.Model, cancellationToken) is null)
            errors.Add(await UnknownModelAsync(request.Model, cancellationToken));
        errors.AddRange(FinetuneRules.CheckSuffix(request.Suffix, limits));
        if (request.TrainingFile is null)
            errors.Add(new(CreateErrorCode.UnknownFile, "training_file", "training_file is required: the id of a file."));
        if (errors.Count > 0)
            return new CreateResult.Invalid(errors);
        CreateResult result = await writer.RunAsync(db => AddJobAsync(db, accountId, request, start, cancellationToken), cancellationToken);
        if (result is CreateResult.Created)
            signals.NotifyFilesToCheck();
        return result;
    }

    /// <param name="start">The fine-tuned model that the job goes on with; null: it begins with the base.</param>
    private async Task<CreateResult> AddJobAsync(HoneDbContext db, string accountId, CreateJob request, string? start, CancellationToken cancellationToken)
    {
        var errors = new List<CreateError>();
        // Asked again: what it names now is what stays.
        (Start? from, string? missing) = start is null ? (null, null) : await FindStartAsync(db, accountId, start, cancellationToken);
        if (missing is not null)
            errors.Add(new(CreateErrorCode.UnknownModel, "model", missing));
        StoredFile? training = await FileAsync("training_file", request.TrainingFile!);
        StoredFile? validation = request.ValidationFile is null ? null : await FileAsync("validation_file", request.ValidationFile);
        if (await FinetuneRows.CountAsync(db, accountId, cancellationToken) >= limits.FinetunesPerAccount)
            errors.Add(TooMany);
        if (errors.Count > 0 || training is null)
            return new CreateResult.Invalid(errors);
        DateTimeOffset now = await EventLog.NowAsync(db, cancellationToken);
        var id = Guid.CreateVersion7(now);
        var finetune = new Finetune
        {
            Id = id,
            AccountId = accountId,
            Name = $"{request.Suffix ?? "ftjob"}-{id:n}",
            Suffix = request.Suffix,
            IsJob = true,
            Model = request.Model!,
            Seed = request.Seed ?? Random.Shared.Next(),
            TrainingFileId = training.Id,
            ValidationFileId = validation?.Id,
            MetadataJson = request.Metadata is null ? null
                : new JsonObject(request.Metadata.Select(m => KeyValuePair.Create(m.Key, (JsonNode?)JsonValue.Create(m.Value)))).ToJsonString(),
            ConfigJson = JsonSerializer.Serialize(request.Config with { StartFrom = from?.Name }, JobJson.Default.TrainingConfig),
            CreatedAt = now,
            ModifiedAt = now,
        };
        finetune.MoveTo(FinetuneState.Validating, now);
        db.Finetunes.Add(finetune);
        AddAsset(db, finetune, AssetFiles.TrainingData, training.Sha256, training.Size, now);
        if (validation is not null)
            AddAsset(db, finetune, AssetFiles.ValidationData, validation.Sha256, validation.Size, now);
        AddStart(db, finetune, from, now);
        await db.SaveChangesAsync(cancellationToken);
        string also = validation is null ? "" : $" and validation file: {validation.Id}";
        await EventLog.AppendAsync(db, id, [new NewEvent($"Created fine-tuning job: {JobId(id)}"), new NewEvent($"Validating training file: {training.Id}{also}")], cancellationToken);
        return new CreateResult.Created(finetune);

        async Task<StoredFile?> FileAsync(string field, string fileId)
        {
            StoredFile? file = await db.Files.AsNoTracking().FirstOrDefaultAsync(f => f.AccountId == accountId && f.Id == fileId, cancellationToken);
            if (file is null)
                errors.Add(new(CreateErrorCode.UnknownFile, field, $"File {FinetuneRules.Quote(fileId)} does not exist."));
            else if (file.Purpose != StoredFile.FineTune)
                errors.Add(new(CreateErrorCode.UnknownFile, field, $"File {file.Id} has the purpose {file.Purpose}; one with the purpose {StoredFile.FineTune} is needed."));
            return file;
        }
    }

    /// <summary>Checks the files of a job that is validating; it is queued, or failed with its errors.</summary>
    internal async Task ValidateAsync(Guid id, CancellationToken cancellationToken)
    {
        Finetune? finetune;
        await using (HoneDbContext db = store.Read())
            finetune = await db.Finetunes.FirstOrDefaultAsync(f => f.Id == id && f.State == FinetuneState.Validating, cancellationToken);
        if (finetune is null)
            return;
        IReadOnlyList<FinetuneAsset> assets = await ListAssetsAsync(id, cancellationToken);
        var errors = new List<string>();
        var warnings = new List<string>();
        string? failure = null;
        foreach (string name in (string[])[AssetFiles.ValidationData, AssetFiles.TrainingData])
        {
            if (assets.FirstOrDefault(a => a.FileName == name) is not { } asset)
                continue;
            // Once it is known to be broken, the validation file is not held against the other.
            FinetuneAsset[] companions = [.. assets.Where(a => a.FileName == AssetFiles.ValidationData && name == AssetFiles.TrainingData && failure is null)];
            AssetVerdict verdict = await check.RunAsync(finetune, name, new CheckedFile(blobs.PathOf(asset.Sha256), asset.Size), companions, cancellationToken);
            string file = name == AssetFiles.TrainingData ? LintIssue.TrainingFile : LintIssue.ValidationFile;
            if (verdict.Errors.Count > 0)
                failure ??= $"invalid_{verdict.Report?.Errors[0].File ?? file}_file";
            errors.AddRange(verdict.Report?.Errors.Select(e => (e with { File = e.File ?? file }).ToString()) ?? verdict.Errors);
            warnings.AddRange(verdict.Warnings);
        }
        await EndValidationAsync(id, failure, errors, warnings, cancellationToken);
    }

    /// <summary>The job is queued; with a failure's code it fails with the errors.</summary>
    internal async Task EndValidationAsync(Guid id, string? failure, IReadOnlyList<string> errors, IReadOnlyList<string> warnings, CancellationToken cancellationToken)
    {
        bool queued = await writer.RunAsync(async db =>
        {
            if (await db.Finetunes.FirstOrDefaultAsync(f => f.Id == id && f.State == FinetuneState.Validating, cancellationToken) is not { } current)
                return false;
            DateTimeOffset now = await EventLog.NowAsync(db, cancellationToken);
            List<NewEvent> events = [.. warnings.Take(MaximumWarningEvents).Select(w => new NewEvent(w, "warn"))];
            if (failure is null)
            {
                current.MoveTo(FinetuneState.Queued, now);
                events.Add(new NewEvent(EventLog.Validated));
            }
            else
            {
                current.MoveTo(FinetuneState.Failed, now);
                current.ErrorCode = failure;
                current.ErrorMessage = Summary(errors);
                events.Add(new NewEvent(current.ErrorMessage, "error"));
            }
            await db.SaveChangesAsync(cancellationToken);
            await EventLog.AppendAsync(db, id, events, cancellationToken);
            return failure is null;
        }, cancellationToken);
        signals.NotifyChanged(id);
        if (queued)
            signals.NotifyQueued();
    }

    private static string Summary(IReadOnlyList<string> errors)
    {
        string all = string.Join('\n', errors.Take(MaximumErrors));
        return errors.Count <= MaximumErrors ? all : string.Create(CultureInfo.InvariantCulture, $"{all}\nAnd {errors.Count - MaximumErrors} errors more; `hone lint` names all.");
    }

    /// <summary>
    /// A job that waits is held back at once. One that runs is marked: its worker tells the trainer to write a checkpoint and go; then it is paused.
    /// </summary>
    public Task<HoldResult> PauseAsync(string accountId, string idOrName, CancellationToken cancellationToken) => HoldAsync(accountId, idOrName, (finetune, now) =>
    {
        switch (finetune.State)
        {
            case FinetuneState.Queued:
                finetune.MoveTo(FinetuneState.Paused, now);
                return (EventLog.Paused, null);
            case FinetuneState.Running when !finetune.CancelRequested:
                finetune.PauseRequested = true;
                return (null, null);
            case FinetuneState.Paused:
                return (null, null);
            case FinetuneState.Validating:
                return (null, "The job's files are being checked still; it can be paused once it is queued.");
            default:
                return (null, $"The job {Standing(finetune)}; only one that is queued or running can be paused.");
        }
    }, cancellationToken);

    /// <summary>Queues a paused job, which goes on from its checkpoint; takes back a pause that was asked for and is not there yet.</summary>
    public Task<HoldResult> ResumeAsync(string accountId, string idOrName, CancellationToken cancellationToken) => HoldAsync(accountId, idOrName, (finetune, now) =>
    {
        if (finetune.State == FinetuneState.Paused)
        {
            finetune.MoveTo(FinetuneState.Queued, now);
            return (EventLog.Resumed, null);
        }
        if (finetune is not { State: FinetuneState.Running, PauseRequested: true, CancelRequested: false })
            return (null, $"The job {Standing(finetune)}; only a paused one can be resumed.");
        finetune.PauseRequested = false;
        return (null, null);
    }, cancellationToken);

    /// <summary>In words that are those of neither dialect's states.</summary>
    private static string Standing(Finetune finetune) => finetune switch
    {
        { State: FinetuneState.Ready } => "has succeeded",
        { State: FinetuneState.Failed } => "has failed",
        { State: FinetuneState.Cancelled } => "was cancelled",
        { CancelRequested: true } => "is being cancelled",
        { State: FinetuneState.AwaitingAssets } => "waits for its files",
        { State: FinetuneState.Validating } => "has its files checked",
        _ => $"is {finetune.State.Name()}",
    };

    /// <param name="change">What to tell of, or why not.</param>
    private async Task<HoldResult> HoldAsync(string accountId, string idOrName, Func<Finetune, DateTimeOffset, (string? Event, string? Refusal)> change, CancellationToken cancellationToken)
    {
        HoldResult result = await writer.RunAsync(async db =>
        {
            if (await FindAsync(db, accountId, idOrName, includePublic: false, cancellationToken) is not { } finetune)
                return (HoldResult)new HoldResult.NotFound();
            db.Finetunes.Update(finetune);
            DateTimeOffset now = await EventLog.NowAsync(db, cancellationToken);
            (string? text, string? refusal) = change(finetune, now);
            if (refusal is not null)
                return new HoldResult.Refused(finetune, refusal);
            await db.SaveChangesAsync(cancellationToken);
            if (text is not null)
                await EventLog.AppendAsync(db, finetune.Id, [new NewEvent(text)], cancellationToken);
            return new HoldResult.Accepted(finetune);
        }, cancellationToken);
        if (result is HoldResult.Accepted accepted)
        {
            signals.NotifyChanged(accepted.Finetune.Id);
            if (accepted.Finetune.State == FinetuneState.Queued)
                signals.NotifyQueued();
        }
        return result;
    }

    /// <summary>The newest first.</summary>
    public async Task<IReadOnlyList<FinetuneCheckpoint>> ListCheckpointsAsync(Guid finetuneId, CancellationToken cancellationToken)
    {
        await using HoneDbContext db = store.Read();
        return await db.FinetuneCheckpoints.Where(c => c.FinetuneId == finetuneId).OrderByDescending(c => c.Step).ToListAsync(cancellationToken);
    }

    /// <summary>The hyperparameters that trainers have resolved, by finetune; of those that have begun.</summary>
    public async Task<IReadOnlyDictionary<Guid, IReadOnlyList<Setting>>> SettingsAsync(IReadOnlyCollection<Guid> finetunes, CancellationToken cancellationToken)
    {
        await using HoneDbContext db = store.Read();
        // They stand behind the warnings of the files, before the first step.
        var events = await db.FinetuneEvents.Where(e => finetunes.Contains(e.FinetuneId) && e.Sequence < 100 && e.DataJson != null && e.Message.StartsWith("Settings: "))
            .Select(e => new { e.FinetuneId, e.DataJson }).ToListAsync(cancellationToken);
        return events.DistinctBy(e => e.FinetuneId).ToDictionary(e => e.FinetuneId, e => JsonSerializer.Deserialize(e.DataJson!, JobJson.Default.Settings)!.Values);
    }

    /// <summary>Events before a sequence number, the newest first.</summary>
    public async Task<IReadOnlyList<FinetuneEvent>> ListEventsBeforeAsync(Guid finetuneId, long beforeSequence, int limit, CancellationToken cancellationToken)
    {
        await using HoneDbContext db = store.Read();
        return await db.FinetuneEvents.Where(e => e.FinetuneId == finetuneId && e.Sequence < beforeSequence)
            .OrderByDescending(e => e.Sequence).Take(limit).ToListAsync(cancellationToken);
    }

    /// <summary>The finetune, own or public, that has this model's name; with the step where the name is a checkpoint's.</summary>
    public async Task<(Finetune Finetune, FinetuneCheckpoint? Checkpoint)?> FindModelAsync(string accountId, string modelName, CancellationToken cancellationToken)
    {
        await using HoneDbContext db = store.Read();
        return await FindModelAsync(db, accountId, modelName, cancellationToken);
    }

    private static async Task<(Finetune Finetune, FinetuneCheckpoint? Checkpoint)?> FindModelAsync(HoneDbContext db, string accountId, string modelName, CancellationToken cancellationToken)
    {
        if (!FinetuneRules.TryParseModelName(modelName, out Guid id, out int? step) || await FindAsync(db, accountId, id.ToString("D"), includePublic: true, cancellationToken) is not { } finetune)
            return null;
        if (modelName != (step is { } number ? FinetuneRules.CheckpointName(finetune, number) : FinetuneRules.ModelName(finetune)))
            return null;
        if (step is null)
            return (finetune, null);
        FinetuneCheckpoint? checkpoint = await db.FinetuneCheckpoints.AsNoTracking().FirstOrDefaultAsync(c => c.FinetuneId == id && c.Step == step, cancellationToken);
        return checkpoint is null ? null : (finetune, checkpoint);
    }

    /// <summary>An adapter that a training goes on with.</summary>
    /// <param name="Name">The model's or checkpoint's.</param>
    private sealed record Start(string Name, string BaseModel, string ConfigSha256, string WeightsSha256);

    /// <param name="name">A model's or checkpoint's name, or a finetune's id or name; of the account's own.</param>
    private static async Task<(Start? Start, string? Error)> FindStartAsync(HoneDbContext db, string accountId, string name, CancellationToken cancellationToken)
    {
        (Finetune? finetune, FinetuneCheckpoint? checkpoint) = FinetuneRules.TryParseModelName(name, out _, out _)
            ? await FindModelAsync(db, accountId, name, cancellationToken) ?? default
            : (await FindAsync(db, accountId, name, includePublic: false, cancellationToken), null);
        if (finetune?.AccountId != accountId)
            return (null, $"There is no fine-tuned model {FinetuneRules.QuoteModel(name)} in this account to go on with.");
        if (checkpoint is not null)
            return (new Start(FinetuneRules.CheckpointName(finetune, checkpoint.Step), finetune.Model, checkpoint.ConfigSha256, checkpoint.WeightsSha256), null);
        if (finetune.State != FinetuneState.Ready)
            return (null, $"{FinetuneRules.QuoteModel(name)} {Standing(finetune)}: a training goes on with a finetune that is ready, or with a checkpoint.");
        Dictionary<string, string> adapter = await db.FinetuneAssets.Where(a => a.FinetuneId == finetune.Id && (a.FileName == AssetFiles.AdapterConfig || a.FileName == AssetFiles.AdapterModel))
            .ToDictionaryAsync(a => a.FileName, a => a.Sha256, cancellationToken);
        return (new Start(FinetuneRules.ModelName(finetune), finetune.Model, adapter[AssetFiles.AdapterConfig], adapter[AssetFiles.AdapterModel]), null);
    }

    private void AddStart(HoneDbContext db, Finetune finetune, Start? start, DateTimeOffset now)
    {
        if (start is null)
            return;
        AddAsset(db, finetune, AssetFiles.StartConfig, start.ConfigSha256, new FileInfo(blobs.PathOf(start.ConfigSha256)).Length, now);
        AddAsset(db, finetune, AssetFiles.StartModel, start.WeightsSha256, new FileInfo(blobs.PathOf(start.WeightsSha256)).Length, now);
    }
}
