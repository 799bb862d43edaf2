using Hone.Core.Models;
using Hone.Formats.Models;
using Hone.Formats.TrainingData;

namespace Hone.Tests.Commands;

[Trait("Category", "Slow")]
public sealed class LintCommandTests
{
    private static readonly string _bad = Repository.PathOf("tests/Hone.Formats.Tests/data/bad");

    [Theory]
    [InlineData("bom.jsonl")]
    [InlineData("invalid_json_in_line_3.jsonl")]
    [InlineData("weight_2.jsonl")]
    [InlineData("utf16.jsonl")]
    [InlineData("duplicate_rows.jsonl")]
    [InlineData("same_row_in_train_and_valid.train.jsonl", "same_row_in_train_and_valid.valid.jsonl")]
    public async Task Json_AnyFile_IsTheLibrarysReport(string training, string? validation = null)
    {
        string[] files = [.. new[] { training, validation }.OfType<string>().Select(name => Path.Combine(_bad, name))];
        using BaseModel model = BaseModel.Open(ModelCatalog.FindEmbedded()!.Path);
        LintReport report = Linter.Lint(new LintRequest { TrainingPath = files[0], ValidationPath = files.ElementAtOrDefault(1), Model = model }, TestContext.Current.CancellationToken);

        CommandResult result = await CommandLine.RunAsync(["lint", .. files, "--model", ModelCatalog.EmbeddedId, "--json"]);

        Assert.Equal(report.ToJson(), result.Output.TrimEnd());
        Assert.Equal(report.Ok ? 0 : 1, result.Code);
    }

    [Theory]
    [InlineData("""{"prompt":"a","completion":"b"}""", 0)]
    [InlineData("""[{"prompt":"a","completion":"b"}]""", 1)]
    public async Task Bug_RowsNamedJson_WereTakenForAConfig(string text, int code)
    {
        using var folder = new TemporaryFolder();
        string rows = folder.At("rows.json"), config = folder.At("settings.json");
        File.WriteAllText(rows, string.Join('\n', Enumerable.Range(0, 10).Select(i => text.Replace("\"a\"", $"\"{i}\"", StringComparison.Ordinal))));
        File.WriteAllText(config, """{"rank":4}""");

        CommandResult result = await CommandLine.RunAsync("lint", rows, config);

        Assert.True(code == result.Code, result.Output + result.Error);
        Assert.Equal(code == 1, result.Output.Contains("the line holds a list", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Pretty_BrokenRow_NamesFileLineAndWhatToDo()
    {
        string file = Path.Combine(_bad, "weight_2.jsonl");

        CommandResult result = await CommandLine.RunAsync("lint", file);

        Assert.Equal(1, result.Code);
        Assert.Contains($"{file}:", result.Output, StringComparison.Ordinal);
        Assert.Contains(": error: ", result.Output, StringComparison.Ordinal);
        Assert.Contains("not ok", result.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Pretty_SoundFiles_ShowCountsLengthsAndARowWithWhatIsLearnt()
    {
        string training = Repository.PathOf("examples/support-triage/train.jsonl"), validation = Repository.PathOf("examples/support-triage/valid.jsonl");

        CommandResult result = await CommandLine.RunAsync("lint", training, "--validation", validation);

        Assert.Equal(0, result.Code);
        Assert.Contains("240 (240 chat)", result.Output, StringComparison.Ordinal);
        Assert.Contains("0 of them repeat another", result.Output, StringComparison.Ordinal);
        Assert.Contains("40 rows, 0 of them in the training data too", result.Output, StringComparison.Ordinal);
        Assert.Matches(@"cut +no row; the longest row has \d+ tokens \(line \d+\), max_length is 8,192", result.Output);
        Assert.Matches(@"row length +\d+ to \d+ tokens, mean [\d.]+, median \d+, 95 % up to \d+", result.Output);
        Assert.Equal(240, System.Text.RegularExpressions.Regex.Matches(result.Output, @"≤ +\d+  █+ +(\d+)").Sum(m => int.Parse(m.Groups[1].Value)));
        Assert.Contains("<|im_start|>assistant\n⟦", result.Output, StringComparison.Ordinal);
        Assert.Contains("<|im_end|>⟧", result.Output, StringComparison.Ordinal);
        CommandResult second = await CommandLine.RunAsync("lint", training, validation);
        Assert.Equal(second.Output, result.Output);
        Assert.NotEqual(0, (await CommandLine.RunAsync("lint", training, validation, "--validation", validation)).Code);
    }

    [Fact]
    public async Task Pretty_ManyOfAKind_AreCountedBeyondTheFirst()
    {
        using var folder = new TemporaryFolder();
        string row = """{"messages":[{"role":"user","content":"Hi?"},{"role":"assistant","content":""}]}""";
        string file = folder.Write("train.jsonl", string.Concat(Enumerable.Repeat(row + "\n", 250)));

        CommandResult result = await CommandLine.RunAsync("lint", file);

        Assert.Equal(1, result.Code);
        Assert.Equal(10, System.Text.RegularExpressions.Regex.Count(result.Output, "the answer is empty"));
        Assert.Contains("error: … and 240 more of this kind [empty_answer]", result.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Bug_BrokenConfig_IsNamedByItsPath()
    {
        using var folder = new TemporaryFolder();
        string config = folder.Write("training_config.json", "{\n\"n_epochs\":1,");

        CommandResult result = await CommandLine.RunAsync("lint", Repository.PathOf("examples/support-triage/train.jsonl"), config);

        Assert.Equal(1, result.Code);
        Assert.StartsWith($"{config}:2: error: ", result.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Json_ConfigWithUnknownKey_IsAnError()
    {
        using var folder = new TemporaryFolder();
        string config = folder.Write("training_config.json", """{"epochs":3}""");

        CommandResult result = await CommandLine.RunAsync("lint", Repository.PathOf("examples/support-triage/train.jsonl"), config, "--json");

        Assert.Equal(1, result.Code);
        Assert.Contains("n_epochs", result.Output, StringComparison.Ordinal);
    }
}
