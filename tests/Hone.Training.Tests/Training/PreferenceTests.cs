using Hone.Formats.Jobs;
using Hone.Formats.Safetensors;
using Hone.Formats.TrainingData;
using Hone.Training.Lora;
using Hone.Training.Model;
using Hone.Training.Training;
using static TorchSharp.torch;

namespace Hone.Training.Tests.Training;

public sealed class PreferenceTests
{
    private const string Prefix = "base_model.model.";

    /// <summary>log-probabilities of policy and reference, every gradient and ten steps against PyTorch.</summary>
    [Theory]
    [Trait("Category", "Reference")]
    [Trait("Category", "Device")]
    [InlineData(false)]
    [InlineData(true)]
    public void Train_TenSteps_EqualReference(bool onDevice)
    {
        foreach (string path in Reference.Folders("dpo").SelectMany(folder => Directory.GetFiles(folder, "*.safetensors")))
        {
            using SafetensorsFile file = SafetensorsFile.Open(path);
            string beside = Path.Combine(Path.GetDirectoryName(path)!, "..", "models", "llama");
            using var model = new TinyModel(Directory.Exists(beside) ? beside : Reference.Folders("models/llama").First());
            using TestDecoder own = TestDecoder.Of(model, onDevice);
            TrainingDecoder decoder = own.Training;
            var modules = file.Tensors.Where(t => t.Name.StartsWith("adapter.0.", StringComparison.Ordinal) && t.Name.EndsWith(".lora_A.weight", StringComparison.Ordinal))
                .ToDictionary(
                    t => t.Name["adapter.0.".Length..^".lora_A.weight".Length][Prefix.Length..],
                    t => new LoraModuleShape((int)t.Shape[1], (int)file.Find(t.Name.Replace("lora_A", "lora_B"))!.Shape[0], 4, 2));
            using var adapter = new LoraAdapter(model.Decoder.Projections, modules, trainable: true);
            foreach (LoraMatrices module in adapter.Matrices())
            {
                Reference.Read(file, $"adapter.0.{Prefix}{module.Name}.lora_A.weight").CopyTo(Reference.Floats(module.A));
                Reference.Read(file, $"adapter.0.{Prefix}{module.Name}.lora_B.weight").CopyTo(Reference.Floats(module.B));
            }
            EncodedRow[] pairs = [.. Reference.Rows(file, "chosen.").Zip(Reference.Rows(file, "rejected.")).SelectMany(p => new[] { p.First, p.Second })];
            PackedBatch batch = PackedBatch.Pack(pairs);
            float beta = Reference.Read(file, "beta")[0], rate = Reference.Read(file, "learning_rate")[0];
            foreach ((string who, LoraAdapter? with) in new[] { ("policy", adapter), ("reference", null) })
            {
                double[] sums = PreferenceLoss.RowSums(batch, decoder.LogProbabilities(batch, with));
                Compare([.. sums.Where((_, r) => r % 2 == 0).Select(s => (float)s)], who + ".chosen");
                Compare([.. sums.Where((_, r) => r % 2 == 1).Select(s => (float)s)], who + ".rejected");
            }

            float[] losses = Reference.Read(file, "loss"), norms = Reference.Read(file, "grad_norm"), margins = Reference.Read(file, "reward_margin");
            PreferenceLoss first = decoder.ForwardBackward(batch, adapter, beta, pairs.Length / 2, decoder.RowLogProbabilities(batch, null));
            Reference.AssertClose([losses[0]], [(float)first.Loss], Noise("loss"), "loss");
            Reference.AssertClose([margins[0]], [(float)first.Margin / (pairs.Length / 2)], Noise("reward_margin"), "margin");
            foreach (LoraMatrices module in adapter.Matrices())
            {
                Compare(Reference.Floats(module.GradA!), $"grad.{Prefix}{module.Name}.lora_A.weight");
                Compare(Reference.Floats(module.GradB!), $"grad.{Prefix}{module.Name}.lora_B.weight");
            }

            using var optimizer = new AdamW(adapter.Parameters.numel(), 0);
            TrainSettings settings = Settings(model, rate, beta);
            var trainer = new Trainer(decoder, adapter, optimizer, settings, pairs, pairs);
            for (int step = 1; step <= losses.Length; step++)
            {
                StepResult result = trainer.Step(step, pairs);
                Reference.AssertClose([losses[step - 1]], [(float)result.Loss], Noise("loss"), $"loss of step {step}");
                Reference.AssertClose([norms[step - 1]], [(float)result.GradNorm], Noise("grad_norm"), $"gradient norm of step {step}");
            }
            foreach (LoraMatrices module in adapter.Matrices())
            {
                Compare(Reference.Floats(module.A), $"adapter.10.{Prefix}{module.Name}.lora_A.weight", 24);
                Compare(Reference.Floats(module.B), $"adapter.10.{Prefix}{module.Name}.lora_B.weight", 24);
            }
            Assert.True(trainer.Evaluate(10).Loss < losses[0]);

            double Noise(string tensor) => Reference.Read(file, "noise." + tensor)[0];

            void Compare(ReadOnlySpan<float> actual, string tensor, double k = 8) => Reference.AssertClose(Reference.Read(file, tensor), actual, Noise(tensor), tensor, k);
        }
    }

