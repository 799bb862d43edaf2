using System.Text.Json;

namespace Hone.Tests.Commands;

[Trait("Category", "Slow")]
public sealed class BenchServeTests
{
    /// <summary>The short form: every figure is there and is a number above 0, whatever the machine's speed.</summary>
    [Fact]
    public async Task Serve_ShortForm_HasEveryFigure()
    {
        await using var hone = new HoneProcess("bench", "serve", "--tokens", "8", "--prompt-tokens", "64", "--json");
        string output = await hone.RestAsync();

        Assert.Equal((0, ""), (await hone.ExitAsync(), await hone.ErrorAsync()));
        using JsonDocument figures = JsonDocument.Parse(output);
        string[] names = ["decode_tokens_per_s", "decode_8_tokens_per_s", "decode_8_to_one", "prompt_tokens_per_s", "first_token_ms", "adapter_load_ms", "allocated_bytes_per_token", "threads"];
        Assert.Equal(names, figures.RootElement.EnumerateObject().Select(figure => figure.Name));
        Assert.All(figures.RootElement.EnumerateObject(), figure => Assert.True(figure.Value.GetDouble() > 0, $"{figure.Name} is {figure.Value}"));
    }
}
