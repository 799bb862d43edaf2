using System.Text.Json;
using System.Text.Json.Nodes;
using Hone.Core.Processes;
using Microsoft.Extensions.Logging.Abstractions;

namespace Hone.Tests.Commands;

[Trait("Category", "Slow")]
[Trait("Category", "Native")]
public sealed class EstimateCommandTests
{
    /// <summary>The estimate beside the trainer itself, on the embedded base: the same steps and tokens, and the peak within 15 %.</summary>
    [Theory]
    [InlineData(8, 4, 0, "float32")]
    [InlineData(8, 8, 60, "float32")]
    [InlineData(8, 4, 0, "as_stored")]
    [InlineData(6, 3, 250, "float32")] // each row a pass of its own
    [InlineData(8, 8, 60, "float32", "recompute=true")]
    [InlineData(8, 4, 60, "nf4", "use_double_quant=true")]
    [InlineData(8, 4, 60, "bfloat16")]
    [InlineData(8, 4, 60, "float32", "method=dpo")]
    [InlineData(8, 4, 60, "float32", "rank=64")]
    [InlineData(8, 4, 60, "float32", "use_dora=true")]
    [InlineData(8, 4, 0, "float32", "modules_to_save=[\"lm_head\"]")]
    public async Task Json_EmbeddedBase_IsWhatTheTrainerNeeds(int count, int batchSize, int moreWords, string precision, params string[] settings)
    {
        using var folder = new TemporaryFolder();
        string rows = folder.At("train.jsonl");
        string more = string.Concat(Enumerable.Range(0, moreWords).Select(i => $" word{i}"));
        File.WriteAllLines(rows, File.ReadLines(Repository.PathOf("examples/support-triage/train.jsonl")).Take(count).Select(line =>
        {
            JsonNode row = JsonNode.Parse(line)!;
            row["messages"]![0]!["content"] = row["messages"]![0]!["content"]!.GetValue<string>() + more;
            return settings.Contains("method=dpo") ? Pair(row) : row.ToJsonString();
        }));

        await using var estimate = new HoneProcess(
            ["estimate", rows, "--set", $"batch_size={batchSize}", "--set", "n_epochs=1", "--set", "seed=1", "--set", $"precision={precision}", .. settings.SelectMany(s => new[] { "--set", s }), "--json"]);
        string said = await estimate.RestAsync();
        Assert.True(await estimate.ExitAsync() == 0, await estimate.ErrorAsync());
        JsonElement cost = JsonElement.Parse(said);

        var config = new JsonObject { ["batch_size"] = batchSize, ["n_epochs"] = 1, ["seed"] = 1, ["precision"] = precision };
        foreach (string[] setting in settings.Select(s => s.Split('=')))
            config[setting[0]] = setting[1] == "dpo" ? setting[1] : JsonNode.Parse(setting[1]);
        folder.Write("job.json", new JsonObject
        {
            ["job_id"] = "job",
            ["fence"] = 1,
            ["name"] = "name",
            ["model_id"] = "model",
            ["model_path"] = Repository.PathOf("models/SmolLM2-135M-Instruct.Q4_1.gguf"),
            ["training_data"] = "train.jsonl",
            ["config"] = config,
        }.ToJsonString());
        // As the worker starts it: how memory is given back is a matter of its environment.
        await using ChildProcess trainer = ChildProcess.Start(new ChildStart { Executable = HoneExecutable.Locate(), Arguments = ["train", folder.Path] }, NullLogger.Instance, TimeProvider.System);
        var events = new List<JsonElement>();
        await foreach (ReadOnlyMemory<byte> line in trainer.ReadLinesAsync(TestContext.Current.CancellationToken))
            events.Add(JsonElement.Parse(line.Span));
        Assert.Equal(0, (await trainer.Exited).Code);
        JsonElement metrics = events[^1].GetProperty("metrics"), last = events.Last(e => e.GetProperty("type").GetString() == "step");

        Assert.Equal(metrics.GetProperty("steps").GetInt32(), cost.GetProperty("steps").GetInt32());
        Assert.Equal(last.GetProperty("tokens").GetInt64(), cost.GetProperty("distinct_tokens").GetInt64());
        Assert.InRange(cost.GetProperty("tokens").GetInt64(), cost.GetProperty("distinct_tokens").GetInt64() + 1, long.MaxValue);
        Assert.Equal(last.GetProperty("trained_tokens").GetInt64(), cost.GetProperty("trained_tokens").GetInt64());
        Assert.True(cost.GetProperty("train_seconds").GetDouble() > 0);
        double peak = metrics.GetProperty("peak_memory_mb").GetDouble(), estimated = cost.GetProperty("peak_memory_mb").GetDouble();
        Assert.True(Math.Abs(estimated - peak) <= 0.15 * peak, $"{estimated:f0} MiB estimated, {peak:f0} MiB taken");
    }

    /// <summary>The row's answer as the better one, its reverse as the worse.</summary>
    private static string Pair(JsonNode row)
    {
        JsonArray messages = row["messages"]!.AsArray();
        JsonNode answer = messages[^1]!.DeepClone(), worse = messages[^1]!.DeepClone();
        worse["content"] = string.Concat(worse["content"]!.GetValue<string>().Reverse());
        messages.RemoveAt(messages.Count - 1);
        return new JsonObject { ["input"] = new JsonObject { ["messages"] = messages.DeepClone() }, ["preferred_output"] = new JsonArray(answer), ["non_preferred_output"] = new JsonArray(worse) }.ToJsonString();
    }

    [Fact]
    public async Task Estimate_RowsThatCannotBeTrainedOn_SaysWhyInOneLine()
    {
        using var folder = new TemporaryFolder();
        string rows = folder.Write("train.jsonl", """{"messages":[{"role":"user","content":"only a question"}]}""" + "\n");

        CommandResult result = await CommandLine.RunAsync("estimate", rows);

        Assert.Equal((1, ""), (result.Code, result.Output));
        Assert.Contains("line 1", result.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Bug_EstimateOfRowsInAnotherTrainersForm_EndedInAFault()
    {
        using var folder = new TemporaryFolder();
        string rows = folder.Write("train.jsonl", """{"prompt":[{"role":"user","content":"Hi?"}],"chosen":[{"role":"assistant","content":"Yes."}],"rejected":[{"role":"assistant","content":"No."}]}""" + "\n");

        CommandResult result = await CommandLine.RunAsync("estimate", rows);

        Assert.Equal((1, ""), (result.Code, result.Output));
        Assert.Contains("line 1, byte 0", result.Error, StringComparison.Ordinal);
        Assert.DoesNotContain("fault", result.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Estimate_UnknownSetting_IsNamed()
    {
        using var folder = new TemporaryFolder();
        string rows = folder.Write("train.jsonl", "{}\n");

        CommandResult result = await CommandLine.RunAsync("estimate", rows, "--set", "ranks=3");

        Assert.Equal((1, ""), (result.Code, result.Output));
        Assert.Contains("ranks", result.Error, StringComparison.Ordinal);
    }
}
