using System.Collections.Concurrent;
using System.Security.Cryptography;
using System.Text;
using Hone.Core.Finetunes;
using Hone.Core.Store;
using Microsoft.EntityFrameworkCore;

namespace Hone.Core.Blobs;

/// <param name="Path">Folder with <c>adapter_config.json</c> and <c>adapter_model.safetensors</c>.</param>
/// <param name="Key">Names the content: equal keys are equal adapters.</param>
public sealed record AdapterFolder(string Path, string Key);

/// <summary>Lays out the adapter of a ready finetune as a folder with the names that PEFT and the engine expect: links to blobs, no copies.</summary>
public sealed class AdapterFolders(HoneStore store, BlobStore blobs, DataFolder folder)
{
    // Once a run: what is answered with is what was stored.
    private readonly ConcurrentDictionary<string, bool> verified = new();

    /// <summary>Null when the finetune does not have both files.</summary>
    /// <exception cref="StorageException">One of them is damaged.</exception>
    public async Task<AdapterFolder?> GetAsync(Guid finetuneId, CancellationToken cancellationToken)
    {
        List<FinetuneAsset> files;
        await using (HoneDbContext db = store.Read())
        {
            files = await db.FinetuneAssets.Where(a => a.FinetuneId == finetuneId && (a.FileName == AssetFiles.AdapterConfig || a.FileName == AssetFiles.AdapterModel))
                .OrderBy(a => a.FileName).ToListAsync(cancellationToken);
        }
        return files.Count == 2 ? await GetAsync(files[0].Sha256, files[1].Sha256, cancellationToken) : null;
    }

    /// <summary>The adapter as it was after a step.</summary>
    public Task<AdapterFolder> GetAsync(FinetuneCheckpoint checkpoint, CancellationToken cancellationToken) => GetAsync(checkpoint.ConfigSha256, checkpoint.WeightsSha256, cancellationToken);

    private async Task<AdapterFolder> GetAsync(string configSha256, string weightsSha256, CancellationToken cancellationToken)
    {
        (string FileName, string Sha256)[] files = [(AssetFiles.AdapterConfig, configSha256), (AssetFiles.AdapterModel, weightsSha256)];
        string key = Convert.ToHexStringLower(SHA256.HashData(Encoding.ASCII.GetBytes(string.Concat(files.Select(f => f.Sha256)))));
        string path = System.IO.Path.Combine(folder.AdaptersPath, key);
        DataFolder.CreatePrivateFolder(path);
        bool isVerified = verified.ContainsKey(key);
        foreach ((string fileName, string sha256) in files)
        {
            string link = System.IO.Path.Combine(path, fileName), target = isVerified ? blobs.PathOf(sha256) : await blobs.VerifiedPathAsync(sha256, cancellationToken);
            // In a data folder that was moved or copied they lead to the blobs at the old place.
            if (new FileInfo(link).LinkTarget == target)
                continue;
            string temporary = $"{link}.{Guid.NewGuid():n}.tmp";
            File.CreateSymbolicLink(temporary, target);
            File.Move(temporary, link, overwrite: true);
        }
        verified.TryAdd(key, true);
        return new AdapterFolder(path, key);
    }

    /// <summary>Removes folders that were last changed before that and whose blobs are gone, or that a crash left half-made.</summary>
    internal void RemoveBroken(DateTime before)
    {
        var adapters = new DirectoryInfo(folder.AdaptersPath);
        if (!adapters.Exists)
            return;
        foreach (DirectoryInfo adapter in adapters.EnumerateDirectories().Where(d => d.LastWriteTimeUtc < before))
        {
            if (adapter.EnumerateFiles().Count(link => link.ResolveLinkTarget(returnFinalTarget: true) is { Exists: true }) < 2)
                adapter.Delete(recursive: true);
        }
    }
}
