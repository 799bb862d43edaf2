using Hone.Formats;
using Hone.Formats.Jobs;
using Hone.Formats.Models;
using Hone.Formats.Safetensors;
using Hone.Formats.TrainingData;
using Hone.Training.Checkpoints;
using Hone.Training.Lora;
using Hone.Training.Model;
using Hone.Training.Training;

namespace Hone.Training.Tests.Training;

/// <summary>Numbers that would spoil an adapter unsaid; each with the control: the same done right passes unwarned.</summary>
public sealed class SilentFailureTests : IDisposable
{
    private const double Destructive = 100;

    private readonly string _folder = Directory.CreateTempSubdirectory("hone-failures-").FullName;
    private readonly TinyModel _model = TinyModel.Llama();

    [Theory]
    [InlineData("model.embed_tokens.weight", 1234, float.NaN)]
    [InlineData("model.layers.1.self_attn.k_proj.weight", 17, float.PositiveInfinity)]
    [InlineData("model.norm.weight", 0, float.NegativeInfinity)]
    public void F1_BaseWeightNotFinite_RefusedAtLoadWithTensorAndIndex(string tensor, int index, float value)
    {
        using ModelWeights weights = ModelWeights.Open(Path.GetDirectoryName(Reference.Files("models/llama/reference.safetensors").First())!);

        InvalidFileException error = Assert.Throws<InvalidFileException>(() => DecoderLoader.Load(weights.Config, (name, start, values) =>
        {
            weights.ReadFloat32(name, start, values);
            if (name == tensor)
                values[index] = value;
        }).Dispose());

        Assert.Contains($"tensor {tensor} holds {value} at index {index}:", error.Message, StringComparison.Ordinal);
        // The control.
        DecoderLoader.Load(weights.Config, weights.ReadFloat32).Dispose();
    }

    [Fact]
    public void F2_LossNotFinite_StopsWithStepAndRowsAndKeepsTheGoodCheckpoint()
    {
        var checkpoints = new List<string>();
        var steps = new List<TrainerEvent.Step>();

        NotFiniteException error = Assert.Throws<NotFiniteException>(() => Train(1e30, steps, checkpoints, out _));

        int failed = steps.Count + 1;
        using LoraAdapter adapter = _model.Adapter(3);
        using var optimizer = new AdamW(adapter.Parameters.numel(), 0);
        var trainer = new Trainer(_model.Decoder, adapter, optimizer, Settings(1e30), Rows(), []);
        Assert.StartsWith($"Step {failed}: ", error.Message, StringComparison.Ordinal);
        Assert.Contains($"lines {string.Join(", ", trainer.RowsOf(failed).Select(r => r.Line))} of", error.Message, StringComparison.Ordinal);
        Assert.Equal(steps.Count, checkpoints.Count);
        foreach (string checkpoint in checkpoints)
        {
            using SafetensorsFile file = SafetensorsFile.Open(checkpoint);
            Assert.All(Reference.Read(file, "parameters"), p => Assert.True(float.IsFinite(p)));
        }
    }

    [Fact]
    public void F2_UpdateNotFinite_StopsBeforeItsCheckpoint()
    {
        using LoraAdapter adapter = _model.Adapter(3);
        using var optimizer = new AdamW(adapter.Parameters.numel(), 0);
        var trainer = new Trainer(_model.Decoder, adapter, optimizer, Settings(double.MaxValue), Rows(), []);

        NotFiniteException error = Assert.Throws<NotFiniteException>(() => trainer.Run(new TrainProgress(), _ => { }, _ => Assert.Fail("a checkpoint of weights that are not finite"), TestContext.Current.CancellationToken));

        Assert.Contains("Step 1: the update has made the adapter's weights not finite; its rows are lines ", error.Message, StringComparison.Ordinal);
    }

