using Hone.Core.Blobs;
using Hone.Core.Models;
using Hone.Core.Store;
using Microsoft.EntityFrameworkCore;

namespace Hone.Core.Finetunes;

/// <summary>What clients do with finetunes. Expected failures are results; <see cref="StorageException"/> is thrown when the disk does not do its part.</summary>
public sealed partial class FinetuneService(HoneStore store, StoreWriter writer, StoreSignals signals, BlobStore blobs, ModelCatalog models, AssetCheck check, HoneLimits limits)
{
    /// <summary>Checks everything before anything is written; the answer has all errors.</summary>
    public async Task<CreateResult> CreateAsync(string accountId, CreateFinetune request, CancellationToken cancellationToken)
    {
        var errors = new List<CreateError>();
        if (await models.FindAsync(request.Model, cancellationToken) is null)
            errors.Add(await UnknownModelAsync(request.Model, cancellationToken));
        errors.AddRange(FinetuneRules.CheckName(request.Name, limits));
        errors.AddRange(FinetuneRules.CheckDescription(request.Description, limits));
        if (errors.Count > 0)
            return new CreateResult.Invalid(errors);
        return await writer.RunPreparedAsync(statements =>
        {
            FinetuneRows.Standing standing = FinetuneRows.Stand(statements, accountId, request.Name!);
            if (standing.ExistingId is { } existing)
                return (CreateResult)new CreateResult.DuplicateName(existing, $"A finetune named {FinetuneRules.Quote(request.Name!)} exists already in this account: {existing}. Choose another name, or delete that one.");
            if (standing.Count >= limits.FinetunesPerAccount)
                return new CreateResult.Invalid([TooMany]);
            var finetune = new Finetune
            {
                // Ids that grow with time are stored side by side: a commit of many writes few pages.
                Id = Guid.CreateVersion7(standing.Now),
                AccountId = accountId,
                Name = request.Name!,
                Model = request.Model!,
                Description = request.Description,
                Public = request.Public,
                Seed = request.Seed,
                CreatedAt = standing.Now,
                ModifiedAt = standing.Now,
            };
            FinetuneRows.Insert(statements, finetune, $"Created fine-tuning job: {finetune.Id}");
            return new CreateResult.Created(finetune);
        }, cancellationToken);
    }

    private CreateError TooMany => new(CreateErrorCode.TooManyFinetunes, null, $"The account has {limits.FinetunesPerAccount} finetunes, as many as are allowed; delete some first.");

    /// <summary>The account's own, oldest first.</summary>
    public async Task<IReadOnlyList<Finetune>> ListAsync(string accountId, CancellationToken cancellationToken)
    {
        await using HoneDbContext db = store.Read();
        return await db.Finetunes.Where(f => f.AccountId == accountId).OrderBy(f => f.CreatedAt).ThenBy(f => f.Id).ToListAsync(cancellationToken);
    }

    /// <summary>Public finetunes of all accounts.</summary>
    public async Task<IReadOnlyList<Finetune>> ListPublicAsync(int limit, int offset, PublicOrder orderBy, CancellationToken cancellationToken)
    {
        await using HoneDbContext db = store.Read();
        IQueryable<Finetune> all = db.Finetunes.Where(f => f.Public);
        IOrderedQueryable<Finetune> ordered = orderBy switch
        {
            PublicOrder.Name => all.OrderBy(f => f.Name),
            PublicOrder.ModifiedAt => all.OrderBy(f => f.ModifiedAt),
            _ => all.OrderBy(f => f.CreatedAt),
        };
        return await ordered.ThenBy(f => f.Id).Skip(offset).Take(limit).ToListAsync(cancellationToken);
    }

    /// <summary>Public finetunes of all accounts, counted.</summary>
    public async Task<int> CountPublicAsync(CancellationToken cancellationToken)
    {
        await using HoneDbContext db = store.Read();
        return await db.Finetunes.CountAsync(f => f.Public, cancellationToken);
    }

    /// <summary>By id or by name: the account's own first, then, where asked for, public ones of others (of several with one name, the oldest that is ready, else the oldest), which <c>cf-public-NAME</c> names as well.</summary>
    public async Task<Finetune?> FindAsync(string accountId, string idOrName, bool includePublic, CancellationToken cancellationToken)
    {
        await using HoneDbContext db = store.Read();
        return await FindAsync(db, accountId, idOrName, includePublic, cancellationToken);
    }

