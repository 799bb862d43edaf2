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
        CommandResult result = await CommandLine.RunAsync("models", "check", "@cf/huggingfacetb/smollm2-135m-instruct", "--json");

        JsonElement model = JsonElement.Parse(result.Output);
        Assert.Equal(("llama", 134_515_008L, "Q4_1", true),
            (model.GetProperty("architecture").GetString(), model.GetProperty("parameters").GetInt64(), model.GetProperty("quantization").GetString(), model.GetProperty("chat_template").GetBoolean()));
    }

    private async Task<CommandResult> RunAsync(params string[] args)
    {
        CommandResult result = await CommandLine.RunAsync([.. args, "--data", _folder.Path]);
        Assert.True(result.Code == 0, result.Error);
        return result;
    }
}
