using Hone.Formats.Jobs;
using Hone.Formats.TrainingData;
using Hone.Training.Checkpoints;
using Hone.Training.Lora;
using Hone.Training.Training;

namespace Hone.Training.Tests.Training;

public sealed class TrainerTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("hone-trainer-").FullName;
    private readonly TinyModel _model = TinyModel.Llama();
    private readonly EncodedRow[] _rows = [.. Enumerable.Range(0, 23).Select(RandomRow)];

    [Theory]
    [InlineData(0.0)]
    [InlineData(0.1)]
    public void Run_ResumedAtAnyStep_EndsWithTheSameBytes(double dropout)
    {
        var checkpoints = new List<string>();
        float[] undisturbed = Train(null, dropout, checkpoints);
        Assert.Equal(12, checkpoints.Count);
        foreach (string checkpoint in checkpoints)
            Assert.Equal(undisturbed, Train(checkpoint, dropout, null));
    }

    [Fact]
    public void Run_OtherSeed_EndsElsewhere() => Assert.NotEqual(Train(null, 0, null), Train(null, 0, null, seed: 8));

    [Fact]
    public void TryLoad_CheckpointOfAnotherRun_IsRefused()
    {
        var checkpoints = new List<string>();
        Train(null, 0, checkpoints);
        using LoraAdapter adapter = _model.Adapter(7);
        using var optimizer = new AdamW(adapter.Parameters.numel(), 0.01);
        Assert.Null(Checkpoint.TryLoad(checkpoints[0], adapter, optimizer, "another"));
    }

    [Fact]
    public void Step_LossNotFinite_NamesStepAndLines()
    {
        using LoraAdapter adapter = _model.Adapter(7);
        using var optimizer = new AdamW(adapter.Parameters.numel(), 0.01);
        Reference.Floats(adapter.Parameters)[0] = float.NaN;
        NotFiniteException e = Assert.Throws<NotFiniteException>(() => new Trainer(_model.Decoder, adapter, optimizer, Settings(0, 7), _rows, []).Step(3, [_rows[4], _rows[9]]));
        Assert.Contains("Step 3", e.Message, StringComparison.Ordinal);
        Assert.Contains("lines 5, 10", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void RowsOf_AnEpoch_HasEveryRowOnce()
    {
        using LoraAdapter adapter = _model.Adapter(7);
        using var optimizer = new AdamW(adapter.Parameters.numel(), 0.01);
        var trainer = new Trainer(_model.Decoder, adapter, optimizer, Settings(0, 7), _rows, []);
        int[] first = [.. Enumerable.Range(1, 6).SelectMany(s => trainer.RowsOf(s)).Select(r => r.Line)];
        int[] second = [.. Enumerable.Range(7, 6).SelectMany(s => trainer.RowsOf(s)).Select(r => r.Line)];
        Assert.Equal(Enumerable.Range(1, 23), first.Order());
        Assert.Equal(Enumerable.Range(1, 23), second.Order());
        Assert.NotEqual(first, second);
    }

    /// <returns>The adapter, and each row's losses.</returns>
    private float[] Train(string? from, double dropout, List<string>? checkpoints, long seed = 7)
    {
        TrainSettings settings = Settings(dropout, seed);
        using LoraAdapter adapter = _model.Adapter(seed, dropout);
        using var optimizer = new AdamW(adapter.Parameters.numel(), settings.WeightDecay);
        TrainProgress start = from is null ? new TrainProgress() : Checkpoint.TryLoad(from, adapter, optimizer, "run")!;
        TrainProgress end = new Trainer(_model.Decoder, adapter, optimizer, settings, _rows, _rows[..3]).Run(start, _ => { }, Save, TestContext.Current.CancellationToken);
        return [.. Reference.Floats(adapter.Parameters), .. end.RowLosses!.Values];

        void Save(TrainProgress progress)
        {
            if (checkpoints is null)
                return;
            string path = Path.Combine(_folder, $"{dropout}-{progress.Step}.safetensors");
            Checkpoint.Save(path, adapter, optimizer, progress, "run");
            checkpoints.Add(path);
        }
    }

    private TrainSettings Settings(double dropout, long seed) => TrainSettings.Resolve(
        new TrainingConfig { NEpochs = 2, BatchSize = 4, Rank = 4, Dropout = dropout, LearningRate = 5e-3, Seed = seed, CheckpointSteps = 1 }, _model.Config, "job", _rows.Length, 100, false);

    private static EncodedRow RandomRow(int index)
    {
        var random = new SplitMix64((ulong)index + 100);
        int[] tokens = [3, 4, 5, .. Enumerable.Range(0, 5 + random.NextInt(20)).Select(_ => 3 + random.NextInt(150))];
        return new EncodedRow(index + 1, tokens, [.. tokens.Select((_, t) => t > 3)]);
    }

    public void Dispose()
    {
        _model.Dispose();
        Directory.Delete(_folder, recursive: true);
    }
}
