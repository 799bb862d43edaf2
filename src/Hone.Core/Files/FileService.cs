using Hone.Core.Blobs;
using Hone.Core.Finetunes;
using Hone.Core.Store;
using Microsoft.EntityFrameworkCore;

namespace Hone.Core.Files;

/// <summary>The files of an account: at once, or in parts. Expected failures are results; <see cref="StorageException"/> is thrown when the disk does not do its part.</summary>
public sealed partial class FileService(HoneStore store, StoreWriter writer, BlobStore blobs, StoreSignals signals, HoneLimits limits)
{
    private const int MaxNameLength = 255;

    /// <summary>Bytes of a file.</summary>
    public long Limit => limits.TrainingDataBytes;

    /// <summary>Every error of a file that is still to come.</summary>
    public static IReadOnlyList<FileRefusal> Check(string? fileName, string? purpose)
    {
        var errors = new List<FileRefusal>();
        if (purpose is null)
            errors.Add(Invalid("purpose", $"'purpose' is a required property: '{StoredFile.FineTune}'."));
        else if (purpose != StoredFile.FineTune)
            errors.Add(Invalid("purpose", $"{FinetuneRules.Quote(purpose)} is not one of ['{StoredFile.FineTune}']: files here are for fine-tuning."));
        if (string.IsNullOrEmpty(fileName) || fileName.Length > MaxNameLength || fileName.Any(char.IsControl))
            errors.Add(Invalid("file", $"The file needs a name of 1 to {MaxNameLength} printable characters."));
        return errors;
    }

    /// <summary>Takes a stream to its end; nothing remains of it unless it is given to <see cref="AddAsync"/>.</summary>
    public async Task<FileResult<StagedBlob>> StageAsync(Stream content, CancellationToken cancellationToken)
    {
        StagedBlob staged;
        try
        {
            staged = await blobs.StageAsync(content, limits.TrainingDataBytes, cancellationToken);
        }
        catch (BlobTooLargeException e)
        {
            return new FileRefusal(FileRefusalReason.TooLarge, "file", $"The file is larger than the {e.Limit} bytes allowed.");
        }
        if (staged.Size > 0)
            return staged;
        await staged.DisposeAsync();
        return Invalid("file", "The file is empty.");
    }

    /// <summary>Gives a staged file its name and its row. Throws where <see cref="Check"/> finds errors.</summary>
    public async Task<StoredFile> AddAsync(string accountId, string fileName, string purpose, StagedBlob staged, CancellationToken cancellationToken)
    {
        if (Check(fileName, purpose) is [var error, ..])
            throw new ArgumentException(error.Message, nameof(fileName));
        staged.Keep();
        return await writer.RunAsync(async db =>
        {
            StoredFile file = await NewAsync(db, accountId, fileName, purpose, staged, cancellationToken);
            await db.SaveChangesAsync(cancellationToken);
            return file;
        }, cancellationToken);
    }

    /// <summary>A page of the account's files. Null where <paramref name="after"/> names none and does not tell when one of its name was made.</summary>
    /// <param name="newestFirst">Else the oldest.</param>
    public async Task<IReadOnlyList<StoredFile>?> ListAsync(string accountId, string? purpose, bool newestFirst, string? after, int limit, CancellationToken cancellationToken)
    {
        await using HoneDbContext db = store.Read();
        IQueryable<StoredFile> files = db.Files.Where(f => f.AccountId == accountId);
        if (after is not null)
        {
            if (((await files.FirstOrDefaultAsync(f => f.Id == after, cancellationToken))?.CreatedAt ?? StoredFile.TimeOf(after)) is not { } at)
                return null;
            files = newestFirst
                ? files.Where(f => f.CreatedAt < at || (f.CreatedAt == at && string.Compare(f.Id, after) < 0))
                : files.Where(f => f.CreatedAt > at || (f.CreatedAt == at && string.Compare(f.Id, after) > 0));
        }
        if (purpose is not null)
            files = files.Where(f => f.Purpose == purpose);
        files = newestFirst ? files.OrderByDescending(f => f.CreatedAt).ThenByDescending(f => f.Id) : files.OrderBy(f => f.CreatedAt).ThenBy(f => f.Id);
        return await files.Take(limit).ToListAsync(cancellationToken);
    }

    public async Task<StoredFile?> FindAsync(string accountId, string id, CancellationToken cancellationToken)
    {
        await using HoneDbContext db = store.Read();
        return await db.Files.FirstOrDefaultAsync(f => f.AccountId == accountId && f.Id == id, cancellationToken);
    }

    /// <summary>What jobs have made, by finetune.</summary>
    public async Task<ILookup<Guid, string>> ResultIdsAsync(IReadOnlyCollection<Guid> finetunes, CancellationToken cancellationToken)
    {
        await using HoneDbContext db = store.Read();
        var files = await db.Files.Where(f => f.Purpose == StoredFile.FineTuneResults && f.FinetuneId != null && finetunes.Contains(f.FinetuneId.Value))
            .Select(f => new { f.FinetuneId, f.Id }).ToListAsync(cancellationToken);
        return files.ToLookup(f => f.FinetuneId!.Value, f => f.Id);
    }

    /// <summary>The caller disposes the stream.</summary>
    public Stream OpenRead(StoredFile file) => blobs.OpenRead(file.Sha256, file.Size);

    /// <summary>A job that learns from the file keeps its bytes. False where there is none.</summary>
    public async Task<bool> DeleteAsync(string accountId, string id, CancellationToken cancellationToken)
    {
        bool deleted = await writer.RunFreeingAsync(async db => await db.Files.Where(f => f.AccountId == accountId && f.Id == id).ExecuteDeleteAsync(cancellationToken) > 0, cancellationToken);
        if (deleted)
            signals.NotifyDeleted();
        return deleted;
    }

    private static async Task<StoredFile> NewAsync(HoneDbContext db, string accountId, string fileName, string purpose, StagedBlob staged, CancellationToken cancellationToken)
    {
        DateTimeOffset now = await EventLog.NowAsync(db, cancellationToken);
        var file = new StoredFile
        {
            Id = StoredFile.NewId(now),
            AccountId = accountId,
            FileName = fileName,
            Purpose = purpose,
            Sha256 = staged.Sha256,
            Size = staged.Size,
            CreatedAt = now,
        };
        db.Files.Add(file);
        return file;
    }

    private static FileRefusal Invalid(string field, string message) => new(FileRefusalReason.Invalid, field, message);
}
