using System.Text.Json;

namespace Hone.Tests;

public sealed class BenchTests
{
    /// <summary>The short form: every figure is there and a number above 0; how fast is no matter here.</summary>
    [Fact]
    public async Task BenchTrain_OneStep_HasEveryFigure()
    {
        CommandResult result = await CommandLine.RunAsync("bench", "train", "--steps", "1", "--precision", "as_stored", "--json");

        Assert.Equal((0, ""), (result.Code, result.Error));
        using JsonDocument figures = JsonDocument.Parse(result.Output);
        string[] expected =
        [
            "gemm_gflops", "efficiency", "tokens_per_s", "rows_per_s", "padded_rows_per_s", "rows_ratio", "shared_rows_per_s", "shared_padded_rows_per_s", "shared_rows_ratio",
            "peak_mb", "first_step_s", "threads", "steps", "precision", "device",
        ];
        Assert.Equal(expected, figures.RootElement.EnumerateObject().Select(figure => figure.Name));
        Assert.Equal(("as_stored", "cpu"), (figures.RootElement.GetProperty("precision").GetString(), figures.RootElement.GetProperty("device").GetString()));
        Assert.All(figures.RootElement.EnumerateObject().Where(figure => figure.Value.ValueKind is JsonValueKind.Number), figure => Assert.True(figure.Value.GetDouble() > 0, figure.Name));
    }

    [Fact]
    public async Task BenchGrammar_FewTokens_HasEveryFigure()
    {
        CommandResult result = await CommandLine.RunAsync("bench", "grammar", "--tokens", "50", "--json");

        Assert.Equal((0, ""), (result.Code, result.Error));
        using JsonDocument figures = JsonDocument.Parse(result.Output);
        Assert.Equal(["compile_ms", "token_ms", "token_p99_ms", "known_token_ms", "known_token_p99_ms", "other_token_ms", "vocabulary_ms", "tokens"], figures.RootElement.EnumerateObject().Select(figure => figure.Name));
        Assert.All(figures.RootElement.EnumerateObject(), figure => Assert.True(figure.Value.GetDouble() > 0, figure.Name));
    }
}
