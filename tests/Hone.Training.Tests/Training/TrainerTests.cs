using Hone.Formats.Jobs;
using Hone.Formats.Models;
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
    [InlineData("")]
    [InlineData("dropout")]
    [InlineData("dpo")]
    [InlineData("dora")]
    [InlineData("lora_bias")]
    [InlineData("modules_to_save")]
    [InlineData("as_stored")]
    [InlineData("dpo dropout dora modules_to_save as_stored")]
    [InlineData("dpo lora_bias modules_to_save")]
    [InlineData("bfloat16")]
    [InlineData("nf4")]
    [InlineData("recompute dropout")]
    [InlineData("dpo dora nf4 recompute")]
    public void Run_ResumedAtAnyStep_EndsWithTheSameBytes(string with)
    {
        var checkpoints = new List<string>();
        float[] undisturbed = Train(null, with, checkpoints);
        Assert.Equal(Settings(with, 7).Steps, checkpoints.Count);
        foreach (string checkpoint in checkpoints)
            Assert.Equal(undisturbed, Train(checkpoint, with, null));
    }

    [Fact]
    public void Bug_RunThatStoppedForAWorseValidationLoss_TrainedOnOnceResumed()
    {
        var checkpoints = new List<string>();
        TrainSettings settings = Settings("stop_when_worse", 7);
        (TrainProgress stopped, float[] undisturbed, _) = Run(null);
        Assert.InRange(stopped.Step, 2, settings.Steps - 1);
        Assert.True(stopped.Evaluations[^1].Loss > stopped.Evaluations[^2].Loss);
        Assert.Equal(stopped.Step, checkpoints.Count);

        foreach ((int done, string checkpoint) in checkpoints.ToArray().Index())
        {
            (TrainProgress resumed, float[] parameters, int steps) = Run(checkpoint);
            Assert.Equal(stopped.Step - done - 1, steps);
            Assert.Equal(undisturbed, parameters);
            Assert.Equal(stopped.Evaluations, resumed.Evaluations);
            Assert.Single(resumed.Warnings, w => w.StartsWith($"Stopped at step {stopped.Step}:", StringComparison.Ordinal));
        }

        (TrainProgress End, float[] Parameters, int Steps) Run(string? from)
        {
            using TinyModel model = TinyModel.Llama();
            using LoraAdapter adapter = model.Adapter(7);
            using var optimizer = new AdamW(adapter.Parameters.numel(), settings.WeightDecay);
            TrainProgress start = from is null ? new() : Checkpoint.TryLoad(from, adapter, optimizer, "run")!;
            int steps = 0;
            TrainProgress end = new Trainer(model.Decoder, adapter, optimizer, settings, _rows, [RandomRow(77)])
                .Run(start, e => steps += e is TrainerEvent.Step ? 1 : 0, Save, TestContext.Current.CancellationToken);
            return (end, [.. Reference.Floats(adapter.Parameters)], steps);

            void Save(TrainProgress progress)
            {
                if (from is not null)
                    return;
                checkpoints.Add(Path.Combine(_folder, $"{progress.Step}.safetensors"));
                Checkpoint.Save(checkpoints[^1], adapter, optimizer, progress, "run");
            }
        }
    }

    [Fact]
    public void Run_OtherSeed_EndsElsewhere() => Assert.NotEqual(Train(null, "", null), Train(null, "", null, seed: 8));

    [Fact]
    public void TryLoad_CheckpointOfAnotherRun_IsRefused()
    {
        var checkpoints = new List<string>();
        Train(null, "", checkpoints);
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
        NotFiniteException e = Assert.Throws<NotFiniteException>(() => new Trainer(_model.Decoder, adapter, optimizer, Settings("", 7), _rows, []).Step(3, [_rows[4], _rows[9]]));
        Assert.Contains("Step 3", e.Message, StringComparison.Ordinal);
        Assert.Contains("lines 5, 10", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void RowsOf_AnEpoch_HasEveryRowOnce()
    {
        using LoraAdapter adapter = _model.Adapter(7);
        using var optimizer = new AdamW(adapter.Parameters.numel(), 0.01);
        var trainer = new Trainer(_model.Decoder, adapter, optimizer, Settings("", 7), _rows, []);
        int[] first = [.. Enumerable.Range(1, 6).SelectMany(s => trainer.RowsOf(s)).Select(r => r.Line)];
        int[] second = [.. Enumerable.Range(7, 6).SelectMany(s => trainer.RowsOf(s)).Select(r => r.Line)];
        Assert.Equal(Enumerable.Range(1, 23), first.Order());
        Assert.Equal(Enumerable.Range(1, 23), second.Order());
        Assert.NotEqual(first, second);
    }

    /// <param name="from">A checkpoint to go on from, with a model and an adapter of its own as in another process.</param>
    /// <returns>The adapter, each step's and each row's losses.</returns>
    private float[] Train(string? from, string with, List<string>? checkpoints, long seed = 7)
    {
        TrainSettings settings = Settings(with, seed);
        using TinyModel model = TinyModel.Llama(settings.Precision);
        using LoraAdapter adapter = PeftAdapter.Create(settings, model.Weights, model.Decoder);
        using var optimizer = new AdamW(adapter.Parameters.numel(), settings.WeightDecay);
        TrainProgress start = new();
        if (from is null)
            model.Decoder.Start(adapter, seed);
        else
            start = Checkpoint.TryLoad(from, adapter, optimizer, "run")!;
        EncodedRow[] rows = settings.IsPreference ? _rows[..22] : _rows;
        TrainProgress end = new Trainer(model.Decoder, adapter, optimizer, settings, rows, rows[..4]).Run(start, _ => { }, Save, TestContext.Current.CancellationToken);
        return [.. Reference.Floats(adapter.Parameters), .. end.Losses.Select(l => (float)l), .. end.Evaluations.Select(e => (float)e.Loss), .. end.RowLosses!.Values];

        void Save(TrainProgress progress)
        {
            if (checkpoints is null)
                return;
            string path = Path.Combine(_folder, $"{progress.Step}.safetensors");
            Checkpoint.Save(path, adapter, optimizer, progress, "run");
            checkpoints.Add(path);
        }
    }

    private TrainSettings Settings(string with, long seed)
    {
        string[] ways = with.Split(' ');
        bool pairs = ways.Contains("dpo");
        return TrainSettings.Resolve(
            new TrainingConfig
            {
                NEpochs = 2,
                BatchSize = 4,
                Rank = 4,
                LearningRate = 5e-3,
                Seed = seed,
                CheckpointSteps = 1,
                Dropout = ways.Contains("dropout") ? 0.1 : 0,
                UseDora = ways.Contains("dora"),
                LoraBias = ways.Contains("lora_bias"),
                ModulesToSave = ways.Contains("modules_to_save") ? ["embed_tokens", "lm_head"] : null,
                Precision = BasePrecision.Names.FirstOrDefault(ways.Contains),
                Recompute = ways.Contains("recompute"),
                EvalEvery = ways.Contains("stop_when_worse") ? 1 : null,
                StopWhenWorse = ways.Contains("stop_when_worse"),
            }, _model.Config, "job", pairs ? 11 : _rows.Length, 100, pairs);
    }

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
