using Hone.Formats.Tests;

namespace Hone.Training.Tests.Kernels;

[Trait("Category", "Slow")]
public sealed class InstructionSetTests
{
    [Theory]
    [InlineData("AVX512")]
    [InlineData("AVX2")]
    public Task Kernels_FewerInstructions_PassTheSameTests(string without) =>
        InstructionSets.PassWithoutAsync(without, TestContext.Current.CancellationToken, typeof(RowProductTests).FullName!, typeof(MatrixProductTests).FullName!, typeof(ExponentialTests).FullName!);
}
