using System.Text.Json.Nodes;
using Hone.Formats.Adapters;
using Hone.Formats.Safetensors;

namespace Hone.Tests.Crash;

/// <summary>
/// Jobs that train more than A and B, over HTTP with the real executable, worker, trainer and engine: trained, proven, answered with, downloaded; forms that cannot
/// hold what was trained are refused by its name.
/// </summary>
[Trait("Category", "Slow")]
[Trait("Category", "Native")]
public sealed class AdapterKindsTests : IDisposable
{
    private const string Model = "@local/small";
    private const string Prompt = "Parcel 3 is late.";

    private readonly CrashFolder _folder = new();
    private readonly string _models = Directory.CreateTempSubdirectory("hone-kinds-models-").FullName;
    private readonly string _downloads = Directory.CreateTempSubdirectory("hone-kinds-").FullName;

    public void Dispose()
    {
        _folder.Dispose();
        Directory.Delete(_models, recursive: true);
        Directory.Delete(_downloads, recursive: true);
    }

    [Theory]
    [InlineData("\"lora_bias\":true,\"modules_to_save\":[\"embed_tokens\",\"lm_head\"]", false, "lora_B.bias lm_head embed_tokens", "(lora_bias)", "(lora_bias)")]
    [InlineData("\"use_dora\":true,\"method\":\"dpo\"", true, "lora_magnitude_vector", "DoRA", null)]
    [InlineData("\"modules_to_save\":[\"lm_head\"],\"precision\":\"as_stored\",\"dropout\":0.1", true, "lm_head", "lm_head (modules_to_save)", null)]
    public async Task Job_AdapterOfThisKind_IsReadyAnswersAndDownloads(string config, bool pairs, string tensors, string noGguf, string? notMerged)
    {
        SmallModel.Write(Repository.PathOf("models/SmolLM2-135M-Instruct.Q4_1.gguf"), Path.Combine(_models, "small.gguf"));
        await using CrashServer server = await CrashServer.StartAsync(_folder.Data, _models);
        string id = await server.CreateAsync(Model, "kind");
        await server.UploadAsync(id, "training_config.json", $$"""{"n_epochs":2,"batch_size":4,"rank":4,"learning_rate":0.02,"seed":7,{{config}}}""");
        await server.UploadAsync(id, "training_data.jsonl", string.Concat(Enumerable.Range(1, 12).Select(i => (pairs ? Pair(i) : Chat(i)) + "\n")));
        JsonNode state = await server.FinishAsync(id);
        Assert.True(state["status"]!.GetValue<string>() == "ready", state.ToJsonString());

        string bases = await server.AskAsync(Model, Prompt, null), answer = await server.AskAsync(Model, Prompt, id);
        Assert.NotEqual("", answer);
        Assert.NotEqual(bases, answer);
        Assert.Equal(answer, await server.AskAsync(Model, Prompt, id));

        JsonNode peft = JsonNode.Parse(await server.DownloadAsync(id, AdapterConfig.FileName))!;
        foreach ((string key, JsonNode? value) in JsonNode.Parse($"{{{config}}}")!.AsObject().Where(c => c.Key is "lora_bias" or "modules_to_save" or "use_dora"))
            Assert.Equal(value!.ToJsonString(), peft[key]!.ToJsonString());
        string weights = Path.Combine(_downloads, AdapterConfig.WeightsFileName);
        await File.WriteAllBytesAsync(weights, await server.DownloadAsync(id, AdapterConfig.WeightsFileName));
        using (SafetensorsFile file = SafetensorsFile.Open(weights))
            Assert.All(tensors.Split(' '), part => Assert.Contains(file.Tensors, t => t.Name.Contains(part, StringComparison.Ordinal)));
        Assert.Equal(12, (await server.DownloadAsync(id, "rows.jsonl")).Count(b => b == '\n'));

        await ExportAsync(server, id, ["--format", "gguf"], AdapterExport.GgufFileName, noGguf);
        await ExportAsync(server, id, ["--merged"], AdapterExport.MergedFileName, notMerged);
    }

    /// <param name="refusal">What the error names; null: the file comes.</param>
    private async Task ExportAsync(CrashServer server, string id, string[] form, string fileName, string? refusal)
    {
        string folder = Path.Combine(_downloads, fileName);
        CommandResult result = await CommandLine.RunAsync(["finetune", "download", id, .. form, "--to", folder, .. server.Connection]);
        string target = Path.Combine(folder, fileName);
        if (refusal is null)
        {
            Assert.Equal((0, ""), (result.Code, result.Error));
            using SafetensorsFile merged = SafetensorsFile.Open(target);
            Assert.Contains(merged.Tensors, t => t.Name == "model.layers.0.mlp.up_proj.weight");
            return;
        }
        Assert.Equal(1, result.Code);
        Assert.Contains(refusal, result.Error, StringComparison.Ordinal);
        Assert.Contains("Take the ", result.Error, StringComparison.Ordinal);
        Assert.Empty(Directory.EnumerateFiles(folder));
    }

    private static string Chat(int i) => $$"""{"messages":[{"role":"user","content":"Parcel {{i}} is late."},{"role":"assistant","content":"delay {{i * 7 % 12}}"}]}""";

    private static string Pair(int i) =>
        $$"""{"input":{"messages":[{"role":"user","content":"Parcel {{i}} is late."}]},"preferred_output":[{"role":"assistant","content":"delay {{i * 7 % 12}}"}],"non_preferred_output":[{"role":"assistant","content":"no"}]}""";
}
