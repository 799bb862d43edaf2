using Hone.Formats.TrainingData;
using Hone.Training.Lora;
using Hone.Training.Training;

namespace Hone.Training.Tests.Training;

public sealed class PackedBatchTests
{
    /// <summary>Packed with shared prefixes = row by row, on random prefix trees: loss and every gradient.</summary>
    [Theory]
    [Trait("Category", "Device")]
    [InlineData("llama", false)]
    [InlineData("llama", true)]
    [InlineData("gemma3", true)] // windows shorter than the rows
    public void ForwardBackward_RandomPrefixTrees_EqualsRowByRow(string name, bool onDevice)
    {
        using TinyModel model = TinyModel.Of(name);
        using TestDecoder decoder = TestDecoder.Of(model, onDevice);
        for (int seed = 0; seed < 40; seed++)
        {
            EncodedRow[] rows = RandomTree(seed);
            using LoraAdapter together = model.Adapter(seed), apart = model.Adapter(seed);
            PackedBatch packed = PackedBatch.Pack(rows);
            double loss = decoder.Training.ForwardBackward(packed, together, packed.TotalWeight).Loss;
            double sum = rows.Sum(row => decoder.Training.ForwardBackward(PackedBatch.Pack([row]), apart, packed.TotalWeight).Loss);
            Assert.True(Math.Abs(loss - sum) <= 1e-5 * Math.Abs(sum), $"seed {seed}: loss {loss} packed, {sum} row by row");
            foreach ((LoraMatrices a, LoraMatrices b) in together.Matrices().Zip(apart.Matrices()))
            {
                AssertRelative(a.GradA!, b.GradA!, $"seed {seed} {a.Name} A");
                AssertRelative(a.GradB!, b.GradB!, $"seed {seed} {a.Name} B");
            }
        }
    }

    [Fact]
    public void Pack_SharedPrefixes_ComputesDistinctPrefixesAndLabelsOnce()
    {
        for (int seed = 0; seed < 200; seed++)
        {
            EncodedRow[] rows = RandomTree(seed);
            PackedBatch packed = PackedBatch.Pack(rows);
            var prefixes = new HashSet<string>();
            var labels = new HashSet<string>();
            foreach (EncodedRow row in rows)
            {
                for (int t = 0; t < row.Tokens.Length; t++)
                {
                    string prefix = string.Join(' ', row.Tokens[..(t + 1)]);
                    prefixes.Add(prefix);
                    if (t > 0 && row.Trained[t])
                        labels.Add(prefix);
                }
            }
            Assert.Equal(prefixes.Count, packed.Tokens.Length);
            Assert.Equal(labels.Count, packed.Labels.Length);
            Assert.Equal(rows.Sum(r => r.Trained.Skip(1).Count(t => t)), packed.TotalWeight);
            for (int r = 0; r < rows.Length; r++)
            {
                Assert.Equal(rows[r].Tokens, packed.RowTokens[r].Select(i => packed.Tokens[i]));
                Assert.Equal(Enumerable.Range(0, rows[r].Tokens.Length), packed.RowTokens[r].Select(i => packed.Positions[i]));
            }
        }
    }

    /// <summary>The control: attention that lets a branch see its sibling is caught by the comparison above.</summary>
    [Fact]
    public void ForwardBackward_BranchesTakenForOneRow_Differs()
    {
        using TinyModel model = TinyModel.Llama();
        using LoraAdapter adapter = model.Adapter(1);
        int[] root = [5, 6, 7, 8], left = [9, 10, 11], right = [12, 13, 14];
        PackedBatch tree = PackedBatch.Pack([Row([.. root, .. left]), Row([.. root, .. right])]);
        PackedBatch line = PackedBatch.Pack([Row([.. root, .. left, .. right])]);
        Assert.Equal(tree.Tokens, line.Tokens);
        using var a = model.Decoder.Forward(tree, adapter);
        using var b = model.Decoder.Forward(line, adapter);
        Assert.True(Reference.Floats(a)[^1] != Reference.Floats(b)[^1]);
    }

    private static EncodedRow Row(int[] tokens) => new(1, tokens, [.. tokens.Select((_, t) => t > 0)]);

    /// <summary>Rows that leave each other at random depths, some equal, some a prefix of another; labels at random.</summary>
    private static EncodedRow[] RandomTree(int seed)
    {
        var random = new SplitMix64((ulong)seed + 1);
        var rows = new List<EncodedRow>();
        int count = 2 + random.NextInt(6);
        for (int r = 0; r < count; r++)
        {
            int[] shared = r == 0 ? [] : rows[random.NextInt(r)].Tokens;
            int keep = shared.Length == 0 ? 0 : random.NextInt(shared.Length + 1);
            int more = random.NextInt(12) + (keep < 2 ? 2 : 0);
            int[] tokens = [.. shared[..keep], .. Enumerable.Range(0, more).Select(_ => 3 + random.NextInt(4))];
            bool[] trained = [.. tokens.Select((_, t) => t > 0 && random.NextInt(3) > 0)];
            if (!trained.Contains(true))
                trained[^1] = true;
            rows.Add(new EncodedRow(r + 1, tokens, trained));
        }
        return [.. rows];
    }

    private static void AssertRelative(TorchSharp.torch.Tensor actual, TorchSharp.torch.Tensor expected, string what)
    {
        ReadOnlySpan<float> a = Reference.Floats(actual), e = Reference.Floats(expected);
        double difference = 0, largest = 0;
        for (int i = 0; i < a.Length; i++)
        {
            difference = Math.Max(difference, Math.Abs((double)a[i] - e[i]));
            largest = Math.Max(largest, Math.Abs(e[i]));
        }
        Assert.True(difference <= 1e-5 * largest + 1e-9, $"{what}: max |Δ| {difference:g3}, max |X| {largest:g3}");
    }
}
