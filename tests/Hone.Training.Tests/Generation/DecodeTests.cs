using System.Globalization;
using Hone.Formats.Inference;
using Hone.Formats.Safetensors;
using Hone.Formats.TrainingData;
using Hone.Training.Generation;
using Hone.Training.Tests.Model;
using Hone.Training.Training;
using static TorchSharp.torch;

namespace Hone.Training.Tests.Generation;

/// <summary>Greedy decoding over the cache, and the processed distributions, against Transformers and vLLM's definitions.</summary>
[Trait("Category", "Reference")]
public sealed class DecodeTests
{
    private static readonly string[] s_settings = ["temperature", "top-k", "top-p", "repetition", "frequency", "presence", "filters", "all", "wide"];

    [Theory]
    [InlineData("llama")]
    [InlineData("gemma2")]
    public void Greedy_CachedTokens_EqualReference(string name)
    {
        foreach (string path in Reference.Existing("decode/decode.safetensors"))
        {
            using SafetensorsFile file = SafetensorsFile.Open(path);
            using var model = new TinyModel(Path.Combine(Reference.Folders("models").First(), name));
            for (int k = 0; file.Find($"{name}.base.{k}.prompt") is not null; k++)
            {
                int[] prompt = Ints(file, $"{name}.base.{k}.prompt"), expected = Ints(file, $"{name}.base.{k}.greedy");
                using var cache = new KeyValueCache(model.Config);
                var generated = new List<int>();
                int[] next = prompt;
                while (generated.Count < expected.Length)
                {
                    using var scope = NewDisposeScope();
                    int[] positions = [.. Enumerable.Range(cache.Length, next.Length)];
                    Tensor hidden = model.Decoder.Forward(next, positions, new CachedAttention([(cache, next.Length)], model.Decoder.AttentionShape), []);
                    cache.Length += next.Length;
                    Tensor logits = model.Decoder.Logits(hidden.narrow(0, next.Length - 1, 1));
                    generated.Add(new Sampler(new GenerateRequest(), prompt).Next(Reference.Floats(logits)));
                    next = [generated[^1]];
                }
                Assert.Equal(expected, generated);
            }
        }
    }

    [Theory]
    [MemberData(nameof(TinyModelTests.Models), MemberType = typeof(TinyModelTests))]
    public void Logits_TokenByToken_EqualThoseOfTheWholeText(string name)
    {
        string folder = Reference.Folders("models").Select(f => Path.Combine(f, name)).First(Directory.Exists);
        using var model = new TinyModel(folder);
        using var scope = NewDisposeScope();
        var random = new Random(7);
        int[] tokens = [.. Enumerable.Range(0, 24).Select(_ => random.Next(model.Config.VocabularySize))];
        PackedBatch batch = PackedBatch.Pack([new EncodedRow(1, tokens, [.. tokens.Select(_ => true)])]);
        Tensor whole = model.Decoder.Logits(model.Decoder.Forward(batch, null)); // [24, V]
        using var cache = new KeyValueCache(model.Config);
        for (int start = 0, count = 10; start < tokens.Length; start += count, count = 1)
        {
            int[] positions = [.. Enumerable.Range(start, count)];
            Tensor hidden = model.Decoder.Forward(tokens[start..(start + count)], positions, new CachedAttention([(cache, count)], model.Decoder.AttentionShape), []);
            cache.Length += count;
            Reference.AssertClose(Reference.Floats(whole.narrow(0, start, count).contiguous()), Reference.Floats(model.Decoder.Logits(hidden)), 2e-5, $"{name} from token {start} on", 1);
        }
    }

    [Fact]
    public void Process_EverySetting_EqualsReference()
    {
        foreach (string path in Reference.Existing("decode/decode.safetensors"))
        {
            using SafetensorsFile file = SafetensorsFile.Open(path);
            float[] settings = Reference.Read(file, "settings");
            int compared = 0;
            foreach (SafetensorsTensor tensor in file.Tensors)
            {
                string[] parts = tensor.Name.Split('.');
                int row = parts.Length == 5 ? Array.IndexOf(s_settings, parts[4]) : -1;
                if (row < 0)
                    continue;
                string key = string.Join('.', parts[..3]);
                int step = int.Parse(parts[3], CultureInfo.InvariantCulture);
                float[] s = settings[(row * 6)..(row * 6 + 6)];
                var request = new GenerateRequest
                {
                    Temperature = s[0],
                    TopK = (int)s[1],
                    TopP = Math.Round(s[2], 6),
                    RepetitionPenalty = s[3],
                    FrequencyPenalty = s[4],
                    PresencePenalty = s[5],
                };
                var sampler = new Sampler(request, Ints(file, key + ".prompt"));
                foreach (int token in Ints(file, key + ".greedy")[..step])
                    sampler.Seen(token);
                float[] logits = Reference.Read(file, $"{key}.{step}.logits"), expected = Reference.Read(file, tensor.Name);
                sampler.Adjust(logits);
                var actual = new float[logits.Length];
                foreach (Sampler.Candidate candidate in sampler.Process(logits))
                    actual[candidate.Token] = (float)candidate.Probability;
                for (int t = 0; t < actual.Length; t++)
                {
                    Assert.Equal(expected[t] == 0, actual[t] == 0);
                    Assert.True(Math.Abs(expected[t] - actual[t]) <= 1e-5 * expected[t] + 1e-7, $"{tensor.Name} token {t}: {actual[t]} instead of {expected[t]}");
                }
                compared++;
            }
            Assert.True(compared > 50);
        }
    }

