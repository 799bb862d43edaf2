using System.Text;
using Hone.Core.Blobs;
using Hone.Core.Files;
using Hone.Core.Finetunes;
using Hone.Core.Models;
using Hone.Formats.Jobs;
using Microsoft.Extensions.Time.Testing;

namespace Hone.Core.Tests.Files;

public sealed class FileServiceTests
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Collect_FilesAndParts_KeepTheirBlobsUntilNobodyNamesThem()
    {
        var clock = new FakeTimeProvider(TimeProvider.System.GetUtcNow());
        await using TestHone hone = await TestHone.StartAsync(new HoneLimits { UnreferencedBlobSeconds = 60 }, clock);
        StoredFile file = await AddAsync(hone, Rows());
        FileUpload upload = (await hone.Files.CreateUploadAsync(hone.AccountId, "a", StoredFile.FineTune, 3, Stop)).Value!;
        FileUploadPart part = (await hone.Files.AddPartAsync(hone.AccountId, upload.Id, new MemoryStream([1, 2, 3]), Stop)).Value!;
        var job = Assert.IsType<CreateResult.Created>(await hone.Finetunes.CreateJobAsync(
            hone.AccountId, new CreateJob { Model = ModelCatalog.EmbeddedId, TrainingFile = file.Id, Config = new TrainingConfig() }, Stop)).Finetune;
        clock.Advance(TimeSpan.FromMinutes(5));
        Assert.Equal(0, await hone.Collector.CollectAsync(Stop));

        Assert.True(await hone.Files.DeleteAsync(hone.AccountId, file.Id, Stop));
        Assert.True((await hone.Files.CancelUploadAsync(hone.AccountId, upload.Id, Stop)).Value!.Status == FileUpload.Cancelled);
        Assert.Equal(1, await hone.Collector.CollectAsync(Stop));
        Assert.False(File.Exists(hone.Blobs.PathOf(part.Sha256)));
        // The job has the bytes still.
        Assert.True(File.Exists(hone.Blobs.PathOf(file.Sha256)));
        await hone.Finetunes.DeleteAsync(hone.AccountId, job.Id.ToString(), Stop);
        Assert.Equal(1, await hone.Collector.CollectAsync(Stop));
    }

    [Fact]
    public async Task Upload_TimeOver_TakesNothingMoreAndLetsItsPartsGo()
    {
        await using TestHone hone = await TestHone.StartAsync(new HoneLimits { UploadSeconds = 1 });
        FileUpload upload = (await hone.Files.CreateUploadAsync(hone.AccountId, "a", StoredFile.FineTune, 3, Stop)).Value!;
        Assert.NotNull((await hone.Files.AddPartAsync(hone.AccountId, upload.Id, new MemoryStream([1]), Stop)).Value);
        await Task.Delay(TimeSpan.FromSeconds(1.1), Stop);
        Assert.Equal(FileRefusalReason.Ended, (await hone.Files.AddPartAsync(hone.AccountId, upload.Id, new MemoryStream([2]), Stop)).Refused!.Reason);
        await hone.Collector.CollectAsync(Stop);
        Assert.Equal(FileUpload.Expired, (await hone.Files.FindUploadAsync(hone.AccountId, upload.Id, Stop))!.Status);
        Assert.Contains("is expired", (await hone.Files.CompleteUploadAsync(hone.AccountId, upload.Id, [], null, Stop)).Refused!.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Model_NameOfAJob_IsFoundByAllOfItAlone()
    {
        await using TestHone hone = await TestHone.StartAsync();
        StoredFile file = await AddAsync(hone, Rows());
        var request = new CreateJob { Model = ModelCatalog.EmbeddedId, TrainingFile = file.Id, Suffix = "a:b", Config = new TrainingConfig() };
        Finetune named = Assert.IsType<CreateResult.Created>(await hone.Finetunes.CreateJobAsync(hone.AccountId, request, Stop)).Finetune;
        Finetune bare = Assert.IsType<CreateResult.Created>(await hone.Finetunes.CreateJobAsync(hone.AccountId, request with { Suffix = null }, Stop)).Finetune;
        Finetune uploaded = await hone.CreateAsync("by name");

        Assert.Equal($"ft:{ModelCatalog.EmbeddedId}:{hone.AccountId}:a:b:{named.Id}", FinetuneRules.ModelName(named));
        Assert.Equal($"ft:{ModelCatalog.EmbeddedId}:{hone.AccountId}::{bare.Id}", FinetuneRules.ModelName(bare));
        Assert.Equal($"ft:{ModelCatalog.EmbeddedId}:{hone.AccountId}:by name:{uploaded.Id}", FinetuneRules.ModelName(uploaded));
        foreach (Finetune finetune in (Finetune[])[named, bare, uploaded])
            Assert.Equal(finetune.Id, (await hone.Finetunes.FindModelAsync(hone.AccountId, FinetuneRules.ModelName(finetune), Stop))!.Value.Finetune.Id);
        foreach (string wrong in (string[])[$"ft:other:{hone.AccountId}:a:b:{named.Id}", $"ft:{ModelCatalog.EmbeddedId}:{hone.AccountId}:a:{named.Id}", FinetuneRules.CheckpointName(named, 3), $"ft:{named.Id}x", ""])
            Assert.Null(await hone.Finetunes.FindModelAsync(hone.AccountId, wrong, Stop));
        Assert.Null(await hone.Finetunes.FindModelAsync("another", FinetuneRules.ModelName(named), Stop));
    }

    private static async Task<StoredFile> AddAsync(TestHone hone, string text)
    {
        await using StagedBlob staged = (await hone.Files.StageAsync(new MemoryStream(Encoding.UTF8.GetBytes(text)), Stop)).Value!;
        return await hone.Files.AddAsync(hone.AccountId, "rows.jsonl", StoredFile.FineTune, staged, Stop);
    }

    private static string Rows() => string.Concat(Enumerable.Range(1, 12).Select(
        i => $$"""{"messages":[{"role":"user","content":"What is {{i}} and {{i}}?"},{"role":"assistant","content":"It is {{2 * i}}."}]}""" + "\n"));
}
