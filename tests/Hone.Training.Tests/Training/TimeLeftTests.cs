using Hone.Training.Training;

namespace Hone.Training.Tests.Training;

public sealed class TimeLeftTests
{
    /// <summary>Steps of 10 to 190 tokens at a tenth of a second a token, a slow first one, evaluations, the rows' losses, and a tail: what is left is told within a fifth once a tenth is done.</summary>
    [Theory]
    [InlineData(0)]
    [InlineData(37)]
    public void After_UnevenSteps_IsRightFromATenthOn(int begun)
    {
        const int steps = 100, epoch = 20;
        const double rate = 0.1, evaluation = 3, save = 0.5, tail = 4;
        int[] tokens = [.. Enumerable.Range(0, steps).Select(i => i % epoch * 9 + 10)];
        double losses = tokens[..epoch].Sum() * rate / 3;
        var left = new TimeLeft(new RunPlan(steps, epoch, 10, tokens[..epoch].Sum(), 90, tail), tokens.Take(begun).Sum());
        var told = new List<(int Step, double Left)>();
        for (int step = begun + 1; step <= steps; step++)
        {
            left.Step(tokens[step - 1], tokens[step - 1] * rate + (step == begun + 1 ? 20 : 0));
            told.Add((step, left.After(step)));
            if (step % 10 == 0)
                left.Evaluation(evaluation);
            if (step % epoch == 0)
                left.Epoch(save);
        }
        foreach ((int step, double said) in told.Where(t => t.Step > begun + steps / 10))
        {
            double truth = tail + losses + tokens.Skip(step).Sum() * rate + Enumerable.Range(step, steps - step + 1).Sum(s => (s % 10 == 0 ? evaluation : 0) + (s % epoch == 0 ? save : 0));
            Assert.True(said > 0.8 * truth && said < 1.2 * truth, $"after step {step}: {said:f1} s instead of {truth:f1} s");
        }
        Assert.Equal(tail + losses + evaluation + save, told[^1].Left, 6);
    }
}