    /// <summary>Six steps an epoch; the first is too early to judge where it is warm-up for the most part.</summary>
    [Theory]
    [InlineData(0, "Steps 2 to 6")]
    [InlineData(0.2, "Steps 7 to 12")]
    public void F3_DestructiveLearningRate_WarnsOnceInEventAndReport(double warmup, string steps)
    {
        TrainProgress progress = Train(Destructive, [], [], out List<string> warned, taught: true, warmup);

        string warning = Assert.Single(warned);
        Assert.Equal([warning], progress.Warnings);
        Assert.StartsWith($"{steps}: the loss stayed above the first step's", warning, StringComparison.Ordinal);
        Assert.Contains($"the learning rate {Destructive} destroys it", warning, StringComparison.Ordinal);
    }

    /// <summary>The control of F2 and F3.</summary>
    [Fact]
    public void F3_LearningRateThatTeaches_PassesUnwarned()
    {
        var steps = new List<TrainerEvent.Step>();

        TrainProgress progress = Train(5e-3, steps, [], out List<string> warned);

        Assert.Empty(warned);
        Assert.Empty(progress.Warnings);
        Assert.Equal(18, steps.Count);
        Assert.True(steps[^1].Loss < steps[0].Loss / 2, $"{steps[0].Loss} to {steps[^1].Loss}");
    }

    [Fact]
    public void F3_ResumedAfterTheWarning_ReportStillHasIt()
    {
        var checkpoints = new List<string>();
        TrainProgress progress = Train(Destructive, [], checkpoints, out _, taught: true);
        using LoraAdapter adapter = _model.Adapter(3);
        using var optimizer = new AdamW(adapter.Parameters.numel(), 0);

        Assert.Single(progress.Warnings);
        Assert.Equal(progress.Warnings, Checkpoint.TryLoad(checkpoints[^1], adapter, optimizer, "run")!.Warnings);
        Assert.Empty(Checkpoint.TryLoad(checkpoints[0], adapter, optimizer, "run")!.Warnings);
    }

    /// <param name="taught">The model knows the rows fairly well before, as a real base model knows language: there is something to destroy.</param>
    private TrainProgress Train(double rate, List<TrainerEvent.Step> steps, List<string> checkpoints, out List<string> warned, bool taught = false, double warmup = 0)
    {
        var warnings = warned = [];
        using LoraAdapter adapter = _model.Adapter(3);
        adapter.Initialize(3);
        if (taught)
        {
            using var teacher = new AdamW(adapter.Parameters.numel(), 0);
            new Trainer(_model.Decoder, adapter, teacher, Settings(5e-3), Rows(), []).Run(new TrainProgress(), _ => { }, _ => { }, TestContext.Current.CancellationToken);
        }
        TrainSettings settings = Settings(rate, warmup);
        using var optimizer = new AdamW(adapter.Parameters.numel(), settings.WeightDecay);
        return new Trainer(_model.Decoder, adapter, optimizer, settings, Rows(), []).Run(new TrainProgress(), OnEvent, Save, TestContext.Current.CancellationToken);

        void OnEvent(TrainerEvent next)
        {
            if (next is TrainerEvent.Step step)
                steps.Add(step);
            if (next is TrainerEvent.Message { Level: "warn" } message)
                warnings.Add(message.Text);
        }

        void Save(TrainProgress progress)
        {
            string path = Path.Combine(_folder, $"{rate}-{progress.Step}.safetensors");
            Checkpoint.Save(path, adapter, optimizer, progress, "run");
            checkpoints.Add(path);
        }
    }

    private TrainSettings Settings(double rate, double warmup = 0) => TrainSettings.Resolve(
        new TrainingConfig { NEpochs = 3, BatchSize = 4, Rank = 4, LearningRate = rate, LrScheduler = "constant", WarmupRatio = warmup, Seed = 3, CheckpointSteps = 1, WeightDecay = 0 },
        _model.Config, "job", 24, 24, false);

    /// <summary>What the first token says comes last again.</summary>
    private static EncodedRow[] Rows() => [.. Enumerable.Range(1, 24).Select(line =>
    {
        int[] tokens = [3, 20 + line % 3, 60, 61, 30 + line % 3, 2];
        return new EncodedRow(line, tokens, [.. tokens.Select((_, t) => t >= tokens.Length - 2)]);
    })];

    public void Dispose()
    {
        _model.Dispose();
        Directory.Delete(_folder, recursive: true);
    }
}
