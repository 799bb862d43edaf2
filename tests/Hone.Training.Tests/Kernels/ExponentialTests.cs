using System.Runtime.Intrinsics;
using Hone.Training.Kernels;

namespace Hone.Training.Tests.Kernels;

public sealed class ExponentialTests
{
    [Fact]
    public void Of_WholeRange_WithinTwoUnitsOfTheLastPlace()
    {
        for (float x = -86; x <= 87; x += 0.00137f)
        {
            float e = Exponential.Of(Vector256.Create(x))[0];
            float exact = (float)Math.Exp(x);
            Assert.True(MathF.Abs(e - exact) <= 2 * (MathF.BitIncrement(exact) - exact), $"e^{x} is {e}, not {exact}");
        }
    }

    [Theory]
    [InlineData(float.NegativeInfinity)]
    [InlineData(float.PositiveInfinity)]
    [InlineData(1e30f)]
    public void Of_BeyondTheRange_StaysFinite(float x) => Assert.True(float.IsFinite(Exponential.Of(Vector256.Create(x))[3]));
}
