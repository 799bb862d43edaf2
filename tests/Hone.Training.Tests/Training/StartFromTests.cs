using Hone.Formats.Adapters;
using Hone.Formats.Jobs;
using Hone.Formats.TrainingData;
using Hone.Training.Lora;
using Hone.Training.Tests.Lora;
using Hone.Training.Training;

namespace Hone.Training.Tests.Training;

/// <summary>Trainings that go on with an adapter.</summary>
public sealed class StartFromTests
{
    /// <summary>Of every shape that PEFT saves: what is started from and saved again without a step is what it was.</summary>
    [Theory]
    [Trait("Category", "Reference")]
    [MemberData(nameof(PeftAdapterTests.Adapters), MemberType = typeof(PeftAdapterTests))]
    public void Start_AdapterOfPeft_KeepsItsShapeAndItsValues(string folder)
    {
        using var model = new TinyModel(folder);
        using var from = AdapterFiles.Open(Path.Combine(folder, "adapter"), model.Config);
        TrainSettings settings = Settings(model, from, pairs: false);
        using LoraAdapter adapter = PeftAdapter.Create(settings, model.Weights, model.Decoder);
        PeftAdapter.Read(from, adapter);
        string saved = Directory.CreateTempSubdirectory("hone-start-").FullName;
        try
        {
            PeftAdapter.Save(saved, adapter, settings, model.Weights, "base", modelSha256: null);
            using var again = AdapterFiles.Open(saved, model.Config);
            Assert.Equal(from.Modules.Select(m => (m.Name, from.Config.RankOf(m.Name), from.Config.ScaleOf(m.Name))), again.Modules.Select(m => (m.Name, again.Config.RankOf(m.Name), again.Config.ScaleOf(m.Name))));
            Assert.Equal(from.Whole, again.Whole);
            foreach (NamedTensor tensor in adapter.Tensors())
                Assert.Equal(from.Read(tensor.Kind, tensor.Module), again.Read(tensor.Kind, tensor.Module));
        }
        finally
        {
            Directory.Delete(saved, recursive: true);
        }
    }

    /// <summary>DPO's reference is the adapter that is gone on with: before the first step nothing is preferred, σ(0) = ½.</summary>
    [Fact]
    public void Step_PairsOnAnAdapter_BeginsAtLn2()
    {
        string folder = Reference.Folders("models/llama").First();
        using var model = new TinyModel(folder);
        using var from = AdapterFiles.Open(Path.Combine(folder, "adapter"), model.Config);
        TrainSettings settings = Settings(model, from, pairs: true);
        using LoraAdapter adapter = PeftAdapter.Create(settings, model.Weights, model.Decoder), reference = PeftAdapter.Load(from, model.Decoder);
        PeftAdapter.Read(from, adapter);
        EncodedRow[] pairs = PreferenceTests.RandomPairs(3);
        using var optimizer = new AdamW(adapter.Parameters.numel(), 0);

        var known = new ReferenceLogProbabilities(pairs.Length);
        var trainer = new Trainer(model.Decoder, adapter, optimizer, settings, pairs, pairs) { Reference = reference };
        double beside = new Trainer(model.Decoder, adapter, optimizer, settings, pairs, pairs).Evaluate(0).Loss, before = trainer.Evaluate(0).Loss;
        double first = trainer.Step(1, pairs, new Chosen([.. Enumerable.Range(0, pairs.Length)], known)).Loss, second = trainer.Step(2, pairs).Loss;

        Assert.Equal(Math.Log(2), before, 1e-9);
        Assert.Equal(Math.Log(2), first, 1e-9);
        Assert.True(second < first);
        Assert.True(Math.Abs(beside - Math.Log(2)) > 1e-3, "The adapter prefers what the base does: the test shows nothing.");
    }

    private static TrainSettings Settings(TinyModel model, AdapterFiles from, bool pairs) =>
        TrainSettings.Resolve(new TrainingConfig { StartFrom = "ft", Seed = 1 }, model.Config, "job", 6, 1, pairs, from.Config);
}
