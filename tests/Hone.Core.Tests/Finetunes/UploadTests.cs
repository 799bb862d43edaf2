using System.Text;
using Hone.Core.Finetunes;

namespace Hone.Core.Tests.Finetunes;

public sealed class UploadTests
{
    private static readonly byte[] Training = File.ReadAllBytes(Repository.File("examples/support-triage/train.jsonl"));
    private static readonly byte[] Validation = File.ReadAllBytes(Repository.File("examples/support-triage/valid.jsonl"));

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public async Task TrainingData_Good_QueuedWithEventsAndBlob()
    {
        await using TestHone hone = await TestHone.StartAsync();
        Finetune made = await hone.CreateAsync("f");
        var stored = Assert.IsType<UploadResult.Stored>(await hone.UploadAsync("f", "training_data.jsonl", Training));
        Assert.Equal(FinetuneState.Queued, stored.Finetune.State);
        Assert.Equal(240, stored.Report!.Stats.Rows);
        Assert.Equal(
            [$"Created fine-tuning job: {made.Id}", "Validating training file: training_data.jsonl", "Files validated, moving job to queued state"],
            (await hone.Finetunes.ListEventsAsync(made.Id, 0, 100, Stop)).Where(e => e.Level == "info").Select(e => e.Message));
        await using AssetContent content = (await hone.Finetunes.OpenAssetAsync(made.Id, "training_data.jsonl", Stop))!;
        var copy = new MemoryStream();
        await content.Content.CopyToAsync(copy, Stop);
        Assert.Equal(Training, copy.ToArray());
        Assert.Equal([hone.Blobs.PathOf(stored.Asset.Sha256)], hone.BlobFiles());
        Assert.True(await hone.Blobs.VerifyAsync(stored.Asset.Sha256, Stop));
        Assert.NotNull(await hone.Queue.ClaimAsync("w", TimeSpan.FromSeconds(30), Stop));
    }

    [Fact]
    public async Task TrainingData_BadRow_RefusedWithReportAndNothingStored()
    {
        await using TestHone hone = await TestHone.StartAsync();
        Finetune made = await hone.CreateAsync("f");
        string[] lines = Encoding.UTF8.GetString(Training).Split('\n');
        lines[2] = """{"messages": [{"role": "user" "content": "x"}]}""";
        var refused = Assert.IsType<UploadResult.Refused>(await hone.UploadAsync("f", "training_data.jsonl", Encoding.UTF8.GetBytes(string.Join('\n', lines))));
        Assert.Equal(UploadRefusal.Invalid, refused.Reason);
        Assert.Equal(3, Assert.Single(refused.Report!.Errors).Line);
        Assert.Contains("line 3", Assert.Single(refused.Errors), StringComparison.Ordinal);
        Assert.Equal(FinetuneState.AwaitingAssets, (await hone.GetAsync(made.Id)).State);
        Assert.Empty(await hone.Finetunes.ListAssetsAsync(made.Id, Stop));
        Assert.Empty(hone.BlobFiles());
        Assert.Single(await hone.Finetunes.ListEventsAsync(made.Id, 0, 100, Stop));
        Assert.IsType<UploadResult.Stored>(await hone.UploadAsync("f", "training_data.jsonl", Training));
    }

    [Fact]
    public async Task ConfigAndValidation_BeforeTraining_GoWithTheJobAndAfterItAreRefused()
    {
        await using TestHone hone = await TestHone.StartAsync();
        await hone.CreateAsync("f");
        Assert.IsType<UploadResult.Stored>(await hone.UploadAsync("f", "training_config.json", """{"rank": 8, "n_epochs": "auto"}"""u8.ToArray()));
        Assert.IsType<UploadResult.Stored>(await hone.UploadAsync("f", "validation_data.jsonl", Validation));
        Assert.Equal(FinetuneState.AwaitingAssets, (await hone.Finetunes.FindAsync(hone.AccountId, "f", false, Stop))!.State);
        Assert.IsType<UploadResult.Stored>(await hone.UploadAsync("f", "training_data.jsonl", Training));
        var job = (await hone.Queue.ClaimAsync("w", TimeSpan.FromSeconds(30), Stop))!;
        Assert.Equal((8, null), (job.Config.Rank, job.Config.NEpochs));
        Assert.Equal(["training_config.json", "training_data.jsonl", "validation_data.jsonl"], job.Assets.Keys.Order());

        await hone.CreateAsync("g");
        await hone.UploadAsync("g", "training_data.jsonl", Training);
        var late = Assert.IsType<UploadResult.Refused>(await hone.UploadAsync("g", "validation_data.jsonl", Validation));
        Assert.Equal(UploadRefusal.WrongState, late.Reason);
        Assert.Contains("queued", Assert.Single(late.Errors), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Validation_SameRowsAsTraining_Refused()
    {
        await using TestHone hone = await TestHone.StartAsync();
        Finetune made = await hone.CreateAsync("f");
        Assert.IsType<UploadResult.Stored>(await hone.UploadAsync("f", "validation_data.jsonl", Training));
        var refused = Assert.IsType<UploadResult.Refused>(await hone.UploadAsync("f", "training_data.jsonl", Training));
        Assert.Equal(UploadRefusal.Invalid, refused.Reason);
        Assert.Equal(FinetuneState.AwaitingAssets, (await hone.GetAsync(made.Id)).State);
    }

    [Fact]
    public async Task TrainingConfig_Bad_RefusedWithEveryError()
    {
        await using TestHone hone = await TestHone.StartAsync();
        await hone.CreateAsync("f");
        var refused = Assert.IsType<UploadResult.Refused>(await hone.UploadAsync("f", "training_config.json", """{"rank": 0, "n_epochs": "many"}"""u8.ToArray()));
        Assert.Equal(2, refused.Errors.Count);
        Assert.Equal(2, refused.Report!.Errors.Count);
        Assert.Empty(hone.BlobFiles());
    }

    [Fact]
    public async Task Upload_SameBytesAgain_AcceptedAndOthersRefused()
    {
        await using TestHone hone = await TestHone.StartAsync();
        Finetune made = await hone.CreateAsync("f");
        var first = Assert.IsType<UploadResult.Stored>(await hone.UploadAsync("f", "training_data.jsonl", Training));
        var again = Assert.IsType<UploadResult.SameAgain>(await hone.UploadAsync("f", "training_data.jsonl", Training));
        Assert.Equal(first.Asset.CreatedAt, again.Asset.CreatedAt);
        Assert.Equal(UploadRefusal.AlreadyStored, Assert.IsType<UploadResult.Refused>(await hone.UploadAsync("f", "training_data.jsonl", Training[..^1])).Reason);
        Assert.Equal(first.Asset.Sha256, Assert.Single(await hone.Finetunes.ListAssetsAsync(made.Id, Stop)).Sha256);
        Assert.Single(hone.BlobFiles());
    }

    [Fact]
    public async Task Upload_SameFileEightTimesAtOnce_StoredOnce()
    {
        await using TestHone hone = await TestHone.StartAsync();
        Finetune made = await hone.CreateAsync("f");
        UploadResult[] results = await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => Task.Run(() => hone.UploadAsync("f", "training_data.jsonl", Training))));
        Assert.Single(results.OfType<UploadResult.Stored>());
        Assert.Equal(7, results.OfType<UploadResult.SameAgain>().Count());
        Assert.Single(await hone.Finetunes.ListEventsAsync(made.Id, 0, 100, Stop), e => e.Message.StartsWith("Files validated", StringComparison.Ordinal));
        Assert.Single(hone.BlobFiles());
    }

