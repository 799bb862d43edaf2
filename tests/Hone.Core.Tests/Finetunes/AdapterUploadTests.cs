using System.Text;
using Hone.Core.Blobs;
using Hone.Core.Finetunes;
using Hone.Core.Models;
using Hone.Formats.Adapters;
using Hone.Formats.Models;
using Hone.Formats.Safetensors;
using Microsoft.Extensions.Time.Testing;

namespace Hone.Core.Tests.Finetunes;

/// <summary>Adapters that are brought, made here for the embedded base: two matrices, rank 2.</summary>
public sealed class AdapterUploadTests
{
    private static readonly byte[] Config = Encoding.UTF8.GetBytes("""
        {"peft_type":"LORA","task_type":"CAUSAL_LM","base_model_name_or_path":"HuggingFaceTB/SmolLM2-135M-Instruct","r":2,"lora_alpha":4,
         "lora_dropout":0.0,"bias":"none","target_modules":["q_proj"],"layers_to_transform":[0,1]}
        """);

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData("adapter_config.json", "adapter_model.safetensors")]
    [InlineData("adapter_model.safetensors", "adapter_config.json")]
    public async Task BothFiles_AnyOrder_ReadyWithTheSecond(string first, string second)
    {
        await using TestHone hone = await TestHone.StartAsync();
        byte[] weights = await WeightsAsync(hone);
        Finetune made = await hone.CreateAsync("brought");
        Assert.Equal(FinetuneState.AwaitingAssets, Stored(await hone.UploadAsync("brought", first, Bytes(first, weights))).Finetune.State);
        Assert.Null(await hone.Adapters.GetAsync(made.Id, Stop));
        UploadResult.Stored done = Stored(await hone.UploadAsync("brought", second, Bytes(second, weights)));
        Assert.Equal(FinetuneState.Ready, done.Finetune.State);
        Assert.Equal("The job has successfully completed", (await hone.Finetunes.ListEventsAsync(made.Id, 0, 100, Stop))[^1].Message);

        AdapterFolder folder = (await hone.Adapters.GetAsync(made.Id, Stop))!;
        Assert.Equal(weights, await File.ReadAllBytesAsync(Path.Combine(folder.Path, "adapter_model.safetensors"), Stop));
        Assert.Equal(Config, await File.ReadAllBytesAsync(Path.Combine(folder.Path, "adapter_config.json"), Stop));
        Assert.Equal(folder, await hone.Adapters.GetAsync(made.Id, Stop));
        Assert.IsType<UploadResult.SameAgain>(await hone.UploadAsync("brought", first, Bytes(first, weights)));
    }

    [Theory]
    [InlineData("brought")]
    [InlineData("ID")]
    [InlineData("ft:MODEL:ACCOUNT:brought:ID")]
    public async Task StartFrom_AdapterOfAnother_StaysWhenThatIsDeleted(string name)
    {
        var clock = new FakeTimeProvider(TimeProvider.System.GetUtcNow());
        await using TestHone hone = await TestHone.StartAsync(clock: clock);
        byte[] weights = await WeightsAsync(hone);
        Finetune made = await hone.CreateAsync("brought"), next = await hone.CreateAsync("next");
        string from = name.Replace("ID", $"{made.Id}", StringComparison.Ordinal).Replace("MODEL", made.Model, StringComparison.Ordinal).Replace("ACCOUNT", made.AccountId, StringComparison.Ordinal);
        byte[] config = Encoding.UTF8.GetBytes($$"""{"start_from":"{{from}}","n_epochs":1}""");
        UploadResult.Refused early = Assert.IsType<UploadResult.Refused>(await hone.UploadAsync("next", "training_config.json", config));
        Assert.Contains($"$.start_from: \"{from}\" waits for its files", Assert.Single(early.Errors), StringComparison.Ordinal);
        foreach (string file in (string[])["adapter_config.json", "adapter_model.safetensors"])
            await hone.UploadAsync("brought", file, Bytes(file, weights));

        Stored(await hone.UploadAsync("next", "training_config.json", config));
        clock.Advance(TimeSpan.FromDays(1));
        await hone.Finetunes.DeleteAsync(hone.AccountId, "brought", Stop);
        await hone.Collector.CollectAsync(Stop);

        Assert.Equal(["start_adapter_config.json", "start_adapter_model.safetensors", "training_config.json"], (await hone.Finetunes.ListAssetsAsync(next.Id, Stop)).Select(a => a.FileName));
        await using AssetContent kept = (await hone.Finetunes.OpenAssetAsync(next.Id, "start_adapter_model.safetensors", Stop))!;
        Assert.Equal(weights.Length, kept.Content.Length);
        Assert.Contains($"\"start_from\":\"ft:{made.Model}:{made.AccountId}:brought:{made.Id}\"", (await hone.GetAsync(next.Id)).ConfigJson, StringComparison.Ordinal);
        Assert.IsType<UploadResult.Refused>(await hone.UploadAsync("next", "adapter_config.json", Config));
    }

    [Fact]
    public async Task StartFrom_AnotherAccountsModel_IsNotThere()
    {
        await using TestHone hone = await TestHone.StartAsync();
        byte[] weights = await WeightsAsync(hone);
        string stranger = (await hone.Accounts.CreateAccountAsync("other", "other@example.com", Stop)).Account.Id;
        var request = new CreateFinetune { Model = ModelCatalog.EmbeddedId, Name = "theirs", Public = true };
        Finetune theirs = Assert.IsType<CreateResult.Created>(await hone.Finetunes.CreateAsync(stranger, request, Stop)).Finetune;
        foreach (string file in (string[])["adapter_config.json", "adapter_model.safetensors"])
            Stored(await hone.Finetunes.UploadAssetAsync(stranger, "theirs", file, new MemoryStream(Bytes(file, weights)), Stop));
        await hone.CreateAsync("next");
        foreach (string name in (string[])["theirs", $"{theirs.Id}", FinetuneRules.ModelName(theirs)])
        {
            UploadResult.Refused refused = Assert.IsType<UploadResult.Refused>(await hone.UploadAsync("next", "training_config.json", Encoding.UTF8.GetBytes($$"""{"start_from":"{{name}}"}""")));
            Assert.Contains("There is no fine-tuned model", Assert.Single(refused.Errors), StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task BothFiles_AtOnce_Ready()
    {
        await using TestHone hone = await TestHone.StartAsync();
        byte[] weights = await WeightsAsync(hone);
        for (int round = 0; round < 5; round++)
        {
            Finetune made = await hone.CreateAsync($"round {round}");
            await Task.WhenAll(
                Task.Run(() => hone.UploadAsync(made.Name, "adapter_config.json", Config)),
                Task.Run(() => hone.UploadAsync(made.Name, "adapter_model.safetensors", weights)));
            Assert.Equal(FinetuneState.Ready, (await hone.GetAsync(made.Id)).State);
        }
    }

    [Fact]
    public async Task SecondFile_DoesNotFit_RefusedAndNotKept()
    {
        await using TestHone hone = await TestHone.StartAsync();
        byte[] weights = await WeightsAsync(hone, rank: 3);
        Finetune made = await hone.CreateAsync("brought");
        Stored(await hone.UploadAsync("brought", "adapter_config.json", Config));
        var refused = Assert.IsType<UploadResult.Refused>(await hone.UploadAsync("brought", "adapter_model.safetensors", weights));
        Assert.Equal(UploadRefusal.Invalid, refused.Reason);
        Assert.Contains(refused.Errors, e => e.Contains("rank", StringComparison.OrdinalIgnoreCase));
        Assert.Equal(["adapter_config.json"], (await hone.Finetunes.ListAssetsAsync(made.Id, Stop)).Select(a => a.FileName));
        Assert.Single(hone.BlobFiles());
        Assert.Equal(FinetuneState.Ready, Stored(await hone.UploadAsync("brought", "adapter_model.safetensors", await WeightsAsync(hone))).Finetune.State);
    }

    [Fact]
    public async Task FirstFile_Broken_RefusedAtOnce()
    {
        await using TestHone hone = await TestHone.StartAsync();
        await hone.CreateAsync("brought");
        byte[] huge = [.. BitConverter.GetBytes(2L << 30), .. "{}"u8];
        foreach ((string name, byte[] bytes) in new[] { ("adapter_model.safetensors", huge), ("adapter_model.safetensors", new byte[] { 1 }), ("adapter_config.json", "{\"r\":"u8.ToArray()) })
        {
            var refused = Assert.IsType<UploadResult.Refused>(await hone.UploadAsync("brought", name, bytes));
            Assert.Equal(UploadRefusal.Invalid, refused.Reason);
            Assert.All(refused.Errors, e => Assert.DoesNotContain(hone.Folder, e, StringComparison.Ordinal));
        }
        Assert.Empty(hone.BlobFiles());
    }

    [Fact]
    public async Task AdapterAndTrainingData_InOneFinetune_Refused()
    {
        await using TestHone hone = await TestHone.StartAsync();
        await hone.CreateAsync("brought");
        Stored(await hone.UploadAsync("brought", "adapter_config.json", Config));
        var refused = Assert.IsType<UploadResult.Refused>(await hone.UploadAsync("brought", "training_data.jsonl", [1]));
        Assert.Equal(UploadRefusal.WrongState, refused.Reason);
    }

    [Fact]
    public async Task Deleted_AndCollected_LeavesNoFolder()
    {
        await using TestHone hone = await TestHone.StartAsync(new HoneLimits { UnreferencedBlobSeconds = 1 }, new Microsoft.Extensions.Time.Testing.FakeTimeProvider(TimeProvider.System.GetUtcNow().AddDays(1)));
        Finetune made = await hone.CreateAsync("brought");
        await hone.UploadAsync("brought", "adapter_config.json", Config);
        await hone.UploadAsync("brought", "adapter_model.safetensors", await WeightsAsync(hone));
        AdapterFolder folder = (await hone.Adapters.GetAsync(made.Id, Stop))!;
        Assert.Equal(0, await hone.Collector.CollectAsync(Stop));
        Assert.True(Directory.Exists(folder.Path));
        await hone.Finetunes.DeleteAsync(hone.AccountId, "brought", Stop);
        Assert.Equal(2, await hone.Collector.CollectAsync(Stop));
        Assert.False(Directory.Exists(folder.Path));
        Assert.Empty(hone.BlobFiles());
    }

    private static UploadResult.Stored Stored(UploadResult result) =>
        result as UploadResult.Stored ?? throw new InvalidOperationException(result is UploadResult.Refused refused ? string.Join('\n', refused.Errors) : result.ToString());

    private static byte[] Bytes(string fileName, byte[] weights) => fileName == "adapter_config.json" ? Config : weights;

    private static async Task<byte[]> WeightsAsync(TestHone hone, int rank = 2)
    {
        BaseModel model = await hone.Models.OpenAsync(ModelCatalog.EmbeddedId, Stop);
        var tensors = new List<SafetensorsData>();
        foreach (LinearModule module in model.LinearModules.Where(m => m.Name is "model.layers.0.self_attn.q_proj" or "model.layers.1.self_attn.q_proj"))
        {
            tensors.Add(new SafetensorsData(PeftNames.A(module.Name), [rank, module.In], Values(rank * module.In)));
            tensors.Add(new SafetensorsData(PeftNames.B(module.Name), [module.Out, rank], Values(module.Out * rank)));
        }
        var stream = new MemoryStream();
        SafetensorsWriter.Write(stream, tensors);
        return stream.ToArray();
    }

    private static float[] Values(int count) => [.. Enumerable.Range(0, count).Select(i => ((i * 7919 % 1000) - 500) / 5000f)];
}
