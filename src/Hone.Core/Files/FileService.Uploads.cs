using System.Diagnostics.CodeAnalysis;
using System.Security.Cryptography;
using Hone.Core.Blobs;
using Hone.Core.Finetunes;
using Hone.Core.Store;
using Microsoft.EntityFrameworkCore;

namespace Hone.Core.Files;

public sealed partial class FileService
{
    /// <summary>Announces a file that comes in parts.</summary>
    public async Task<FileResult<FileUpload>> CreateUploadAsync(string accountId, string fileName, string purpose, long size, CancellationToken cancellationToken)
    {
        if (Check(fileName, purpose) is [var error, ..])
            return error;
        if (size < 1 || size > limits.TrainingDataBytes)
            return Invalid("bytes", $"'bytes' is {size}, it must lie between 1 and {limits.TrainingDataBytes}.");
        return await writer.RunAsync(async db =>
        {
            DateTimeOffset now = await EventLog.NowAsync(db, cancellationToken);
            var upload = new FileUpload
            {
                Id = $"upload_{Guid.NewGuid():n}",
                AccountId = accountId,
                FileName = fileName,
                Purpose = purpose,
                Size = size,
                Status = FileUpload.Pending,
                CreatedAt = now,
                ExpiresAt = now.AddSeconds(limits.UploadSeconds),
            };
            db.FileUploads.Add(upload);
            await db.SaveChangesAsync(cancellationToken);
            return upload;
        }, cancellationToken);
    }

    public async Task<FileUpload?> FindUploadAsync(string accountId, string id, CancellationToken cancellationToken)
    {
        await using HoneDbContext db = store.Read();
        return await db.FileUploads.FirstOrDefaultAsync(u => u.AccountId == accountId && u.Id == id, cancellationToken);
    }

    /// <summary>Takes a part's stream to its end. Parts may come in any order and at once.</summary>
    public async Task<FileResult<FileUploadPart>> AddPartAsync(string accountId, string uploadId, Stream content, CancellationToken cancellationToken)
    {
        StagedBlob staged;
        try
        {
            staged = await blobs.StageAsync(content, limits.UploadPartBytes, cancellationToken);
        }
        catch (BlobTooLargeException e)
        {
            return new FileRefusal(FileRefusalReason.TooLarge, "data", $"The part is larger than the {e.Limit} bytes allowed.");
        }
        await using (staged)
        {
            if (staged.Size == 0)
                return Invalid("data", "The part is empty.");
            staged.Keep();
            return await writer.RunAsync<FileResult<FileUploadPart>>(async db =>
            {
                DateTimeOffset now = await EventLog.NowAsync(db, cancellationToken);
                if (Refuse(await Own(db, accountId, uploadId).FirstOrDefaultAsync(cancellationToken), uploadId, now, out FileUpload? upload) is { } refused)
                    return refused;
                // A part that is sent again after a broken connection is stored once, and counts once.
                long stored = await db.FileUploadParts.Where(p => p.UploadId == uploadId && p.Sha256 != staged.Sha256).Select(p => new { p.Sha256, p.Size }).Distinct().SumAsync(p => p.Size, cancellationToken);
                if (stored + staged.Size > limits.TrainingDataBytes)
                    return new FileRefusal(FileRefusalReason.TooLarge, "data", $"The parts of upload {upload.Id} are larger than the {limits.TrainingDataBytes} bytes allowed.");
                var part = new FileUploadPart { Id = $"part_{Guid.NewGuid():n}", UploadId = uploadId, Sha256 = staged.Sha256, Size = staged.Size, CreatedAt = now };
                db.FileUploadParts.Add(part);
                await db.SaveChangesAsync(cancellationToken);
                return part;
            }, cancellationToken);
        }
    }