    /// <summary>
    /// A job that waits is cancelled at once. One that runs is marked: its worker stops the trainer and ends it, and from now on it can never become ready.
    /// </summary>
    public async Task<CancelResult> CancelAsync(string accountId, string idOrName, CancellationToken cancellationToken)
    {
        CancelResult result = await writer.RunAsync(async db =>
        {
            if (await FindAsync(db, accountId, idOrName, includePublic: false, cancellationToken) is not { } finetune)
                return (CancelResult)new CancelResult.NotFound();
            if (finetune.State.IsFinal() || finetune.CancelRequested)
                return new CancelResult.AlreadyEnded($"The job {Standing(finetune)} already; there is nothing to cancel.");
            db.Finetunes.Update(finetune);
            DateTimeOffset now = await EventLog.NowAsync(db, cancellationToken);
            finetune.CancelRequested = true;
            finetune.ModifiedAt = now;
            if (finetune.State != FinetuneState.Running)
            {
                finetune.MoveTo(FinetuneState.Cancelled, now);
                finetune.CheckpointBlob = null;
                await db.SaveChangesAsync(cancellationToken);
                await EventLog.AppendAsync(db, finetune.Id, [new NewEvent(EventLog.Cancelled)], cancellationToken);
            }
            else
            {
                await db.SaveChangesAsync(cancellationToken);
            }
            return new CancelResult.Accepted(finetune);
        }, cancellationToken);
        if (result is CancelResult.Accepted accepted)
            signals.NotifyChanged(accepted.Finetune.Id);
        return result;
    }

    /// <summary>Removes the finetune with its files and events. A worker that runs it finds its next write lost and stops. Null when there is none.</summary>
    public async Task<Finetune?> DeleteAsync(string accountId, string idOrName, CancellationToken cancellationToken)
    {
        Finetune? deleted = await writer.RunFreeingAsync(async db =>
        {
            if (await FindAsync(db, accountId, idOrName, includePublic: false, cancellationToken) is not { } finetune)
                return null;
            await db.Finetunes.Where(f => f.Id == finetune.Id).ExecuteDeleteAsync(cancellationToken);
            return finetune;
        }, cancellationToken);
        if (deleted is not null)
        {
            signals.NotifyChanged(deleted.Id);
            signals.NotifyDeleted();
        }
        return deleted;
    }

    // Compiled once: these are asked with nearly every call.
    private static readonly Func<HoneDbContext, Guid, string, bool, CancellationToken, Task<Finetune?>> ById = EF.CompileAsyncQuery(
        (HoneDbContext db, Guid id, string accountId, bool includePublic, CancellationToken _) =>
            db.Finetunes.AsNoTracking().FirstOrDefault(f => f.Id == id && (f.AccountId == accountId || (includePublic && f.Public))));

    private static readonly Func<HoneDbContext, string, string, CancellationToken, Task<Finetune?>> ByName = EF.CompileAsyncQuery(
        (HoneDbContext db, string accountId, string name, CancellationToken _) => db.Finetunes.AsNoTracking().FirstOrDefault(f => f.AccountId == accountId && f.Name == name));

    private static readonly Func<HoneDbContext, string, CancellationToken, Task<Finetune?>> PublicByName = EF.CompileAsyncQuery(
        (HoneDbContext db, string name, CancellationToken _) => db.Finetunes.AsNoTracking().Where(f => f.Public && f.Name == name).OrderByDescending(f => f.State == FinetuneState.Ready).ThenBy(f => f.CreatedAt).ThenBy(f => f.Id).FirstOrDefault());

    private static async Task<Finetune?> FindAsync(HoneDbContext db, string accountId, string idOrName, bool includePublic, CancellationToken cancellationToken)
    {
        if (Guid.TryParseExact(idOrName, "D", out Guid id) && await ById(db, id, accountId, includePublic, cancellationToken) is { } byId)
            return byId;
        if (await ByName(db, accountId, idOrName, cancellationToken) is { } own)
            return own;
        if (!includePublic)
            return null;
        return await PublicByName(db, idOrName, cancellationToken)
            ?? (idOrName.StartsWith(FinetuneRules.PublicPrefix, StringComparison.Ordinal) ? await PublicByName(db, idOrName[FinetuneRules.PublicPrefix.Length..], cancellationToken) : null);
    }

    private async Task<CreateError> UnknownModelAsync(string? model, CancellationToken cancellationToken)
    {
        string known = string.Join(", ", (await models.ListAsync(cancellationToken)).Take(5).Select(m => m.Id));
        string message = string.IsNullOrEmpty(model) ? $"model is required, for example {known}."
            : $"The model {FinetuneRules.Quote(model)} is not known here. Known are: {known}. `hone models add` adds one.";
        return new CreateError(CreateErrorCode.UnknownModel, "model", message);
    }
}
