using Hone.Formats.Jobs;

namespace Hone.Training.Processes;

/// <summary>
/// Tells the worker now and then that this process works: by the processor time that it has used since, so that one which waits for a lock or a disk that never
/// answers falls silent, and is ended.
/// </summary>
internal sealed class Heartbeat : IDisposable
{
    public static readonly TimeSpan Every = TimeSpan.FromSeconds(30);

    /// <summary>More than the runtime's own threads take for nothing in that time.</summary>
    private static readonly TimeSpan Least = TimeSpan.FromSeconds(1);

    private readonly Action<TrainerEvent> _write;
    private readonly Func<TimeSpan> _processorTime;
    private readonly ITimer _timer;
    private readonly Lock _lock = new();
    private TimeSpan _before;
    private bool _over;

    public Heartbeat(Action<TrainerEvent> write, Func<TimeSpan> processorTime, TimeProvider clock)
    {
        (_write, _processorTime, _before) = (write, processorTime, processorTime());
        _timer = clock.CreateTimer(_ => Beat(), null, Every, Every);
    }

    /// <summary>None comes after this.</summary>
    public void Dispose()
    {
        _timer.Dispose();
        lock (_lock)
            _over = true;
    }

    private void Beat()
    {
        lock (_lock)
        {
            TimeSpan now = _processorTime();
            if (_over || now - _before < Least)
                return;
            _before = now;
            try
            {
                _write(new TrainerEvent.Heartbeat(Math.Round(now.TotalSeconds, 3)));
            }
            catch (IOException)
            {
                // Nobody listens any more; the life line ends the process.
            }
        }
    }
}