    /// <summary>
    /// Makes the file of the parts, in the order that <paramref name="partIds"/> has. 1. The parts are found. 2. They are joined into one blob while it is hashed. 3. Its
    /// size and its MD5 are compared. 4. In one transaction the file gets its row, the upload its state, and the parts go.
    /// </summary>
    public async Task<FileResult<StoredFile>> CompleteUploadAsync(string accountId, string uploadId, IReadOnlyList<string> partIds, string? md5, CancellationToken cancellationToken)
    {
        // 1
        var parts = new List<FileUploadPart>();
        FileUpload? upload;
        await using (HoneDbContext db = store.Read())
        {
            if (Refuse(await Own(db, accountId, uploadId).FirstOrDefaultAsync(cancellationToken), uploadId, await EventLog.NowAsync(db, cancellationToken), out upload) is { } refused)
                return refused;
            Dictionary<string, FileUploadPart> known = await db.FileUploadParts.Where(p => p.UploadId == uploadId).ToDictionaryAsync(p => p.Id, cancellationToken);
            foreach (string id in partIds)
            {
                if (!known.Remove(id, out FileUploadPart? part))
                    return Invalid("part_ids", $"Part {FinetuneRules.Quote(id)} is not one of upload {uploadId}, or is named twice.");
                parts.Add(part);
            }
        }
        long size = parts.Sum(p => p.Size);
        if (size != upload.Size)
            return Invalid("part_ids", $"The parts have {size} bytes together; the upload was announced with {upload.Size}.");
        // 2
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.MD5);
        await using var joined = new JoinedBlobs(blobs, parts, hash);
        await using StagedBlob staged = await blobs.StageAsync(joined, limits.TrainingDataBytes, cancellationToken);
        // 3
        string actual = Convert.ToHexStringLower(hash.GetHashAndReset());
        if (md5 is not null && !md5.Equals(actual, StringComparison.OrdinalIgnoreCase))
            return Invalid("md5", $"The file's MD5 is {actual}, not {FinetuneRules.Quote(md5)}.");
        staged.Keep();
        // 4
        return await writer.RunAsync<FileResult<StoredFile>>(async db =>
        {
            if (Refuse(await Own(db, accountId, uploadId).FirstOrDefaultAsync(cancellationToken), uploadId, await EventLog.NowAsync(db, cancellationToken), out FileUpload? current) is { } refused)
                return refused;
            StoredFile file = await NewAsync(db, accountId, current.FileName, current.Purpose, staged, cancellationToken);
            current.Status = FileUpload.Completed;
            current.FileId = file.Id;
            await db.SaveChangesAsync(cancellationToken);
            await db.FileUploadParts.Where(p => p.UploadId == uploadId).ExecuteDeleteAsync(cancellationToken);
            return file;
        }, cancellationToken);
    }

    public Task<FileResult<FileUpload>> CancelUploadAsync(string accountId, string uploadId, CancellationToken cancellationToken) =>
        writer.RunAsync<FileResult<FileUpload>>(async db =>
        {
            if (Refuse(await Own(db, accountId, uploadId).FirstOrDefaultAsync(cancellationToken), uploadId, await EventLog.NowAsync(db, cancellationToken), out FileUpload? upload) is { } refused)
                return refused;
            upload.Status = FileUpload.Cancelled;
            await db.SaveChangesAsync(cancellationToken);
            await db.FileUploadParts.Where(p => p.UploadId == uploadId).ExecuteDeleteAsync(cancellationToken);
            return upload;
        }, cancellationToken);

    /// <summary>Uploads whose time is over let their parts go.</summary>
    internal async Task ExpireUploadsAsync(CancellationToken cancellationToken)
    {
        await using (HoneDbContext db = store.Read())
        {
            DateTimeOffset now = await EventLog.NowAsync(db, cancellationToken);
            if (!await db.FileUploads.AnyAsync(u => u.Status == FileUpload.Pending && u.ExpiresAt <= now, cancellationToken))
                return;
        }
        await writer.RunAsync(async db =>
        {
            DateTimeOffset now = await EventLog.NowAsync(db, cancellationToken);
            List<FileUpload> over = await db.FileUploads.Where(u => u.Status == FileUpload.Pending && u.ExpiresAt <= now).ToListAsync(cancellationToken);
            foreach (FileUpload upload in over)
            {
                upload.Status = FileUpload.Expired;
                await db.FileUploadParts.Where(p => p.UploadId == upload.Id).ExecuteDeleteAsync(cancellationToken);
            }
            await db.SaveChangesAsync(cancellationToken);
            return over.Count;
        }, cancellationToken);
    }

    private static IQueryable<FileUpload> Own(HoneDbContext db, string accountId, string uploadId) => db.FileUploads.Where(u => u.AccountId == accountId && u.Id == uploadId);

    private static FileRefusal? Refuse(FileUpload? found, string uploadId, DateTimeOffset now, [NotNull] out FileUpload? upload)
    {
        upload = found!;
        if (found is null)
            return new FileRefusal(FileRefusalReason.NotFound, "upload_id", $"No such Upload object: {uploadId}");
        string status = found.Status == FileUpload.Pending && found.ExpiresAt <= now ? FileUpload.Expired : found.Status;
        return status == FileUpload.Pending ? null : new FileRefusal(FileRefusalReason.Ended, "upload_id", $"Upload {found.Id} is {status}; it takes nothing more.");
    }

    /// <summary>The parts one after the other, hashed as they are read.</summary>
    private sealed class JoinedBlobs(BlobStore blobs, IReadOnlyList<FileUploadPart> parts, IncrementalHash hash) : Stream
    {
        private int next;
        private FileStream? current;

        public override bool CanRead => true;
        public override bool CanSeek => false;
        public override bool CanWrite => false;
        public override long Length => throw new NotSupportedException();
        public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

        public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
        {
            while (true)
            {
                if (current is not null)
                {
                    int read = await current.ReadAsync(buffer, cancellationToken);
                    if (read > 0)
                    {
                        hash.AppendData(buffer.Span[..read]);
                        return read;
                    }
                    await current.DisposeAsync();
                    current = null;
                }
                if (next == parts.Count)
                    return 0;
                current = blobs.OpenRead(parts[next].Sha256, parts[next].Size);
                next++;
            }
        }

        public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) => ReadAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

        public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException("Blobs are read asynchronously.");
        public override void Flush() => throw new NotSupportedException();
        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();
        public override void SetLength(long value) => throw new NotSupportedException();
        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        protected override void Dispose(bool disposing)
        {
            if (disposing)
                current?.Dispose();
            base.Dispose(disposing);
        }
    }
}
