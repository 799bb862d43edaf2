using Hone.Training.Kernels;

namespace Hone.Training.Tests.Kernels;

public sealed class CoresTests
{
    [Fact]
    public void For_ManyLoops_RunsEveryTurnOnce()
    {
        Cores.Use(3);
        for (int loop = 0; loop < 2000; loop++)
        {
            int[] turns = new int[loop % 50];
            Cores.For(turns.Length, i => Interlocked.Increment(ref turns[i]));
            Assert.All(turns, t => Assert.Equal(1, t));
        }
        Cores.Use(2);
    }

    [Fact]
    public void For_ThrowingTurn_ThrowsAtTheCallerAndGoesOn()
    {
        Cores.Use(2);
        Assert.Throws<InvalidOperationException>(() => Cores.For(100, i =>
        {
            if (i == 40)
                throw new InvalidOperationException();
        }));
        int sum = 0;
        Cores.For(10, i => Interlocked.Add(ref sum, i));
        Assert.Equal(45, sum);
    }

    [Fact]
    public void For_LoopWithinALoop_RunsWhereItIs()
    {
        Cores.Use(2);
        int turns = 0;
        Cores.For(8, _ => Cores.For(8, _ => Interlocked.Increment(ref turns)));
        Assert.Equal(64, turns);
    }

    /// <summary>Loops from several threads at once: one has the cores, the others run alone.</summary>
    [Fact]
    public void For_SeveralCallers_AllFinish()
    {
        Cores.Use(2);
        int turns = 0;
        Parallel.For(0, 4, _ =>
        {
            for (int loop = 0; loop < 500; loop++)
                Cores.For(7, _ => Interlocked.Increment(ref turns));
        });
        Assert.Equal(4 * 500 * 7, turns);
    }
}
