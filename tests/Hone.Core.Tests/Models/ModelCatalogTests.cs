using Hone.Core.Models;
using Hone.Formats.Models;

namespace Hone.Core.Tests.Models;

public sealed class ModelCatalogTests
{
    private static readonly string Embedded = Repository.File("models/SmolLM2-135M-Instruct.Q4_1.gguf");

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Find_Embedded_ItsFileAndFigures()
    {
        await using TestHone hone = await TestHone.StartAsync();
        ModelEntry entry = (await hone.Models.FindAsync(ModelCatalog.EmbeddedId, Stop))!;
        Assert.Equal(Embedded, entry.Path);
        Assert.Null(await hone.Models.FindAsync(ModelCatalog.EmbeddedId.ToUpperInvariant(), Stop));
        BaseModel model = await hone.Models.OpenAsync(entry.Id, Stop);
        ModelMetadata metadata = ModelCatalog.Metadata(entry);
        Assert.Equal((model.Parameters, model.ContextLength, model.Config.Architecture), (metadata.Parameters!.Value, metadata.ContextLength!.Value, metadata.Architecture!));
        Assert.Equal(64, (await hone.Models.Sha256Async(entry, Stop)).Length);
    }

    [Fact]
    public async Task Open_ManyAtOnce_OneModel()
    {
        await using TestHone hone = await TestHone.StartAsync();
        BaseModel[] models = await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => hone.Models.OpenAsync(ModelCatalog.EmbeddedId, Stop)));
        Assert.All(models, m => Assert.Same(models[0], m));
    }

    [Fact]
    public async Task Add_Link_ListedOpenedRemoved()
    {
        await using TestHone hone = await TestHone.StartAsync();
        var added = Assert.IsType<AddModelResult.Added>(await hone.Models.AddAsync(Embedded, "@mine/smol", Stop));
        Assert.Equal([ModelCatalog.EmbeddedId, "@mine/smol"], (await hone.Models.ListAsync(Stop)).Select(m => m.Id));
        Assert.Equal(added.Model.Sha256, await hone.Models.Sha256Async((await hone.Models.FindAsync(ModelCatalog.EmbeddedId, Stop))!, Stop));
        Assert.Equal(135, ModelCatalog.Metadata(added.Model).Parameters!.Value / 1_000_000, 1.0);
        Assert.NotNull(await hone.Models.OpenAsync("@mine/smol", Stop));
        Assert.True(await hone.Models.RemoveAsync("@mine/smol", Stop));
        Assert.False(await hone.Models.RemoveAsync("@mine/smol", Stop));
        await Assert.ThrowsAsync<ModelUnavailableException>(() => hone.Models.OpenAsync("@mine/smol", Stop));
        Assert.True(File.Exists(Embedded));
    }

    [Fact]
    public async Task F1_WeightThatIsNotFinite_RefusedAtAdd()
    {
        await using TestHone hone = await TestHone.StartAsync();
        string folder = Directory.CreateDirectory(Path.Combine(hone.Folder, "Tiny Qwen2")).FullName, weights = Path.Combine(folder, "model.safetensors");
        foreach (string name in new[] { "config.json", "model.safetensors" })
            File.Copy(Repository.File($"tests/references/models/qwen2/{name}"), Path.Combine(folder, name));
        await File.WriteAllTextAsync(Path.Combine(folder, "tokenizer.json"), """
            {"version":"1.0","added_tokens":[],"normalizer":null,"pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":true},
             "post_processor":null,"decoder":{"type":"ByteLevel","add_prefix_space":true,"trim_offsets":true,"use_regex":true},
             "model":{"type":"BPE","vocab":{"x":0,"y":1,"a":2,"b":3},"merges":[]}}
            """, Stop);
        ModelEntry added = Assert.IsType<AddModelResult.Added>(await hone.Models.AddAsync(folder, null, Stop)).Model;
        Assert.Equal("@local/tiny-qwen2", added.Id);
        Assert.Equal(64, added.Sha256!.Length);
        Assert.Equal("qwen2", (await hone.Models.OpenAsync(added.Id, Stop)).Config.Architecture);
        Assert.True(await hone.Models.RemoveAsync(added.Id, Stop));

        byte[] bytes = await File.ReadAllBytesAsync(weights, Stop);
        BitConverter.TryWriteBytes(bytes.AsSpan(bytes.Length - 4), float.NaN);
        string broken = Directory.CreateDirectory(Path.Combine(hone.Folder, "broken")).FullName;
        foreach (string name in new[] { "config.json", "tokenizer.json" })
            File.Copy(Path.Combine(folder, name), Path.Combine(broken, name));
        await File.WriteAllBytesAsync(Path.Combine(broken, "model.safetensors"), bytes, Stop);
        string error = Assert.Single(Assert.IsType<AddModelResult.Refused>(await hone.Models.AddAsync(broken, null, Stop)).Errors);
        Assert.Contains("the tensor 'model.norm.weight' holds NaN at index 47", error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Add_IdTakenOrMisshapen_Refused()
    {
        await using TestHone hone = await TestHone.StartAsync();
        foreach (string id in new[] { ModelCatalog.EmbeddedId, "", "a b", "../x", "@cf//x", "a/", "x\n", new string('a', 201) })
            Assert.Single(Assert.IsType<AddModelResult.Refused>(await hone.Models.AddAsync(Embedded, id, Stop)).Errors);
    }

    [Fact]
    public async Task Add_NoModel_RefusedSayingWhy()
    {
        await using TestHone hone = await TestHone.StartAsync();
        string truncated = Path.Combine(hone.Folder, "Cut Short.gguf");
        await using (FileStream whole = File.OpenRead(Embedded))
        {
            byte[] head = new byte[3_000_000];
            await whole.ReadExactlyAsync(head, Stop);
            await File.WriteAllBytesAsync(truncated, head, Stop);
        }
        Assert.Contains(truncated, Assert.Single(Assert.IsType<AddModelResult.Refused>(await hone.Models.AddAsync(truncated, null, Stop)).Errors), StringComparison.Ordinal);
        Assert.Contains("is a folder", Assert.Single(Assert.IsType<AddModelResult.Refused>(await hone.Models.AddAsync(hone.Folder, null, Stop)).Errors), StringComparison.Ordinal);
        Assert.Contains("no file", Assert.Single(Assert.IsType<AddModelResult.Refused>(await hone.Models.AddAsync(truncated + "x", null, Stop)).Errors), StringComparison.Ordinal);
        Assert.Single(await hone.Models.ListAsync(Stop));
    }

    [Fact]
    public async Task Open_FileChangedSinceAdded_Refused()
    {
        await using TestHone hone = await TestHone.StartAsync();
        string copy = Path.Combine(hone.Folder, "Copy of it.gguf");
        File.Copy(Embedded, copy);
        Assert.Equal("@local/copy-of-it", Assert.IsType<AddModelResult.Added>(await hone.Models.AddAsync(copy, null, Stop)).Model.Id);
        Assert.NotNull(await hone.Models.OpenAsync("@local/copy-of-it", Stop));
        File.SetLastWriteTimeUtc(copy, DateTime.UnixEpoch);
        Assert.Contains("changed", (await Assert.ThrowsAsync<ModelUnavailableException>(() => hone.Models.OpenAsync("@local/copy-of-it", Stop))).Message, StringComparison.Ordinal);
        File.Delete(copy);
        Assert.Contains("gone", (await Assert.ThrowsAsync<ModelUnavailableException>(() => hone.Models.OpenAsync("@local/copy-of-it", Stop))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Bug_FileLockedOnce_ModelStayedBroken()
    {
        await using TestHone hone = await TestHone.StartAsync();
        string copy = Path.Combine(hone.Folder, "copy.gguf");
        File.Copy(Embedded, copy);
        ModelEntry added = Assert.IsType<AddModelResult.Added>(await hone.Models.AddAsync(copy, null, Stop)).Model;
        var unhashed = new ModelEntry { Id = added.Id, Path = copy, Size = added.Size, ModifiedAt = added.ModifiedAt, CreatedAt = added.CreatedAt, MetadataJson = added.MetadataJson };
        await using (new FileStream(copy, FileMode.Open, FileAccess.ReadWrite, FileShare.None))
        {
            await Assert.ThrowsAsync<IOException>(() => hone.Models.OpenAsync(added.Id, Stop));
            await Assert.ThrowsAsync<IOException>(() => hone.Models.Sha256Async(unhashed, Stop));
        }

        Assert.NotNull(await hone.Models.OpenAsync(added.Id, Stop));
        Assert.Equal(added.Sha256, await hone.Models.Sha256Async(unhashed, Stop));
    }
}