    [Fact]
    public void Next_SameSeed_SameTokens()
    {
        var request = new GenerateRequest { Temperature = 1, Seed = 5 };
        int[] Draw(GenerateRequest r)
        {
            var sampler = new Sampler(r, []);
            return [.. Enumerable.Range(0, 20).Select(_ => sampler.Next(new float[50]))];
        }
        Assert.Equal(Draw(request), Draw(request));
        Assert.NotEqual(Draw(request), Draw(request with { Seed = 6 }));
    }

    /// <summary>What is drawn without sorting the whole vocabulary, against the whole distribution.</summary>
    [Theory]
    [InlineData(0, 1)]
    [InlineData(0, 0.5)]
    [InlineData(0, 0.999)]
    [InlineData(40, 1)]
    [InlineData(300, 0.9)]
    public void Process_LargeVocabulary_IsTheBeginningOfAllInOrder(int topK, double topP)
    {
        var random = new Random(3);
        // Many ties, and tokens that a constraint removed.
        float[] logits = [.. Enumerable.Range(0, 49_152).Select(i => i % 7 == 0 ? float.NegativeInfinity : MathF.Round(random.NextSingle() * 90) / 9)];
        var sampler = new Sampler(new GenerateRequest { Temperature = 0.8, TopK = topK, TopP = topP, Seed = 1 }, []);
        (int Token, double Weight)[] order = [.. logits.Select((l, t) => (t, l)).Where(x => !float.IsInfinity(x.l)).OrderByDescending(x => x.l).ThenBy(x => x.t).Select(x => (x.t, Math.Exp((x.l - 10.0) / 0.8)))];
        if (topK > 0)
            order = [.. order.TakeWhile((x, i) => i < topK || x.Weight == order[topK - 1].Weight)];
        double total = order.Sum(x => x.Weight), sum = 0;
        order = [.. order.TakeWhile(x => { bool more = sum / total < topP; sum += x.Weight; return more || topP == 1; })];
        total = order.Sum(x => x.Weight);
        Sampler.Candidate[] actual = sampler.Process(logits);
        Assert.Equal(order.Select(x => x.Token), actual.Select(c => c.Token));
        Assert.Equal(order.Select(x => x.Weight / total), actual.Select(c => c.Probability), (a, b) => Math.Abs(a - b) < 1e-12);
        foreach (double draw in (double[])[0, 0.3, 0.99])
        {
            Sampler.Candidate[] first = sampler.Process(logits, draw);
            Assert.Equal(actual[..first.Length].Select(c => c.Token), first.Select(c => c.Token));
            Assert.True(first.Sum(c => c.Probability) > draw);
        }
    }

    [Fact]
    public void Next_LogitBias_BansForcesAndLeavesAConstraintWhole()
    {
        float[] logits = [3, 2, 1, 0];
        Assert.Equal(1, new Sampler(new GenerateRequest { LogitBias = new Dictionary<int, double> { [0] = -100 } }, []).Next([.. logits]));
        Assert.Equal(3, new Sampler(new GenerateRequest { Temperature = 2, Seed = 1, LogitBias = new Dictionary<int, double> { [3] = 100 } }, []).Next([.. logits]));
        // The constraint forbids what the bias forces, and allows only what it bans.
        float[] masked = [3, 2, float.NegativeInfinity, float.NegativeInfinity];
        var against = new GenerateRequest { Temperature = 1, Seed = 1, LogitBias = new Dictionary<int, double> { [0] = -100, [1] = -100, [2] = 100 } };
        Assert.All(Enumerable.Range(0, 20), seed => Assert.InRange(new Sampler(against with { Seed = seed }, []).Next([.. masked]), 0, 1));
    }

    private static int[] Ints(SafetensorsFile file, string name) => [.. Reference.ReadInt64(file, name).Select(i => (int)i)];
}
