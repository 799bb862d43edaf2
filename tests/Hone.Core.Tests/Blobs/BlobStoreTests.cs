using System.Security.Cryptography;
using Hone.Core.Blobs;
using Hone.Core.Files;
using Hone.Core.Finetunes;
using Hone.Core.Store;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Time.Testing;

namespace Hone.Core.Tests.Blobs;

[CollectionDefinition(nameof(Alone), DisableParallelization = true)]
public sealed class Alone;

public sealed class BlobStoreTests
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Stage_NotKept_NothingRemains()
    {
        await using TestHone hone = await TestHone.StartAsync();
        await using (StagedBlob staged = await hone.Blobs.StageAsync(new MemoryStream([1, 2, 3]), 3, Stop))
        {
            Assert.Equal(Convert.ToHexStringLower(SHA256.HashData([1, 2, 3])), staged.Sha256);
            Assert.Equal(3, staged.Size);
            Assert.Single(hone.BlobFiles());
        }
        Assert.Empty(hone.BlobFiles());
        BlobTooLargeException e = await Assert.ThrowsAsync<BlobTooLargeException>(() => hone.Blobs.StageAsync(new MemoryStream([1, 2, 3]), 2, Stop));
        Assert.Equal(2, e.Limit);
        Assert.Empty(hone.BlobFiles());
    }

    [Fact]
    public async Task Keep_SameContentTwice_OneFile()
    {
        await using TestHone hone = await TestHone.StartAsync();
        PublishedFile a = await hone.BlobAsync("a", [1, 2]), b = await hone.BlobAsync("b", [1, 2]);
        Assert.Equal(a.Sha256, b.Sha256);
        Assert.Equal([hone.Blobs.PathOf(a.Sha256)], hone.BlobFiles());
        Assert.True(hone.Blobs.Exists(a.Sha256, 2));
        Assert.False(hone.Blobs.Exists(a.Sha256, 3));
    }

    [Fact]
    public async Task Verify_ContentChanged_False()
    {
        await using TestHone hone = await TestHone.StartAsync();
        PublishedFile blob = await hone.BlobAsync("a", [1, 2]);
        Assert.True(await hone.Blobs.VerifyAsync(blob.Sha256, Stop));
        string path = hone.Blobs.PathOf(blob.Sha256);
        if (!OperatingSystem.IsWindows())
            File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        await File.WriteAllBytesAsync(path, [1, 3], Stop);
        Assert.False(await hone.Blobs.VerifyAsync(blob.Sha256, Stop));
        Assert.False(await hone.Blobs.VerifyAsync(new string('0', 64), Stop));
    }

    [Theory]
    [InlineData("../../etc/passwd")]
    [InlineData("")]
    public async Task PathOf_NoHash_Throws(string name)
    {
        await using TestHone hone = TestHone.Create();
        Assert.Throws<ArgumentException>(() => hone.Blobs.PathOf(name));
    }

    [Fact]
    public async Task Initialize_LeftoversOfACrash_RemovedOnlyUnderTheLock()
    {
        await using TestHone hone = await TestHone.StartAsync();
        string leftover = Path.Combine(hone.DataFolder.BlobPath, "tmp", "leftover");
        await File.WriteAllBytesAsync(leftover, [1], Stop);
        await hone.Store.InitializeAsync(Stop);
        Assert.True(File.Exists(leftover));
        using (hone.DataFolder.Lock())
            await hone.Store.InitializeAsync(Stop);
        Assert.False(File.Exists(leftover));
    }

    [Fact]
    public async Task Collect_OldAndUnreferenced_OnlyThoseGo()
    {
        var clock = new FakeTimeProvider(TimeProvider.System.GetUtcNow());
        await using TestHone hone = await TestHone.StartAsync(clock: clock);
        Finetune finetune = await hone.QueueAsync("f");
        long fence = (await hone.Queue.ClaimAsync("w", TimeSpan.FromMinutes(1), Stop))!.Fence;
        PublishedFile asset = await hone.BlobAsync("adapter_config.json", [1]), checkpoint = await hone.BlobAsync("checkpoint", [2]), orphan = await hone.BlobAsync("orphan", [3]);
        await hone.Queue.SaveCheckpointAsync(finetune.Id, fence, 1, checkpoint.Sha256, Stop);
        Assert.Equal(0, await hone.Collector.CollectAsync(Stop));
        clock.Advance(TimeSpan.FromHours(2));
        Assert.Equal(2, await hone.Collector.CollectAsync(Stop));
        Assert.Equal([hone.Blobs.PathOf(checkpoint.Sha256)], hone.BlobFiles());

        asset = await hone.BlobAsync("adapter_config.json", [1]);
        await hone.Queue.PublishAsync(finetune.Id, fence, [asset], null, Stop);
        Assert.Equal(1, await hone.Collector.CollectAsync(Stop));
        Assert.Equal([hone.Blobs.PathOf(asset.Sha256)], hone.BlobFiles());
        await hone.Finetunes.DeleteAsync(hone.AccountId, "f", Stop);
        Assert.Equal(1, await hone.Collector.CollectAsync(Stop));
        Assert.Empty(hone.BlobFiles());
    }

    [Fact]
    public async Task Delete_FinetuneOfYesterday_FreesItsSpaceSoon()
    {
        var clock = new FakeTimeProvider(TimeProvider.System.GetUtcNow());
        await using TestHone hone = await TestHone.StartAsync(clock: clock);
        Finetune finetune = await hone.QueueAsync("f");
        long fence = (await hone.Queue.ClaimAsync("w", TimeSpan.FromMinutes(1), Stop))!.Fence;
        await hone.Queue.PublishAsync(finetune.Id, fence, [await hone.BlobAsync("adapter_config.json", [1])], null, Stop);
        clock.Advance(TimeSpan.FromDays(1));
        await hone.Collector.StartAsync(Stop);

        await hone.Finetunes.DeleteAsync(hone.AccountId, "f", Stop);
        var waited = TimeSpan.Zero;
        for (var step = TimeSpan.FromSeconds(1); hone.BlobFiles().Count > 0; waited += step)
        {
            await Task.Delay(20, Stop);
            clock.Advance(step);
        }

        Assert.True(waited < TimeSpan.FromMinutes(10), $"after {waited}");
        await hone.Collector.StopAsync(Stop);
    }

    [Fact]
    public async Task Start_AfterADeletionThatNobodyHeardOf_FreesItsSpace()
    {
        var clock = new FakeTimeProvider(TimeProvider.System.GetUtcNow());
        await using TestHone hone = await TestHone.StartAsync(clock: clock);
        await hone.BlobAsync("orphan", [1]);
        clock.Advance(TimeSpan.FromDays(1));
        await hone.Collector.StartAsync(Stop);
        while (hone.BlobFiles().Count > 0)
            await Task.Delay(20, Stop);
        await hone.Collector.StopAsync(Stop);
    }

    [Fact]
    public async Task Collect_Rows_ThoseOfNoFileGoAndWhatAProbeFoundStays()
    {
        var clock = new FakeTimeProvider(TimeProvider.System.GetUtcNow());
        await using TestHone hone = await TestHone.StartAsync(clock: clock);
        string rows = Directory.CreateDirectory(hone.DataFolder.RowsPath).FullName, gone = new('a', 64);
        foreach (string name in new[] { $"{gone}-1.rows", "0123.precision.json", "0123.precision.json.tmp" })
            await File.WriteAllTextAsync(Path.Combine(rows, name), "", Stop);
        clock.Advance(TimeSpan.FromHours(2));

        await hone.Collector.CollectAsync(Stop);

        Assert.Equal(["0123.precision.json"], Directory.GetFiles(rows).Select(Path.GetFileName));
    }

    [Fact]
    public async Task Bug_NameMovesFromAFileToAJobMeanwhile_BlobWasCollected()
    {
        var clock = new FakeTimeProvider(TimeProvider.System.GetUtcNow());
        await using TestHone hone = await TestHone.StartAsync(clock: clock);
        Guid id = (await hone.CreateAsync("f")).Id;
        string sha256 = (await hone.BlobAsync("data", [1])).Sha256;
        clock.Advance(TimeSpan.FromHours(2));
        await FlipAsync(isFile: true);
        Task flips = Task.Run(async () =>
        {
            for (int i = 1; i <= 200; i++)
                await FlipAsync(isFile: i % 2 == 0);
        }, Stop);

        do
            Assert.Equal(0, await hone.Collector.CollectAsync(Stop));
        while (!flips.IsCompleted);
        await flips;

        Task FlipAsync(bool isFile) => hone.Writer.RunAsync(async db =>
        {
            await db.Files.ExecuteDeleteAsync(Stop);
            await db.FinetuneAssets.ExecuteDeleteAsync(Stop);
            if (isFile)
                db.Files.Add(new StoredFile { Id = StoredFile.NewId(DateTimeOffset.UnixEpoch), AccountId = hone.AccountId, FileName = "data", Purpose = StoredFile.FineTune, Sha256 = sha256, Size = 1, CreatedAt = DateTimeOffset.UnixEpoch });
            else
                db.FinetuneAssets.Add(new FinetuneAsset { FinetuneId = id, FileName = AssetFiles.TrainingData, Sha256 = sha256, Size = 1, CreatedAt = DateTimeOffset.UnixEpoch });
            return await db.SaveChangesAsync(Stop);
        }, Stop);
    }

    [Fact]
    public async Task Lock_HeldByAnother_SaysByWhom()
    {
        await using TestHone hone = TestHone.Create();
        await using TestHone second = TestHone.Create(folder: hone.Folder);
        using (hone.DataFolder.Lock())
        {
            StorageException e = Assert.Throws<StorageException>(second.DataFolder.Lock);
            Assert.Equal(StorageProblem.InUse, e.Problem);
            Assert.Contains($"process {Environment.ProcessId}", e.Message, StringComparison.Ordinal);
            Assert.Contains("--data", e.Message, StringComparison.Ordinal);
        }
        second.DataFolder.Lock().Dispose();
    }

    [Collection(nameof(Alone))]
    [Trait("Category", "Slow")]
    public sealed class Memory
    {
        [Fact]
        public async Task Upload_AdapterOf300Megabytes_AllocatesFarLess()
        {
            await using TestHone hone = await TestHone.StartAsync();
            await hone.CreateAsync("f");
            const int values = 74_000_000;
            byte[] header = System.Text.Encoding.UTF8.GetBytes($$$"""{"x":{"dtype":"F32","shape":[{{{values}}}],"data_offsets":[0,{{{4L * values}}}]}}""".PadRight(96));
            byte[] head = [.. BitConverter.GetBytes((long)header.Length), .. header];
            long before = GC.GetTotalAllocatedBytes(precise: true);
            UploadResult result = await hone.Finetunes.UploadAssetAsync(hone.AccountId, "f", "adapter_model.safetensors", new PatternStream(head.Length + (4L * values), head: head), Stop);
            long allocated = GC.GetTotalAllocatedBytes(precise: true) - before;
            Assert.Equal(head.Length + (4L * values), Assert.IsType<UploadResult.Stored>(result).Asset.Size);
            Assert.InRange(allocated, 0, 64L << 20);
        }
    }
}
