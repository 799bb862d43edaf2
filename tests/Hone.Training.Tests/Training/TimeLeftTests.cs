using Hone.Formats.TrainingData;
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
        double losses = tokens[..epoch].Sum() * evaluation / 90;
        var left = new TimeLeft(new RunPlan(steps, epoch, 10, tokens[..epoch].Sum(), 90, false, tail), tokens.Take(begun).Sum());
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

    /// <summary>A machine that is half as fast for the first thirty of ninety seconds, as others use it: twenty seconds later the time left is right again within a fifth.</summary>
    [Fact]
    public void After_MachineBecomesFaster_IsRightSoon()
    {
        var left = new TimeLeft(new RunPlan(180, 60, 60, 60 * 50, 0, false, 4), 0);
        double clock = 0;
        for (int step = 1; step <= 180; step++)
        {
            double seconds = clock < 30 ? 1 : 0.5;
            clock += seconds;
            left.Step(50, seconds);
            double truth = (180 - step) * 0.5 + 60 * 0.5 * 0.4 + 4;
            Assert.True(clock < 50 || Math.Abs(left.After(step) - truth) < 0.2 * truth, $"after step {step}: {left.After(step):f1} s instead of {truth:f1} s");
        }
    }

    /// <summary>
    /// Rows of 20 to 600 tokens, of which some share their beginnings, packed as they are computed; steps that take 15 % more or less than their tokens say, beside a cost of their own; a slow first
    /// step, evaluations, saved epochs, and checkpoints that nobody announces.
    /// </summary>
    [Theory]
    [InlineData(1, 4, false)]
    [InlineData(3, 4, false)]
    [InlineData(10, 16, false)]
    [InlineData(1, 4, true)]
    [InlineData(3, 4, true)]
    [InlineData(10, 2, true)]
    public void After_PackedRows_IsRightFromATenthOn(int epochs, int batch, bool isPreference)
    {
        for (int seed = 0; seed < 4; seed++)
        {
            const double rate = 0.002, overhead = 0.02, forward = 0.4, checkpointEvery = 60, checkpoint = 0.5, save = 0.3, tail = 4;
            var random = new Random(seed);
            int[][] beginnings = [.. Enumerable.Range(1, 3).Select(b => Enumerable.Repeat(b, 30 * b).ToArray())];
            EncodedRow[] rows = [.. Enumerable.Range(0, 240).Select(i =>
            {
                int[] own = [.. Enumerable.Range(0, (int)(20 * Math.Pow(30, random.NextDouble()))).Select(t => 1000 * (i + 1) + t)];
                int[] tokens = [.. beginnings[random.Next(3)], .. own];
                return new EncodedRow(i + 1, tokens, new bool[tokens.Length]);
            })];
            EncodedRow[] validation = rows[..30];
            int stepsAnEpoch = (rows.Length + batch - 1) / batch, steps = epochs * stepsAnEpoch, evalEvery = Math.Max(1, stepsAnEpoch / 2);
            EncodedRow[][] chosen = [.. Enumerable.Range(0, epochs).SelectMany(_ => rows.OrderBy(_ => random.Next()).ToArray().Chunk(batch))];
            double Computed(IEnumerable<EncodedRow> some) => some.Chunk(8).Sum(pass => PackedBatch.Pack(pass).Tokens.Length) * rate;

            // What happens, second by second: each thing's time, and what is known when it is over.
            var left = new TimeLeft(new RunPlan(steps, stepsAnEpoch, evalEvery, rows.Sum(r => (long)r.Tokens.Length), validation.Sum(r => (long)r.Tokens.Length), isPreference, tail), 0);
            var told = new List<(int Step, double At, double Left)>();
            double clock = 0, lastCheckpoint = 0;
            for (int step = 1; step <= steps; step++)
            {
                double pass = Computed(chosen[step - 1]), seconds = (pass * (isPreference && step <= stepsAnEpoch ? 1 + forward : 1) + overhead) * (0.85 + 0.3 * random.NextDouble()) + (step == 1 ? 3 : 0);
                clock += seconds;
                left.Step(chosen[step - 1].Sum(r => (long)r.Tokens.Length), seconds);
                told.Add((step, clock, left.After(step)));
                if (step % evalEvery == 0 || step == steps)
                {
                    double evaluation = Computed(validation) * forward;
                    clock += evaluation;
                    left.Evaluation(evaluation);
                }
                if (step % stepsAnEpoch == 0)
                {
                    clock += save;
                    left.Epoch(save);
                }
                if (clock - lastCheckpoint >= checkpointEvery)
                    lastCheckpoint = clock += checkpoint;
            }
            double end = clock + Computed(rows) * forward + tail;
            Assert.All(told.Where(t => t.Step >= steps / 10), t => Assert.True(t.Left > 0.8 * (end - t.At) && t.Left < 1.2 * (end - t.At), $"seed {seed}, after step {t.Step} of {steps}: {t.Left:f1} s instead of {end - t.At:f1} s"));
        }
    }
}
