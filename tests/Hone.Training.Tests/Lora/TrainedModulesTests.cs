using Hone.Formats.Adapters;
using Hone.Formats.Jobs;
using Hone.Formats.Models;
using Hone.Formats.TrainingData;
using Hone.Training.Lora;
using Hone.Training.Training;
using static TorchSharp.torch;

namespace Hone.Training.Tests.Lora;

/// <summary>Training of what stands beside A and B: biases, and an embedding and output matrix of the adapter's own.</summary>
public sealed class TrainedModulesTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("hone-trained-").FullName;
    private readonly EncodedRow[] _rows = [Row(1, 3, 40, 7, 8, 90, 11, 7), Row(2, 9, 5, 77, 5, 7), Row(3, 60, 2, 2, 31, 14)];

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData("llama")]
    [InlineData("gemma2")] // tied, scaled embeddings, capped logits
    [InlineData("granite")] // tied, with multipliers
    public void ForwardBackward_EachKindOfParameter_HasTheLosssGradient(string family)
    {
        using var model = new TinyModel(Base(family));
        using LoraAdapter adapter = Adapter(model, Base(family), Settings(model));
        PackedBatch batch = PackedBatch.Pack(_rows);
        adapter.Gradients!.zero_();
        model.Decoder.ForwardBackward(batch, adapter, batch.TotalWeight);
        LoraMatrices module = adapter.Matrices().Last();
        foreach ((string name, Tensor values, Tensor gradient) in new[]
        {
            ("embedding", adapter.Embedding!.Weight, adapter.Embedding.Gradient!), ("head", adapter.Head!.Weight, adapter.Head.Gradient!), ("bias", module.Bias!, module.GradBias!), ("A", module.A, module.GradA!),
        })
        {
            // Along the gradient the loss must rise by its length.
            float[] kept = Reference.Floats(values).ToArray(), along = Reference.Floats(gradient).ToArray();
            double length = Math.Sqrt(along.Sum(g => (double)g * g)), step = 0.01;
            double slope = (At(step) - At(-step)) / (2 * step);
            kept.CopyTo(Reference.Floats(values));
            Assert.True(length > 1e-3, $"{name}: the gradient is {length}");
            Assert.True(Math.Abs(slope - length) < 0.01 * length, $"{family} {name}: slope {slope}, gradient {length}");

            double At(double distance)
            {
                Span<float> target = Reference.Floats(values);
                for (int i = 0; i < kept.Length; i++)
                    target[i] = (float)(kept[i] + distance * along[i] / length);
                return model.Decoder.Loss(batch, adapter, batch.TotalWeight).Loss;
            }
        }
    }

    /// <summary>DoRA's factors cost a product with every weight: once for all passes of a step, and anew when the step has changed the adapter.</summary>
    [Fact]
    public void Unchanged_DorasFactors_AreMadeOnceAndAnewAfterIt()
    {
        using TinyModel model = TinyModel.Llama();
        TrainSettings settings = TrainSettings.Resolve(new TrainingConfig { Rank = 2, UseDora = true, Seed = 1 }, model.Config, "job", 3, 9, preferencePairs: false);
        using LoraAdapter adapter = PeftAdapter.Create(settings, model.Weights, model.Decoder);
        LoraGroup group = adapter.Group(model.Decoder.Projections[0].Name)!;
        int made = 0;

        Scales();
        Scales();
        Assert.Equal(2, made); // nobody says that the parameters stay
        using (adapter.Unchanged())
        {
            Assert.Equal([3f, 3f], [Scales(), Scales()]);
        }
        using (adapter.Unchanged())
            Assert.Equal(4f, Scales());

        float Scales() => group.ColumnScales(() => tensor([(float)++made], [1, 1])).item<float>();
    }

    [Fact]
    public void Save_AfterTraining_IsPeftsFileAndLoadsToTheSameLogits()
    {
        string baseFolder = Base("gemma2");
        using var model = new TinyModel(baseFolder);
        using ModelWeights weights = ModelWeights.Open(baseFolder);
        TrainSettings settings = Settings(model);
        using LoraAdapter adapter = PeftAdapter.Create(settings, weights, model.Decoder);
        model.Decoder.Start(adapter, 3);
        PackedBatch batch = PackedBatch.Pack(_rows);
        Assert.Equal(Loss(null), Loss(adapter), 1e-6); // starts without effect
        using var optimizer = new AdamW(adapter.Parameters.numel(), settings.WeightDecay);
        var trainer = new Trainer(model.Decoder, adapter, optimizer, settings, _rows, []);
        for (int step = 1; step <= 3; step++)
            trainer.Step(step, _rows);
        Assert.True(Loss(adapter) < Loss(null) - 0.01);

        PeftAdapter.Save(_folder, adapter, settings, weights, "gemma2", null);
        AdapterReport report = AdapterCheck.Check(Path.Combine(_folder, AdapterConfig.FileName), Path.Combine(_folder, AdapterConfig.WeightsFileName), AdapterPlaces.Of(weights.Config), new AdapterLimits(), null, TestContext.Current.CancellationToken);
        Assert.Empty(report.Errors);
        Assert.Empty(report.Warnings);
        Assert.Equal(["embed_tokens", "lm_head"], report.Config!.ModulesToSave);
        using LoraAdapter loaded = PeftAdapter.Load(_folder, model.Decoder);
        Assert.Equal(Loss(adapter), Loss(loaded), 1e-6);

        double Loss(LoraAdapter? with) => model.Decoder.Loss(batch, with, batch.TotalWeight).Loss;
    }

    [Theory]
    [InlineData(0.0, 0.0, 8.0, "learning_rate is 0")]
    [InlineData(1e-60, 0.0, 8.0, "learning_rate is 1E-60")]
    [InlineData(1e-3, 1.0, 8.0, "dropout is 1")]
    [InlineData(1e-3, 0.0, 0.0, "alpha is 0")]
    public void A2_NothingTrainable_IsRefusedBeforeTheFirstStep(double rate, double dropout, double alpha, string what)
    {
        using TinyModel model = TinyModel.Llama();
        TrainSettings.Resolve(new TrainingConfig { LearningRate = 1e-3, Dropout = 0.5, Alpha = 8 }, model.Config, "job", 10, 100, false);
        JobFailedException e = Assert.Throws<JobFailedException>(() => TrainSettings.Resolve(new TrainingConfig { LearningRate = rate, Dropout = dropout, Alpha = alpha }, model.Config, "job", 10, 100, false));
        Assert.Equal("bad_config", e.Code);
        Assert.Contains(what, e.Message, StringComparison.Ordinal);
    }

    private static string Base(string family) => Path.GetDirectoryName(Reference.Existing($"models/{family}/reference.safetensors")[0])!;

    private static TrainSettings Settings(TinyModel model) => TrainSettings.Resolve(
        new TrainingConfig { Rank = 4, Alpha = 8, LearningRate = 1e-2, LrScheduler = "constant", WarmupRatio = 0, LoraBias = true, ModulesToSave = ["embed_tokens", "lm_head"] }, model.Config, "job", 3, 1, false);

    /// <summary>With every number random, so that every gradient is alive.</summary>
    private static LoraAdapter Adapter(TinyModel model, string folder, TrainSettings settings)
    {
        using ModelWeights weights = ModelWeights.Open(folder);
        LoraAdapter adapter = PeftAdapter.Create(settings, weights, model.Decoder);
        model.Decoder.Start(adapter, 3);
        var random = new Random(4);
        foreach (ref float value in Reference.Floats(adapter.Parameters))
            value += (random.NextSingle() - 0.5f) * 0.1f;
        return adapter;
    }

    private static EncodedRow Row(int line, params int[] tokens) => new(line, tokens, [.. tokens.Select((_, i) => i > 1)]);
}
