using Hone.Core.Blobs;
using Hone.Core.Finetunes;
using Hone.Core.Store;
using Microsoft.Extensions.Time.Testing;

namespace Hone.Core.Tests.Blobs;

public sealed class AdapterFoldersTests
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Bug_DataFolderMoved_AdapterStillLedToTheOldPlace()
    {
        string root = Directory.CreateTempSubdirectory("hone-core-").FullName, before = Path.Combine(root, "before"), after = Path.Combine(root, "after");
        Guid id;
        await using (TestHone hone = await TestHone.StartAsync(folder: before))
        {
            id = await PublishAsync(hone);
            Assert.Equal([2], await ReadModelAsync((await hone.Adapters.GetAsync(id, Stop))!));
        }
        Directory.Move(before, after);
        // What lies at the old place belongs to another server.
        await using (TestHone other = await TestHone.StartAsync(folder: before))
            await other.BlobAsync(AssetFiles.AdapterModel, [2]);
        await using (TestHone moved = TestHone.Create(folder: after))
        {
            AdapterFolder adapter = (await moved.Adapters.GetAsync(id, Stop))!;
            Assert.Equal([2], await ReadModelAsync(adapter));
            Assert.All(Directory.GetFiles(adapter.Path), link => Assert.StartsWith(after, new FileInfo(link).LinkTarget, StringComparison.Ordinal));
            Assert.Equal(2, Directory.GetFiles(adapter.Path).Length);
        }
        Directory.Delete(root, recursive: true);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Bug_DamagedAdapter_WasServedAsIfItWereSound(bool gone)
    {
        await using TestHone hone = await TestHone.StartAsync();
        Guid id = await PublishAsync(hone);
        string weights = hone.Blobs.PathOf((await hone.Finetunes.ListAssetsAsync(id, Stop)).Single(a => a.FileName == AssetFiles.AdapterModel).Sha256);
        if (gone)
            File.Delete(weights);
        else
            DamagedFile.FlipBit(weights);

        var error = await Assert.ThrowsAsync<StorageException>(() => hone.Adapters.GetAsync(id, Stop));
        Assert.Equal(StorageProblem.FileDamaged, error.Problem);
        Assert.Contains($"{weights} is {(gone ? "gone" : "damaged")}", error.Message, StringComparison.Ordinal);

        DamagedFile.Replace(weights, [2]);
        Assert.NotNull(await hone.Adapters.GetAsync(id, Stop));
        DamagedFile.Replace(weights, []);
        Assert.Equal(StorageProblem.FileDamaged, (await Assert.ThrowsAsync<StorageException>(() => hone.Finetunes.OpenAssetAsync(id, AssetFiles.AdapterModel, Stop))).Problem);
    }

    [Fact]
    public async Task Collect_BrokenOrHalfMadeAdapter_GoesWhenOld()
    {
        var clock = new FakeTimeProvider(TimeProvider.System.GetUtcNow());
        await using TestHone hone = await TestHone.StartAsync(clock: clock);
        AdapterFolder whole = (await hone.Adapters.GetAsync(await PublishAsync(hone), Stop))!;
        string empty = Directory.CreateDirectory(Path.Combine(hone.DataFolder.AdaptersPath, "empty.tmp")).FullName;
        string half = Directory.CreateDirectory(Path.Combine(hone.DataFolder.AdaptersPath, "half")).FullName;
        File.CreateSymbolicLink(Path.Combine(half, AssetFiles.AdapterConfig), Path.Combine(whole.Path, AssetFiles.AdapterConfig));

        await hone.Collector.CollectAsync(Stop);
        Assert.Equal(3, Directory.GetDirectories(hone.DataFolder.AdaptersPath).Length);
        clock.Advance(TimeSpan.FromHours(2));
        await hone.Collector.CollectAsync(Stop);
        Assert.False(Directory.Exists(empty));
        Assert.Equal([whole.Path], Directory.GetDirectories(hone.DataFolder.AdaptersPath));

        await hone.Finetunes.DeleteAsync(hone.AccountId, "f", Stop);
        await hone.Collector.CollectAsync(Stop);
        Assert.Empty(Directory.GetDirectories(hone.DataFolder.AdaptersPath));
    }

    private static async Task<Guid> PublishAsync(TestHone hone)
    {
        Guid id = (await hone.QueueAsync("f")).Id;
        long fence = (await hone.Queue.ClaimAsync("w", TimeSpan.FromMinutes(1), Stop))!.Fence;
        PublishedFile[] files = [await hone.BlobAsync(AssetFiles.AdapterConfig, [1]), await hone.BlobAsync(AssetFiles.AdapterModel, [2])];
        Assert.Equal(AttemptWrite.Done, await hone.Queue.PublishAsync(id, fence, files, null, Stop));
        return id;
    }

    private static Task<byte[]> ReadModelAsync(AdapterFolder adapter) => File.ReadAllBytesAsync(Path.Combine(adapter.Path, AssetFiles.AdapterModel), Stop);
}