    /// <summary>Pairs that share prompts and parts of their answers, packed together = pair by pair: loss and every gradient.</summary>
    [Fact]
    public void ForwardBackward_PairsPacked_EqualPairByPair()
    {
        using TinyModel model = TinyModel.Llama();
        for (int seed = 0; seed < 20; seed++)
        {
            EncodedRow[] pairs = RandomPairs(seed);
            using LoraAdapter together = model.Adapter(seed), apart = model.Adapter(seed);
            double loss = Loss(pairs, together), sum = pairs.Chunk(2).Sum(pair => Loss(pair, apart));
            Assert.True(Math.Abs(loss - sum) <= 1e-5 * Math.Abs(sum), $"seed {seed}: loss {loss} packed, {sum} pair by pair");
            foreach ((LoraMatrices a, LoraMatrices b) in together.Matrices().Zip(apart.Matrices()))
            {
                Assert.True(allclose(a.GradA!, b.GradA!, 1e-4, 1e-6), $"seed {seed} {a.Name} A");
                Assert.True(allclose(a.GradB!, b.GradB!, 1e-4, 1e-6), $"seed {seed} {a.Name} B");
            }

            double Loss(EncodedRow[] some, LoraAdapter adapter)
            {
                PackedBatch batch = PackedBatch.Pack(some);
                return model.Decoder.ForwardBackward(batch, adapter, 0.3, pairs.Length / 2, model.Decoder.RowLogProbabilities(batch, null)).Loss;
            }
        }
    }

    [Fact]
    public void RowsOf_Pairs_StayTogetherAndEachComesOnce()
    {
        using TinyModel model = TinyModel.Llama();
        using LoraAdapter adapter = model.Adapter(1);
        using var optimizer = new AdamW(adapter.Parameters.numel(), 0);
        EncodedRow[] pairs = RandomPairs(3);
        TrainSettings settings = TrainSettings.Resolve(new TrainingConfig { BatchSize = 2, Seed = 5 }, model.Config, "job", pairs.Length / 2, 1, preferencePairs: true);
        var trainer = new Trainer(model.Decoder, adapter, optimizer, settings, pairs, []);
        EncodedRow[] epoch = [.. Enumerable.Range(1, settings.Steps / settings.Epochs).SelectMany(trainer.RowsOf)];
        Assert.Equal(pairs.OrderBy(r => r.Line), epoch.OrderBy(r => r.Line));
        Assert.All(epoch.Chunk(2), pair => Assert.Equal(pair[0].Line + 1, pair[1].Line));
    }

    private static TrainSettings Settings(TinyModel model, double rate, double beta) => TrainSettings.Resolve(
        new TrainingConfig { LearningRate = rate, LrScheduler = "constant", WarmupRatio = 0, WeightDecay = 0, MaxGradNorm = 1, Beta = beta }, model.Config, "job", 4, 1, preferencePairs: true);

    /// <summary>Six pairs on two prompts; some answers begin alike.</summary>
    internal static EncodedRow[] RandomPairs(int seed)
    {
        var random = new SplitMix64((ulong)seed + 77);
        int[][] prompts = [Tokens(7), Tokens(4)];
        var rows = new List<EncodedRow>();
        for (int pair = 0; pair < 6; pair++)
        {
            int[] prompt = prompts[random.NextInt(2)], start = Tokens(random.NextInt(3));
            for (int side = 0; side < 2; side++)
            {
                int[] row = [.. prompt, .. start, .. Tokens(1 + random.NextInt(6))];
                rows.Add(new EncodedRow(2 * pair + side, row, [.. row.Select((_, t) => t >= prompt.Length)]));
            }
        }
        return [.. rows];

        int[] Tokens(int count) => [.. Enumerable.Range(0, count).Select(_ => 3 + random.NextInt(150))];
    }
}
