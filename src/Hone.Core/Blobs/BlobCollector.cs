using Hone.Core.Files;
using Hone.Core.Store;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Hone.Core.Blobs;

/// <summary>Deletes blobs that no row names and that are older than <see cref="HoneLimits.UnreferencedBlobSeconds"/>: at start, in rounds, and soon after something was deleted.</summary>
public sealed partial class BlobCollector(HoneStore store, BlobStore blobs, AdapterFolders adapters, FileService files, DataFolder folder, StoreSignals signals, DiskReserve reserve, HoneLimits limits, TimeProvider clock, ILogger<BlobCollector> log) : BackgroundService
{
    /// <summary>Who deletes one thing often deletes others with it.</summary>
    private static readonly TimeSpan AfterDeletion = TimeSpan.FromSeconds(10);

    /// <summary>One round; answers how many blobs were deleted.</summary>
    public async Task<int> CollectAsync(CancellationToken cancellationToken)
    {
        DateTime before = clock.GetUtcNow().UtcDateTime.AddSeconds(-limits.UnreferencedBlobSeconds);
        int deleted = 0;
        await files.ExpireUploadsAsync(cancellationToken);
        foreach (FileInfo file in blobs.All())
        {
            if (file.LastWriteTimeUtc < before && !await IsNamedAsync(file.Name, cancellationToken) && blobs.DeleteOlder(file.Name, before))
                deleted++;
        }
        blobs.DeleteTemporary(before);
        adapters.RemoveBroken(before);
        RemoveRows(before);
        reserve.Fill();
        return deleted;
    }

    /// <summary>Encoded rows go with the file that they were, which their name begins with; what a killed trainer had half written goes too. What a probe found stays.</summary>
    private void RemoveRows(DateTime before)
    {
        var rows = new DirectoryInfo(folder.RowsPath);
        if (!rows.Exists)
            return;
        foreach (FileInfo file in rows.EnumerateFiles().Where(f => f.LastWriteTimeUtc < before))
        {
            string name = file.Name;
            bool isProbe = name.EndsWith(".precision.json", StringComparison.Ordinal);
            bool isOfAFile = file.Extension == ".rows" && name.Length > 64 && name[..64].All(char.IsAsciiHexDigitLower) && File.Exists(blobs.PathOf(name[..64]));
            if (!isProbe && !isOfAFile)
                file.Delete();
        }
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using StoreSignals.Subscription deletions = signals.Deleted();
        var pause = TimeSpan.FromSeconds(Math.Max(limits.UnreferencedBlobSeconds / 2, 1));
        while (true)
        {
            try
            {
                int deleted = await CollectAsync(stoppingToken);
                if (deleted > 0)
                    LogCollected(deleted);
            }
            catch (Exception e) when (e is not OperationCanceledException)
            {
                LogFailed(e);
            }
            if (await deletions.WaitAsync(pause, stoppingToken))
                await Task.Delay(AfterDeletion, clock, stoppingToken);
        }
    }

    private async Task<bool> IsNamedAsync(string sha256, CancellationToken cancellationToken)
    {
        await using HoneDbContext db = store.Read();
        return await IsNamedAsync(db, sha256, cancellationToken);
    }

    /// <summary>One statement: a name that goes from one table to another while it is asked is seen in one of them.</summary>
    internal static Task<bool> IsNamedAsync(HoneDbContext db, string sha256, CancellationToken cancellationToken) =>
        db.FinetuneAssets.Where(a => a.Sha256 == sha256).Select(_ => 1)
            .Concat(db.Finetunes.Where(f => f.CheckpointBlob == sha256).Select(_ => 1))
            .Concat(db.FinetuneCheckpoints.Where(c => c.WeightsSha256 == sha256 || c.ConfigSha256 == sha256).Select(_ => 1))
            .Concat(db.Files.Where(f => f.Sha256 == sha256).Select(_ => 1))
            .Concat(db.FileUploadParts.Where(p => p.Sha256 == sha256).Select(_ => 1))
            .AnyAsync(cancellationToken);

    [LoggerMessage(2001, LogLevel.Information, "Deleted {Count} blobs that nothing refers to.")]
    private partial void LogCollected(int count);

    [LoggerMessage(2002, LogLevel.Warning, "Looking for blobs that nothing refers to failed; the next round tries again.")]
    private partial void LogFailed(Exception exception);
}
