using System.Text.Json;

namespace Hone.Tests.Commands;

[Trait("Category", "Slow")]
public sealed class AdminTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task Tokens_MadeListedAndRevoked_ShowTheSecretOnce()
    {
        await RunAsync("accounts", "create", "lab", "--email", "lab@example.org");
        JsonElement made = JsonElement.Parse((await RunAsync("tokens", "create", "ci", "--read-only", "--expires", "30d", "--json")).Output);
        string secret = made.GetProperty("token").GetString()!;

        Assert.Matches("^hone_[0-9A-Za-z]{46}$", secret);
        Assert.Equal("read", made.GetProperty("permission").GetString());
        CommandResult listed = await RunAsync("tokens", "list", "--json");
        Assert.Equal("active", JsonElement.Parse(listed.Output)[0].GetProperty("status").GetString());
        Assert.DoesNotContain(secret, listed.Output, StringComparison.Ordinal);

        await RunAsync("tokens", "revoke", made.GetProperty("id").GetString()!);

        Assert.Equal("revoked", JsonElement.Parse((await RunAsync("tokens", "list", "--json")).Output)[0].GetProperty("status").GetString());
        CommandResult again = await CommandLine.RunAsync("tokens", "revoke", made.GetProperty("id").GetString()!, "--data", _folder.Path);
        Assert.Equal(1, again.Code);
    }

    [Fact]
    public async Task Bug_TwoAccountsOfOneName_NeitherIsTaken()
    {
        string[] ids = new string[2];
        for (int i = 0; i < ids.Length; i++)
            ids[i] = JsonElement.Parse((await RunAsync("accounts", "create", "research", "--email", "lab@example.org", "--json")).Output).GetProperty("id").GetString()!;

        CommandResult refused = await CommandLine.RunAsync("tokens", "create", "ci", "--account", "research", "--data", _folder.Path);

        Assert.Equal((1, ""), (refused.Code, refused.Output));
        Assert.All(ids, id => Assert.Contains(id, refused.Error, StringComparison.Ordinal));
        Assert.Contains(ids[1], (await RunAsync("tokens", "create", "ci", "--account", ids[1])).Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Models_FileThatIsNone_IsRefusedWithItsPath()
    {
        string file = _folder.Write("model.gguf", "GGUFnot");

        CommandResult result = await CommandLine.RunAsync("models", "add", file, "--data", _folder.Path);

        Assert.Equal(1, result.Code);
        Assert.Contains(file, result.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Models_Check_TellsWhatTheEmbeddedOneIs()
    {
        CommandResult result = await CommandLine.RunAsync("models", "check", "@cf/huggingfacetb/smollm2-135m-instruct", "--no-answer", "--json");

        JsonElement model = JsonElement.Parse(result.Output);
        Assert.Equal(("llama", 134_515_008L, "Q4_1", true),
            (model.GetProperty("architecture").GetString(), model.GetProperty("parameters").GetInt64(), model.GetProperty("quantization").GetString(), model.GetProperty("chat_template").GetBoolean()));
        JsonElement template = model.GetProperty("template");
        Assert.Equal((true, false, false, "<|im_end|>"),
            (template.GetProperty("system").GetBoolean(), template.GetProperty("tools").GetBoolean(), template.GetProperty("generation_marks").GetBoolean(), template.GetProperty("end_of_turn").GetString()));
        Assert.Equal(
            ["q_proj 576×576 ×30", "k_proj 192×576 ×30", "v_proj 192×576 ×30", "o_proj 576×576 ×30", "gate_proj 1536×576 ×30", "up_proj 1536×576 ×30", "down_proj 576×1536 ×30"],
            model.GetProperty("adapts").EnumerateArray().Select(m => $"{m.GetProperty("name")} {m.GetProperty("shape")[0]}×{m.GetProperty("shape")[1]} ×{m.GetProperty("layers")}"));
        Assert.Equal(2_442_240, model.GetProperty("rank8").GetProperty("trainable_parameters").GetInt64());
        Assert.Equal(2 * 2_442_240, model.GetProperty("rank16").GetProperty("trainable_parameters").GetInt64());
        Assert.Equal(4 * 134_515_008L, model.GetProperty("rank8").GetProperty("train").GetProperty("weights").GetInt64());
        Assert.Equal(0, model.GetProperty("serve").GetProperty("weights").GetInt64()); // as stored, and widened as products pack them
        Assert.True(model.GetProperty("tokenizes").GetProperty("same").GetBoolean());
        Assert.Equal(JsonValueKind.Null, model.GetProperty("answer").ValueKind);
    }

    [Fact]
    [Trait("Category", "Native")]
    [Trait("Category", "Slow")]
    public async Task Models_Check_LetsTheModelAnswer()
    {
        CommandResult result = await CommandLine.RunAsync("models", "check", "@cf/huggingfacetb/smollm2-135m-instruct");

        Assert.True(result.Code == 0, result.Error);
        Assert.Matches("chat template +yes, with system messages; without tools, tool calls, generation marks", result.Output);
        Assert.Matches("trained at rank 8 +2,442,240 parameters; about ", result.Output);
        Assert.Matches("tokenizes +\"Hello, .*🙂\\\\n\\\\tx .* and back", result.Output);
        Assert.Matches("answers +\"[^\"]*Paris", result.Output);
    }

    [Fact]
    public async Task Models_Check_KeyThatIsNotUnderstood_IsNamed()
    {
        string config = _folder.Write("config.json", """{"model_type":"llama","num_hidden_layers":1,"hidden_size":8,"num_attention_heads":2,"intermediate_size":8,"vocab_size":8,"rms_norm_eps":1e-5,"max_position_embeddings":64,"rope_scaling":{"rope_type":"spiral","factor":2}}""");

        CommandResult result = await CommandLine.RunAsync("models", "check", Path.GetDirectoryName(config)!);

        Assert.Equal((1, ""), (result.Code, result.Output));
        Assert.Contains($"{config}: $.rope_scaling.rope_type is 'spiral'", result.Error, StringComparison.Ordinal);
    }

    private async Task<CommandResult> RunAsync(params string[] args)
    {
        CommandResult result = await CommandLine.RunAsync([.. args, "--data", _folder.Path]);
        Assert.True(result.Code == 0, result.Error);
        return result;
    }
}
