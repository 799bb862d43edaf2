using Hone.Formats.Jobs;
using Hone.Formats.TrainingData;
using Hone.Training.Benchmarks;
using Hone.Training.Kernels;
using Hone.Training.Lora;
using Hone.Training.Training;

namespace Hone.Training.Tests.Benchmarks;

public sealed class PlainTrainerTests
{
    /// <summary>What the benchmark compares learns the same: equal losses, step by step, on rows of different lengths that share a prefix.</summary>
    [Fact]
    public void Step_PaddedRows_HasTheLossesOfThePackedTrainer()
    {
        Cores.Use(2);
        using TinyModel model = TinyModel.Llama();
        using LoraAdapter adapter = model.Adapter(1);
        EncodedRow[] rows = [Row([5, 6, 7, 8, 9, 10, 11]), Row([5, 6, 7, 12]), Row([5, 6, 13, 14, 15, 16, 17, 18, 19])];
        TrainSettings settings = TrainSettings.Resolve(
            new TrainingConfig { Rank = 4, BatchSize = rows.Length, LearningRate = 1e-2, Seed = 1, NEpochs = 8 }, model.Config, "plain", rows.Length, rows.Sum(r => (long)r.TrainedTokens), false);
        using var plain = new PlainTrainer(model.Config, model.Weights.ReadFloat32, adapter, settings);
        using var optimizer = new AdamW(adapter.Parameters.numel(), settings.WeightDecay);
        var trainer = new Trainer(model.Decoder, adapter, optimizer, settings, rows, []);
        var losses = new List<double>();
        for (int step = 1; step <= 6; step++)
        {
            losses.Add(trainer.Step(step, rows).Loss);
            Assert.Equal(losses[^1], plain.Step(step, rows), 2e-4);
        }
        Assert.True(losses[0] - losses[^1] > 0.1, $"nothing is learnt: {string.Join(", ", losses)}");
    }

    private static EncodedRow Row(int[] tokens) => new(1, tokens, [.. tokens.Select((_, t) => t > 1)]);
}
