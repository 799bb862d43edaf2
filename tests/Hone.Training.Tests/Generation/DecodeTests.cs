using System.Globalization;
using Hone.Formats.Inference;
using Hone.Formats.Safetensors;
using Hone.Formats.TrainingData;
using Hone.Training.Generation;
using Hone.Training.Lora;
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
                sampler.Penalise(logits);
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

    private static int[] Ints(SafetensorsFile file, string name) => [.. Reference.ReadInt64(file, name).Select(i => (int)i)];
}
