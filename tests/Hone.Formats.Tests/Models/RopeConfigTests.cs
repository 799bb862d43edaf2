using Hone.Formats.Models;

namespace Hone.Formats.Tests.Models;

public sealed class RopeConfigTests
{
    private static readonly float[] s_long = [1, 2, 3, 4, 5, 6, 7, 8];

    public static TheoryData<string, RopeScaling?, double[]> Kinds => new()
    {
        { "none", null, [1, 0.31622776601683794, 0.1, 0.03162277660168379, 0.01, 0.0031622776601683794, 0.001, 0.00031622776601683794] },
        { "linear", new() { Kind = RopeKind.Linear, Factor = 2 }, [0.5, 0.15811388300841897, 0.05, 0.015811388300841896, 0.005, 0.0015811388300841897, 0.0005, 0.00015811388300841897] },
        { "dynamic", new() { Kind = RopeKind.Dynamic, Factor = 4 }, [1, 0.2672229816928558, 0.07140812194482034, 0.01908189126318194, 0.0050991198796863325, 0.0013626020182590979, 0.0003641185741798993, 9.730085108210398e-05] },
        { "llama3", new() { Kind = RopeKind.Llama3, Factor = 8, LowFrequencyFactor = 1, HighFrequencyFactor = 4, OriginalContext = 64 },
            [1, 0.24438459943539834, 0.013042256043820465, 0.003952847075210474, 0.00125, 0.0003952847075210474, 0.000125, 3.952847075210474e-05] },
        { "yarn", new() { Kind = RopeKind.Yarn, Factor = 8, OriginalContext = 4096 },
            [1, 0.31622776601683794, 0.1, 0.02470529422006546, 0.005625, 0.0010870329456828802, 0.000125, 3.952847075210474e-05] },
        { "yarn without rounding", new() { Kind = RopeKind.Yarn, Factor = 8, OriginalContext = 4096, Truncate = false },
            [1, 0.31622776601683794, 0.1, 0.02811208084703974, 0.005983133441317673, 0.0009728577591530727, 0.000125, 3.952847075210474e-05] },
        { "longrope", new() { Kind = RopeKind.LongRope, OriginalContext = 99, ShortFactors = [1, 1, 1, 1, 1, 1, 1, 1], LongFactors = s_long },
            [1, 0.15811388300841897, 0.03333333333333333, 0.007905694150420948, 0.002, 0.0005270462766947298, 0.00014285714285714287, 3.952847075210474e-05] },
        { "longrope, short text", new() { Kind = RopeKind.LongRope, OriginalContext = 100, ShortFactors = [1, 1, 1, 1, 1, 1, 1, 2], LongFactors = s_long },
            [1, 0.31622776601683794, 0.1, 0.03162277660168379, 0.01, 0.0031622776601683794, 0.001, 0.00015811388300841897] },
    };

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Frequencies_EachKind_FollowTheirFormula(string kind, RopeScaling? scaling, double[] expected)
    {
        float[] frequencies = new RopeConfig(10_000, scaling).Frequencies(16, contextLength: 64, length: 100);
        Assert.Equal(expected.Length, frequencies.Length);
        for (int i = 0; i < expected.Length; i++)
            Assert.True(Math.Abs(expected[i] - frequencies[i]) <= 1e-6 * expected[i], $"{kind}: frequency {i} is {frequencies[i]} instead of {expected[i]}");
    }

    [Fact]
    public void Frequencies_DynamicWithinTheContext_AreTheModelsOwn() =>
        Assert.Equal(new RopeConfig(10_000, null).Frequencies(16, 64, 64), new RopeConfig(10_000, new() { Kind = RopeKind.Dynamic, Factor = 4 }).Frequencies(16, 64, 64));
}
