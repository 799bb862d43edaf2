using Hone.Formats.Jobs;
using Hone.Training.Processes;
using Microsoft.Extensions.Time.Testing;

namespace Hone.Training.Tests.Processes;

public sealed class HeartbeatTests
{
    private readonly List<double> _beats = [];
    private readonly FakeTimeProvider _clock = new();
    private TimeSpan _used = TimeSpan.FromSeconds(2);

    [Fact]
    public void Beat_ProcessWorks_IsSentEachTime()
    {
        using Heartbeat heartbeat = Start();
        Work(10);
        Work(1);
        Assert.Equal([12, 13], _beats);
    }

    [Fact]
    public void Beat_ProcessWaits_IsSilent()
    {
        using Heartbeat heartbeat = Start();
        for (int i = 0; i < 9; i++)
            Work(0.1);
        Assert.Empty(_beats);
        // What little it does adds up.
        Work(0.1);
        Assert.Equal([3], _beats);
    }

    [Fact]
    public void Beat_AfterDispose_IsSilent()
    {
        Start().Dispose();
        Work(10);
        Assert.Empty(_beats);
    }

    private Heartbeat Start() => new(e => _beats.Add(Assert.IsType<TrainerEvent.Heartbeat>(e).CpuSeconds), () => _used, _clock);

    private void Work(double seconds)
    {
        _used += TimeSpan.FromSeconds(seconds);
        _clock.Advance(Heartbeat.Every);
    }
}
