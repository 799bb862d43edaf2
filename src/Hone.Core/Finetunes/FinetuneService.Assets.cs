using System.Text.Json;
using Hone.Core.Blobs;
using Hone.Core.Files;
using Hone.Core.Store;
using Hone.Formats;
using Hone.Formats.Adapters;
using Hone.Formats.Jobs;
using Hone.Formats.Models;
using Microsoft.EntityFrameworkCore;

namespace Hone.Core.Finetunes;

public sealed partial class FinetuneService
{
    private const int MaximumWarningEvents = 20;

    /// <summary>
    /// Stores a file of a finetune that awaits its assets. <c>training_data.jsonl</c> queues the job; the second of the two adapter files makes the finetune ready.
    /// 1. The name and the finetune are looked at. 2. The bytes go to a temporary file while they are hashed and counted. 3. They are checked.
    /// 4. The file gets its name as a blob, and a row names it. A stream that breaks throws, and nothing remains.
    /// </summary>
    public async Task<UploadResult> UploadAssetAsync(string accountId, string idOrName, string? fileName, Stream content, CancellationToken cancellationToken)
    {
        if (fileName is null || !AssetFiles.Accepted.Contains(fileName))
        {
            return Refuse(UploadRefusal.UnknownFileName, $"{(fileName is null ? "No file name" : FinetuneRules.Quote(fileName))} is not a file that a finetune takes. "
                + $"Accepted are: {string.Join(", ", AssetFiles.Accepted)}.");
        }
        if (await FindAsync(accountId, idOrName, includePublic: false, cancellationToken) is not { } finetune)
            return Refuse(UploadRefusal.FinetuneNotFound, $"Finetune {FinetuneRules.Quote(idOrName)} not found.");
        StagedBlob staged;
        try
        {
            staged = await blobs.StageAsync(content, AssetFiles.Limit(fileName, limits), cancellationToken);
        }
        catch (BlobTooLargeException e)
        {
            return Refuse(UploadRefusal.TooLarge, $"{fileName} is larger than the {e.Limit:N0} bytes allowed.");
        }
        await using (staged)
        {
            while (true)
            {
                if (await FindAsync(accountId, finetune.Id.ToString(), includePublic: false, cancellationToken) is not { } current)
                    return Refuse(UploadRefusal.FinetuneNotFound, $"Finetune {finetune.Id} was deleted meanwhile.");
                IReadOnlyList<FinetuneAsset> companions = await ListAssetsAsync(current.Id, cancellationToken);
                if (Admit(current, companions, fileName, staged.Sha256) is { } settled)
                    return settled;
                AssetVerdict verdict = await check.RunAsync(current, fileName, new CheckedFile(staged.Path, staged.Size), companions, cancellationToken);
                if (verdict.Errors.Count > 0)
                    return new UploadResult.Refused(UploadRefusal.Invalid, verdict.Errors) { Report = verdict.Report };
                staged.Keep();
                UploadResult? result = await writer.RunAsync(db => StoreAsync(db, finetune.Id, fileName, staged, companions, verdict, cancellationToken), cancellationToken);
                if (result is null)
                    continue;
                if (result is UploadResult.Stored stored)
                {
                    signals.NotifyChanged(stored.Finetune.Id);
                    if (stored.Finetune.State == FinetuneState.Queued)
                        signals.NotifyQueued();
                }
                return result;
            }
        }
    }

    public async Task<IReadOnlyList<FinetuneAsset>> ListAssetsAsync(Guid finetuneId, CancellationToken cancellationToken)
    {
        await using HoneDbContext db = store.Read();
        return await db.FinetuneAssets.Where(a => a.FinetuneId == finetuneId).OrderBy(a => a.FileName).ToListAsync(cancellationToken);
    }

    /// <summary>Null when the finetune has no such file.</summary>
    public async Task<AssetContent?> OpenAssetAsync(Guid finetuneId, string fileName, CancellationToken cancellationToken)
    {
        await using HoneDbContext db = store.Read();
        FinetuneAsset? asset = await db.FinetuneAssets.FirstOrDefaultAsync(a => a.FinetuneId == finetuneId && a.FileName == fileName, cancellationToken);
        return asset is null ? null : new AssetContent(asset, blobs.OpenRead(asset.Sha256, asset.Size));
    }

    /// <summary>
    /// The adapter in another program's form, made while it is read: <see cref="AdapterExport.GgufFileName"/> or <see cref="AdapterExport.MergedFileName"/>.
    /// Null when the name is neither or the finetune has no adapter. Throws <see cref="InvalidFileException"/> where the form does not exist for the base.
    /// </summary>
    public async Task<AdapterExport?> ExportAsync(Finetune finetune, string fileName, CancellationToken cancellationToken)
    {
        if (fileName is not (AdapterExport.GgufFileName or AdapterExport.MergedFileName))
            return null;
        IReadOnlyList<FinetuneAsset> assets = await ListAssetsAsync(finetune.Id, cancellationToken);
        if (finetune.State != FinetuneState.Ready || Sha256(AssetFiles.AdapterConfig) is not { } config || Sha256(AssetFiles.AdapterModel) is not { } weights)
            return null;
        BaseModel model = await models.OpenAsync(finetune.Model, cancellationToken);
        string configPath = await blobs.VerifiedPathAsync(config, cancellationToken), weightsPath = await blobs.VerifiedPathAsync(weights, cancellationToken);
        return await Task.Run(() => fileName == AdapterExport.GgufFileName
            ? AdapterExport.OpenGguf(configPath, weightsPath, model.Weights)
            : AdapterExport.OpenMerged(configPath, weightsPath, model.Weights), cancellationToken);

        string? Sha256(string name) => assets.FirstOrDefault(a => a.FileName == name)?.Sha256;
    }