    [Theory]
    [InlineData("../../x")]
    [InlineData("/etc/passwd")]
    [InlineData("training_data.jsonl\0")]
    [InlineData("training\ndata.jsonl")]
    [InlineData("Training_Data.jsonl")]
    [InlineData("")]
    [InlineData(null)]
    public async Task Upload_UnknownFileName_RefusedListingTheAccepted(string? fileName)
    {
        await using TestHone hone = await TestHone.StartAsync();
        await hone.CreateAsync("f");
        var refused = Assert.IsType<UploadResult.Refused>(await hone.UploadAsync("f", fileName!, [1]));
        Assert.Equal(UploadRefusal.UnknownFileName, refused.Reason);
        string error = Assert.Single(refused.Errors);
        Assert.All(AssetFiles.Accepted, name => Assert.Contains(name, error, StringComparison.Ordinal));
        Assert.DoesNotContain(error, char.IsControl);
        Assert.Empty(hone.BlobFiles());
    }

    [Fact]
    public async Task Upload_UnknownFinetuneOrAnothersOne_Refused()
    {
        await using TestHone hone = await TestHone.StartAsync();
        Finetune made = await hone.CreateAsync("f");
        string other = (await hone.Accounts.CreateAccountAsync("other", "other@example.com", Stop)).Account.Id;
        foreach ((string account, string id) in new[] { (hone.AccountId, new string('x', 10_000)), (other, "f"), (other, made.Id.ToString()) })
        {
            UploadResult result = await hone.Finetunes.UploadAssetAsync(account, id, "training_data.jsonl", new MemoryStream(Training), Stop);
            Assert.Equal(UploadRefusal.FinetuneNotFound, Assert.IsType<UploadResult.Refused>(result).Reason);
        }
    }

    [Fact]
    public async Task Upload_OverTheLimit_StopsReadingThere()
    {
        await using TestHone hone = await TestHone.StartAsync(new HoneLimits { TrainingDataBytes = 1_000_000 });
        await hone.CreateAsync("f");
        var endless = new PatternStream(long.MaxValue);
        UploadResult result = await hone.Finetunes.UploadAssetAsync(hone.AccountId, "f", "training_data.jsonl", endless, Stop);
        Assert.Equal(UploadRefusal.TooLarge, Assert.IsType<UploadResult.Refused>(result).Reason);
        Assert.InRange(endless.Position, 1_000_001, 2_000_000);
        Assert.Empty(hone.BlobFiles());
    }

    [Fact]
    public async Task Upload_StreamBreaks_NothingRemains()
    {
        await using TestHone hone = await TestHone.StartAsync();
        Finetune made = await hone.CreateAsync("f");
        var broken = new PatternStream(3_000_000, failAt: 1_000_000);
        await Assert.ThrowsAsync<EndOfStreamException>(() => hone.Finetunes.UploadAssetAsync(hone.AccountId, "f", "training_data.jsonl", broken, Stop));
        Assert.Empty(hone.BlobFiles());
        Assert.Empty(await hone.Finetunes.ListAssetsAsync(made.Id, Stop));
        Assert.IsType<UploadResult.Stored>(await hone.UploadAsync("f", "training_data.jsonl", Training));
    }

    [Theory]
    [InlineData("training_data.jsonl")]
    [InlineData("adapter_model.safetensors")]
    [InlineData("adapter_config.json")]
    [InlineData("training_config.json")]
    public async Task Upload_Empty_Refused(string fileName)
    {
        await using TestHone hone = await TestHone.StartAsync();
        await hone.CreateAsync("f");
        Assert.Contains("empty", Assert.Single(Assert.IsType<UploadResult.Refused>(await hone.UploadAsync("f", fileName, [])).Errors), StringComparison.Ordinal);
        Assert.Empty(hone.BlobFiles());
    }
}
