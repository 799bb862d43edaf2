namespace Hone.Formats.Tests.Gguf;

[Trait("Category", "Slow")]
public sealed class InstructionSetTests
{
    [Theory]
    [InlineData("AVX512")]
    [InlineData("AVX2")]
    public Task BlockTypes_FewerInstructions_SameBits(string without) =>
        InstructionSets.PassWithoutAsync(without, TestContext.Current.CancellationToken, typeof(GgufTypesTests).FullName!);
}
