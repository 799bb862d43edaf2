using System.Text.Json;
using Hone.Formats.Jobs;
using Hone.Formats.TrainingData;
using Hone.Training.Lora;
using Hone.Training.Reports;
using Hone.Training.Training;

namespace Hone.Training.Tests.Reports;

public sealed class RowAttributionTests : IDisposable
{
    private const int Rows = 60, Classes = 3;

    private static readonly int[] _mislabelled = [9, 28, 47];

    private readonly string _folder = Directory.CreateTempSubdirectory("hone-rows-").FullName;
    private readonly TinyModel _model = TinyModel.Llama();

    [Fact]
    public void Write_ThreeMislabelledRows_AreAmongTheTenWorst()
    {
        (AttributionReport report, JsonElement[] rows) = Train(epochs: 6, _mislabelled);

        Assert.Subset(report.Worst.Select(w => w.Line).ToHashSet(), _mislabelled.ToHashSet());
        Assert.Equal(10, report.Worst.Count);
        Assert.Equal(report.Worst.OrderByDescending(w => w.Loss), report.Worst);
        Assert.Equal("ask 9 → label 0", report.Worst.Single(w => w.Line == 9).Excerpt);
        Assert.Equal(Enumerable.Range(1, Rows), rows.Select(r => r.GetProperty("line").GetInt32()));
        Assert.All(rows, row =>
        {
            Assert.InRange(row.GetProperty("step_first").GetInt32(), 1, 15);
            Assert.InRange(row.GetProperty("step_last").GetInt32(), 76, 90);
            Assert.Equal(2, row.GetProperty("trained_tokens").GetInt32());
            Assert.False(row.TryGetProperty("loss_after", out _));
        });
    }

    /// <summary>The control: with right labels these rows are like the others.</summary>
    [Fact]
    public void Write_RightLabels_RowsFit()
    {
        (AttributionReport right, _) = Train(epochs: 6, []);
        (AttributionReport wrong, _) = Train(epochs: 6, _mislabelled);

        Assert.True(right.Worst[2].Loss < wrong.Worst[2].Loss / 2, $"{right.Worst[2].Loss} with right labels, {wrong.Worst[2].Loss} with three wrong ones");
    }

    [Fact]
    public void Write_OneEpoch_ComputesTheSuspectsAgain()
    {
        (AttributionReport report, JsonElement[] rows) = Train(epochs: 1, _mislabelled);

        // All 60 rows fit into the pass that is always allowed.
        Assert.All(rows, row =>
        {
            Assert.Equal(row.GetProperty("loss_first").GetSingle(), row.GetProperty("loss_last").GetSingle());
            Assert.NotEqual(row.GetProperty("loss_last").GetSingle(), row.GetProperty("loss_after").GetSingle());
        });
        Assert.Equal(rows.Max(r => r.GetProperty("loss_after").GetSingle()), report.Worst[0].Loss);
        Assert.Contains("saw 60 of 60 rows once; the loss of 60", report.By, StringComparison.Ordinal);
    }

    /// <summary>Rows so long that a tenth of them exceeds a pass: the costs stay bounded, and the wrong label is still among what is computed again.</summary>
    [Fact]
    [Trait("Category", "Slow")]
    public void Write_OneEpochOfManyTokens_ComputesATenthAgain()
    {
        (AttributionReport report, JsonElement[] rows) = Train(epochs: 1, [50], padding: 100, words: 50, count: 400, rate: 3e-2);

        JsonElement[] again = [.. rows.Where(r => r.TryGetProperty("loss_after", out _))];
        int tokens = rows.Sum(r => r.GetProperty("tokens").GetInt32()), computed = again.Sum(r => r.GetProperty("tokens").GetInt32());
        Assert.InRange(computed, tokens * 0.09, tokens * 0.1);
        Assert.Contains(again.Length.ToString(System.Globalization.CultureInfo.InvariantCulture) + " of them", report.By, StringComparison.Ordinal);
        Assert.All(report.Worst, w => Assert.Contains(again, r => r.GetProperty("line").GetInt32() == w.Line));
    }

    [Theory]
    [InlineData("""{"messages":[{"role":"system","content":"s"},{"role":"user","content":"who  are\nyou"},{"role":"assistant","content":"me"}]}""", "who are you → me")]
    [InlineData("""{"prompt":"a","completion":"b"}""", "a → b")]
    [InlineData("""{"text":"all of it"}""", "all of it")]
    [InlineData("""{"input":{"messages":[{"role":"user","content":"q"}]},"preferred_output":[{"role":"assistant","content":"good"}],"non_preferred_output":[{"role":"assistant","content":"bad"}]}""", "preferred_output: good | non_preferred_output: bad")]
    public void Excerpt_AnyKind_IsOneLine(string row, string expected)
    {
        string path = Path.Combine(_folder, "row.jsonl");
        File.WriteAllText(path, row + "\n");
        Assert.Equal(expected, RowExcerpt.Read(path, [1])[1]);
    }

    /// <summary>Rows say which of three words they end in: the token before it is the class, but for the mislabelled ones.</summary>
    private (AttributionReport Report, JsonElement[] Rows) Train(int epochs, int[] mislabelled, int padding = 2, int words = 3, int count = Rows, double rate = 2e-2)
    {
        EncodedRow[] rows = [.. Enumerable.Range(1, count).Select(line =>
        {
            int kind = line % Classes, label = mislabelled.Contains(line) ? (kind + 1) % Classes : kind;
            var random = new SplitMix64((ulong)line);
            int[] tokens = [3, .. Enumerable.Range(0, padding).Select(_ => 60 + random.NextInt(words)), 20 + kind, 30 + label, 2];
            return new EncodedRow(line, tokens, [.. tokens.Select((_, t) => t >= tokens.Length - 2)]);
        })];
        string data = Path.Combine(_folder, "training_data.jsonl"), path = Path.Combine(_folder, RowAttribution.FileName);
        File.WriteAllLines(data, rows.Select(r => $$"""{"prompt":"ask {{r.Line}}","completion":"label {{r.Line % Classes}}"}"""));
        TrainSettings settings = TrainSettings.Resolve(
            new TrainingConfig { NEpochs = epochs, BatchSize = 4, Rank = 4, LearningRate = rate, Seed = 3 }, _model.Config, "job", rows.Length, 2L * rows.Length, false);
        using LoraAdapter adapter = _model.Adapter(3);
        adapter.Initialize(3);
        using var optimizer = new AdamW(adapter.Parameters.numel(), settings.WeightDecay);
        var trainer = new Trainer(_model.Decoder, adapter, optimizer, settings, rows, []);
        TrainProgress progress = trainer.Run(new TrainProgress(), _ => { }, _ => { }, TestContext.Current.CancellationToken);
        AttributionReport report = RowAttribution.Write(path, data, rows, settings, progress, trainer, TestContext.Current.CancellationToken);
        return (report, [.. File.ReadLines(path).Select(line => JsonElement.Parse(line))]);
    }

    public void Dispose()
    {
        _model.Dispose();
        Directory.Delete(_folder, recursive: true);
    }
}
