using Hone.Core.Finetunes;
using Hone.Core.Models;
using Hone.Core.Store;

namespace Hone.Core.Tests.Blobs;

/// <summary>Full and read-only disks. Without the right to mount, the same failures are taken from /dev/full and from the errors' numbers.</summary>
[Trait("Category", "Native")]
public sealed class DiskFailureTests
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Upload_DiskFull_SaysSoLeavesNothingAndGoesOn()
    {
        using SmallDisk? disk = SmallDisk.TryMount();
        if (disk is null)
        {
            AssertDevFull();
            return;
        }
        await using TestHone hone = await TestHone.StartAsync(blobFolder: Path.Combine(disk.Path, "blobs"));
        Finetune made = await hone.CreateAsync("f");
        StorageException full = await Assert.ThrowsAsync<StorageException>(() =>
            hone.Finetunes.UploadAssetAsync(hone.AccountId, "f", "training_data.jsonl", new PatternStream(5_000_000), Stop));
        Assert.Equal(StorageProblem.DiskFull, full.Problem);
        Assert.Contains(disk.Path, full.Message, StringComparison.Ordinal);
        Assert.Empty(hone.BlobFiles());
        Assert.Equal(FinetuneState.AwaitingAssets, (await hone.GetAsync(made.Id)).State);
        byte[] small = await File.ReadAllBytesAsync(Repository.File("examples/support-triage/train.jsonl"), Stop);
        Assert.IsType<UploadResult.Stored>(await hone.UploadAsync("f", "training_data.jsonl", small));
    }

    /// <summary>Whoever is to free space by deleting needs a server for it.</summary>
    [Fact]
    public async Task Start_DiskFullSinceTheLastStop_GivesUpTheReserve()
    {
        using SmallDisk? disk = SmallDisk.TryMount(mebibytes: 24);
        Assert.SkipWhen(disk is null, "Mounting a small disk needs root.");
        string folder = Path.Combine(disk.Path, "data");
        await using (TestHone hone = TestHone.Create(folder: folder))
        {
            using IDisposable held = hone.DataFolder.Lock();
            await hone.Store.InitializeAsync(Stop);
            Assert.Equal(8 << 20, new FileInfo(hone.DataFolder.ReservePath).Length);
        }
        Microsoft.Data.Sqlite.SqliteConnection.ClearAllPools();
        var fill = new byte[4096];
        await using (FileStream ballast = File.Create(Path.Combine(disk.Path, "ballast")))
        {
            var full = Record.Exception(() =>
            {
                for (int written = 0; written < 64 << 20; written += fill.Length)
                {
                    ballast.Write(fill);
                    ballast.Flush();
                }
            });
            Assert.IsType<IOException>(full, exactMatch: false);
        }

        await using TestHone again = TestHone.Create(folder: folder);
        StorageException refused = await Assert.ThrowsAsync<StorageException>(() => again.Store.InitializeAsync(Stop)); // the reserve is the server's
        Assert.Equal(StorageProblem.DiskFull, refused.Problem);
        using IDisposable lockedAgain = again.DataFolder.Lock();
        await again.Store.InitializeAsync(Stop);
        await again.Accounts.CreateAccountAsync("test", "test@example.com", Stop);
    }

    [Fact]
    public async Task Create_DiskOfTheDatabaseFull_SaysSoAndLosesNothing()
    {
        using SmallDisk? disk = SmallDisk.TryMount();
        if (disk is null)
        {
            AssertDevFull();
            return;
        }
        string folder = Path.Combine(disk.Path, "data"), ballast = Path.Combine(disk.Path, "ballast");
        // The shared-memory file of the log must fit; the rest is taken away in large steps.
        await File.WriteAllBytesAsync(ballast, new byte[400_000], Stop);
        var made = new List<Guid>();
        await using (TestHone hone = await TestHone.StartAsync(new HoneLimits { FinetunesPerAccount = 100_000 }, folder: folder))
        {
            StorageException? full = null;
            while (full is null)
            {
                Assert.True(made.Count < 10_000);
                Task<CreateResult>[] batch = [.. Enumerable.Range(made.Count, 4).Select(i => hone.Finetunes.CreateAsync(
                    hone.AccountId, new CreateFinetune { Model = ModelCatalog.EmbeddedId, Name = $"n{i}", Description = new string('d', 4000) }, Stop))];
                foreach (Task<CreateResult> create in batch)
                {
                    try
                    {
                        made.Add(Assert.IsType<CreateResult.Created>(await create).Finetune.Id);
                    }
                    catch (StorageException e)
                    {
                        full = e;
                    }
                }
            }
            Assert.Equal(StorageProblem.DiskFull, full.Problem);
            File.Delete(ballast);
            made.Add((await hone.CreateAsync("after")).Id);
            Assert.Equal(made.Order(), (await hone.Finetunes.ListAsync(hone.AccountId, Stop)).Select(f => f.Id).Order());
        }
        await using TestHone again = TestHone.Create(folder: folder);
        await again.Store.InitializeAsync(Stop);
        string account = Assert.Single(await again.Accounts.ListAsync(Stop)).Id;
        Assert.Equal(made.Order(), (await again.Finetunes.ListAsync(account, Stop)).Select(f => f.Id).Order());
    }

    [Fact]
    public async Task Bug_FullDisk_NothingCouldBeDeleted()
    {
        using SmallDisk? disk = SmallDisk.TryMount(mebibytes: 24);
        Assert.SkipWhen(disk is null, "Mounting a small disk needs root.");
        string ballast = Path.Combine(disk.Path, "ballast");
        await using TestHone hone = TestHone.Create(folder: Path.Combine(disk.Path, "data"));
        using IDisposable held = hone.DataFolder.Lock();
        await hone.Store.InitializeAsync(Stop);
        string account = (await hone.Accounts.CreateAccountAsync("test", "test@example.com", Stop)).Account.Id;
        Task<CreateResult> CreateAsync(string name) => hone.Finetunes.CreateAsync(account, new CreateFinetune { Model = ModelCatalog.EmbeddedId, Name = name, Description = new string('d', 4000) }, Stop);
        await CreateAsync("first");
        FillUp(ballast);
        var full = await Assert.ThrowsAsync<StorageException>(async () =>
        {
            for (int i = 0; i < 100; i++)
                await CreateAsync($"n{i}");
        });
        Assert.Equal(StorageProblem.DiskFull, full.Problem);

        Assert.NotNull(await hone.Finetunes.DeleteAsync(account, "first", Stop));
        Assert.False(File.Exists(hone.DataFolder.ReservePath));

        File.Delete(ballast);
        await hone.Collector.CollectAsync(Stop);
        Assert.True(File.Exists(hone.DataFolder.ReservePath));
    }

    private static void FillUp(string path)
    {
        using var file = new FileStream(path, FileMode.CreateNew, FileAccess.Write, FileShare.None, bufferSize: 0);
        try
        {
            while (true)
                file.Write(new byte[4096]);
        }
        catch (IOException)
        {
        }
    }

    [Fact]
    public async Task Start_ReadOnlyFolder_SaysSo()
    {
        using SmallDisk? disk = SmallDisk.TryMount();
        if (disk is null)
        {
            AssertReadOnlyErrors();
            return;
        }
        disk.MakeReadOnly();
        foreach (string folder in new[] { disk.Path, Path.Combine(disk.Path, "new") })
        {
            await using TestHone hone = TestHone.Create(folder: folder);
            Assert.Equal(StorageProblem.ReadOnly, Assert.Throws<StorageException>(hone.DataFolder.Lock).Problem);
            StorageException refused = await Assert.ThrowsAsync<StorageException>(() => hone.Store.InitializeAsync(Stop));
            Assert.Equal(StorageProblem.ReadOnly, refused.Problem);
            Assert.Contains("--data", refused.Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task Upload_ReadOnlyBlobs_SaysSo()
    {
        using SmallDisk? disk = SmallDisk.TryMount();
        if (disk is null)
        {
            AssertReadOnlyErrors();
            return;
        }
        await using TestHone hone = await TestHone.StartAsync(blobFolder: Path.Combine(disk.Path, "blobs"));
        Finetune made = await hone.CreateAsync("f");
        disk.MakeReadOnly();
        StorageException refused = await Assert.ThrowsAsync<StorageException>(() => hone.UploadAsync("f", "training_data.jsonl", [1]));
        Assert.Equal(StorageProblem.ReadOnly, refused.Problem);
        Assert.Equal(FinetuneState.AwaitingAssets, (await hone.GetAsync(made.Id)).State);
    }

    private static void AssertDevFull()
    {
        using var full = new FileStream("/dev/full", FileMode.Open, FileAccess.Write, FileShare.ReadWrite, 0);
        IOException e = Assert.ThrowsAny<IOException>(() => full.Write([1]));
        Assert.Equal(StorageProblem.DiskFull, StorageException.From(e, "here")!.Problem);
    }

    private static void AssertReadOnlyErrors()
    {
        Assert.Equal(StorageProblem.ReadOnly, StorageException.From(new IOException("Read-only file system", 30), "here")!.Problem);
        Assert.Equal(StorageProblem.ReadOnly, StorageException.From(new UnauthorizedAccessException("denied"), "here")!.Problem);
    }
}