    /// <summary>Null when other files came while this one was checked against those it had: it must be checked again.</summary>
    private async Task<UploadResult?> StoreAsync(
        HoneDbContext db, Guid id, string fileName, StagedBlob staged, IReadOnlyList<FinetuneAsset> companions, AssetVerdict verdict, CancellationToken cancellationToken)
    {
        if (await db.Finetunes.FirstOrDefaultAsync(f => f.Id == id, cancellationToken) is not { } finetune)
            return Refuse(UploadRefusal.FinetuneNotFound, $"Finetune {id} was deleted meanwhile.");
        List<FinetuneAsset> assets = await db.FinetuneAssets.AsNoTracking().Where(a => a.FinetuneId == id).OrderBy(a => a.FileName).ToListAsync(cancellationToken);
        if (Admit(finetune, assets, fileName, staged.Sha256) is { } refused)
            return refused;
        if (!assets.Select(a => a.Sha256).SequenceEqual(companions.Select(a => a.Sha256)))
            return null;
        (Start? start, string? missing) = verdict.Config?.StartFrom is { } from ? await FindStartAsync(db, finetune.AccountId, from, cancellationToken) : (null, null);
        if (start is not null && start.BaseModel != finetune.Model)
            missing = $"{FinetuneRules.QuoteModel(start.Name)} is a fine-tuned {start.BaseModel}, and this finetune's base is {finetune.Model}.";
        if (missing is not null)
            return Refuse(UploadRefusal.Invalid, $"{fileName}: $.start_from: {missing}");
        DateTimeOffset now = await EventLog.NowAsync(db, cancellationToken);
        FinetuneAsset asset = AddAsset(db, finetune, fileName, staged.Sha256, staged.Size, now);
        AddStart(db, finetune, start, now);
        finetune.ModifiedAt = now;
        if (verdict.Config is { } config)
            finetune.ConfigJson = JsonSerializer.Serialize(config with { StartFrom = start?.Name }, JobJson.Default.TrainingConfig);
        if (fileName is AssetFiles.TrainingData or AssetFiles.ValidationData)
        {
            var file = new StoredFile
            {
                Id = StoredFile.NewId(now),
                AccountId = finetune.AccountId,
                FinetuneId = id,
                FileName = fileName,
                Purpose = StoredFile.FineTune,
                Sha256 = staged.Sha256,
                Size = staged.Size,
                CreatedAt = now,
            };
            db.Files.Add(file);
            if (fileName == AssetFiles.TrainingData)
                finetune.TrainingFileId = file.Id;
            else
                finetune.ValidationFileId = file.Id;
        }
        List<NewEvent> events = [.. verdict.Warnings.Take(MaximumWarningEvents).Select(w => new NewEvent(w, "warn"))];
        if (fileName == AssetFiles.TrainingData)
        {
            finetune.MoveTo(FinetuneState.Validating, now);
            finetune.MoveTo(FinetuneState.Queued, now);
            events.Insert(0, new NewEvent($"Validating training file: {fileName}"));
            events.Add(new NewEvent(EventLog.Validated));
        }
        else if (AssetFiles.IsAdapter(fileName) && assets.Exists(a => AssetFiles.IsAdapter(a.FileName)))
        {
            finetune.MoveTo(FinetuneState.Ready, now);
            events.Add(new NewEvent($"New fine-tuned model created: {FinetuneRules.ModelName(finetune)}"));
            events.Add(new NewEvent("The job has successfully completed"));
        }
        await db.SaveChangesAsync(cancellationToken);
        await EventLog.AppendAsync(db, id, events, cancellationToken);
        return new UploadResult.Stored(asset, finetune, verdict.Warnings) { Report = verdict.Report };
    }

    private static FinetuneAsset AddAsset(HoneDbContext db, Finetune finetune, string fileName, string sha256, long size, DateTimeOffset now)
    {
        var asset = new FinetuneAsset { FinetuneId = finetune.Id, FileName = fileName, Sha256 = sha256, Size = size, CreatedAt = now };
        db.FinetuneAssets.Add(asset);
        return asset;
    }

    /// <summary>Null when the finetune takes the file as far as its state and its other files go.</summary>
    private static UploadResult? Admit(Finetune finetune, IReadOnlyList<FinetuneAsset> assets, string fileName, string sha256)
    {
        if (assets.FirstOrDefault(a => a.FileName == fileName) is { } existing)
        {
            return existing.Sha256 == sha256 ? new UploadResult.SameAgain(existing, finetune)
                : Refuse(UploadRefusal.AlreadyStored, $"{fileName} is stored already, with other bytes (SHA-256 {existing.Sha256}). Files cannot be replaced; create another finetune.");
        }
        if (finetune.State != FinetuneState.AwaitingAssets)
            return Refuse(UploadRefusal.WrongState, $"Finetune {finetune.Id} is {finetune.State.Name()} and takes no more files; create another finetune.");
        return assets.FirstOrDefault(a => AssetFiles.IsAdapter(a.FileName) != AssetFiles.IsAdapter(fileName)) is not { } other ? null
            : Refuse(UploadRefusal.WrongState, $"Finetune {finetune.Id} has {other.FileName}: it takes {(AssetFiles.IsAdapter(other.FileName) ? "an adapter" : "training data")}, not {fileName}; create another finetune.");
    }

    private static UploadResult.Refused Refuse(UploadRefusal reason, params string[] errors) => new(reason, errors);
}
