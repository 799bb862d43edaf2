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

    /// <summary>After a single epoch the finished adapter's loss tells the wrong labels, after three the mean over the later ones.</summary>
    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    [InlineData(6)]
    public void Write_ThreeMislabelledRows_AreAmongTheTenWorst(int epochs)
    {
        (AttributionReport report, JsonElement[] rows) = Train(epochs, _mislabelled);

        Assert.Subset(report.Worst.Select(w => w.Line).ToHashSet(), _mislabelled.ToHashSet());
        Assert.Equal(10, report.Worst.Count);
        Assert.Equal(report.Worst.OrderByDescending(w => w.LossLater ?? w.LossAfter), report.Worst);
        Assert.All(report.Worst, w => Assert.Equal(epochs > 1, w.LossLater is not null));
        Assert.Equal("ask 9 → label 0", report.Worst.Single(w => w.Line == 9).Excerpt);
        Assert.Equal(Enumerable.Range(1, Rows), rows.Select(r => r.GetProperty("line").GetInt32()));
        Assert.All(rows, row =>
        {
            Assert.InRange(row.GetProperty("step_first").GetInt32(), 1, 15);
            Assert.Equal(2, row.GetProperty("trained_tokens").GetInt32());
            Assert.Equal(epochs > 1, row.TryGetProperty("loss_later", out _));
        });
    }

    /// <summary>The control: with right labels these rows are like the others.</summary>
    [Fact]
    public void Write_RightLabels_RowsFit()
    {
        (AttributionReport right, _) = Train(epochs: 6, []);
        (AttributionReport wrong, _) = Train(epochs: 6, _mislabelled);

        Assert.True(right.Worst[2].LossLater < wrong.Worst[2].LossLater / 2, $"{right.Worst[2].LossLater} with right labels, {wrong.Worst[2].LossLater} with three wrong ones");
    }

    /// <summary>The 300 rows fill several passes; each alone, computed with the base and with the finished adapter, has the loss that the table says.</summary>
    [Theory]
    [InlineData(1, false)]
    [InlineData(2, false)]
    [InlineData(2, true)]
    public void Write_EveryRow_HasItsLossAloneBeforeAndAfter(int epochs, bool pairs)
    {
        const int count = 300;
        const double beta = 0.1;
        var alone = new List<(float Before, float After)>();
        var told = new List<(int Done, int Of)>();
        (_, JsonElement[] rows) = Train(epochs, _mislabelled, padding: 20, words: 40, count, pairs: pairs, onRows: (done, of) => told.Add((done, of)), finished: (adapter, encoded) =>
        {
            foreach (EncodedRow[] item in encoded.Chunk(pairs ? 2 : 1))
            {
                PackedBatch batch = PackedBatch.Pack(item);
                double[] of = [.. new[] { null, adapter }.Select(with => pairs
                    ? _model.Decoder.Loss(batch, with, beta, 1, _model.Decoder.RowLogProbabilities(batch, null)).OfRows().First()
                    : _model.Decoder.Loss(batch, with, 1).OfRows(batch).Single())];
                alone.Add(((float)of[0], (float)of[1]));
            }
        });

        Assert.Equal(count, rows.Length);
        Assert.All(rows.Zip(alone), r =>
        {
            float after = r.First.GetProperty("loss_after").GetSingle();
            Assert.True(Math.Abs(after - r.Second.After) <= 1e-4 * Math.Max(1, r.Second.After), $"{r.First}: {r.Second.After} alone");
            // An adapter begins without effect.
            if (r.First.GetProperty("step_first").GetInt32() == 1)
                Assert.Equal(r.Second.Before, r.First.GetProperty("loss_before").GetSingle(), 1e-4);
        });
        Assert.True(rows.Average(r => r.GetProperty("loss_after").GetSingle()) < 0.7 * rows.Average(r => r.GetProperty("loss_before").GetSingle()));
        Assert.True(told.Count > 3);
        Assert.Equal((count, count), told[^1]);
    }

    [Fact]
    public void Write_Cancelled_EndsBeforeTheNextPass()
    {
        using var stop = new CancellationTokenSource();
        int passes = 0;
        Assert.Throws<OperationCanceledException>(() => Train(1, [], padding: 20, words: 40, count: 300, stop: stop.Token, onRows: (_, _) =>
        {
            passes++;
            stop.Cancel();
        }));
        Assert.Equal(1, passes);
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

    /// <summary>Rows say which of three words they end in: the token before it is the class, but for the mislabelled ones. The worse answer of a pair has the next word.</summary>
    /// <param name="finished">Told the finished adapter and the rows.</param>
    private (AttributionReport Report, JsonElement[] Rows) Train(
        int epochs, int[] mislabelled, int padding = 2, int words = 3, int count = Rows, bool pairs = false,
        Action<LoraAdapter, EncodedRow[]>? finished = null, Action<int, int>? onRows = null, CancellationToken? stop = null)
    {
        EncodedRow[] rows = [.. Enumerable.Range(1, count).SelectMany(line =>
        {
            int kind = line % Classes, label = mislabelled.Contains(line) ? (kind + 1) % Classes : kind;
            var random = new SplitMix64((ulong)line);
            int[] question = [3, .. Enumerable.Range(0, padding).Select(_ => 60 + random.NextInt(words)), 20 + kind];
            return Enumerable.Range(0, pairs ? 2 : 1).Select(worse =>
            {
                int[] tokens = [.. question, 30 + (label + worse) % Classes, 2];
                return new EncodedRow(line, tokens, [.. tokens.Select((_, t) => t >= tokens.Length - 2)]);
            });
        })];
        string data = Path.Combine(_folder, "training_data.jsonl"), path = Path.Combine(_folder, RowAttribution.FileName);
        File.WriteAllLines(data, Enumerable.Range(1, count).Select(line => $$"""{"prompt":"ask {{line}}","completion":"label {{line % Classes}}"}"""));
        TrainSettings settings = TrainSettings.Resolve(
            new TrainingConfig { NEpochs = epochs, BatchSize = 4, Rank = 4, LearningRate = 2e-2, Seed = 3 }, _model.Config, "job", count, 2L * rows.Length, pairs);
        using LoraAdapter adapter = _model.Adapter(3);
        adapter.Initialize(3);
        using var optimizer = new AdamW(adapter.Parameters.numel(), settings.WeightDecay);
        var trainer = new Trainer(_model.Decoder, adapter, optimizer, settings, rows, []);
        TrainProgress progress = trainer.Run(new TrainProgress(), _ => { }, _ => { }, TestContext.Current.CancellationToken);
        AttributionReport report = RowAttribution.Write(path, data, rows, settings, progress, trainer, onRows ?? ((_, _) => { }), stop ?? TestContext.Current.CancellationToken);
        finished?.Invoke(adapter, rows);
        return (report, [.. File.ReadLines(path).Select(line => JsonElement.Parse(line))]);
    }

    public void Dispose()
    {
        _model.Dispose();
        Directory.Delete(_folder, recursive: true);
    }
}
