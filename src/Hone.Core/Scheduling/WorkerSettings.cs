using System.ComponentModel.DataAnnotations;
using Hone.Core.Processes;

namespace Hone.Core.Scheduling;

/// <summary>How a worker takes jobs and runs their trainers.</summary>
public sealed record WorkerSettings
{
    /// <summary>Holds <c>jobs/</c>, where each attempt has a folder of its own.</summary>
    public required string DataFolder { get; init; }

    /// <summary>Jobs at a time.</summary>
    [Range(1, 64)]
    public int Slots { get; init; } = 1;

    /// <summary>Threads of a trainer; null: all cores shared by the slots.</summary>
    [Range(1, 1024)]
    public int? Threads { get; init; }

    /// <summary>Limit of a trainer's private memory in MiB; null: none.</summary>
    [Range(256, int.MaxValue)]
    public int? MemoryLimitMb { get; init; }

    /// <summary>After this long without renewal the job belongs to whoever claims it. The database's clock counts it.</summary>
    public TimeSpan Lease { get; init; } = TimeSpan.FromSeconds(30);

    public TimeSpan RenewEvery { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>A worker that could not renew for this long ends its trainer; well before the lease itself ends. Its own monotonic clock counts it.</summary>
    public TimeSpan GiveUpAfter { get; init; } = TimeSpan.FromSeconds(20);

    /// <summary>How often the store is asked where no signal comes, as from another process.</summary>
    public TimeSpan PollEvery { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>Events are written together, at most once in this time.</summary>
    public TimeSpan EventsEvery { get; init; } = TimeSpan.FromMilliseconds(250);

    /// <summary>Pauses before the second, third … attempt after a crash; the last one counts for all further.</summary>
    public IReadOnlyList<TimeSpan> RetryAfter { get; init; } = [TimeSpan.FromSeconds(2), TimeSpan.FromSeconds(10)];

    /// <summary>The pause after an attempt that found the disk full, or the data folder not to be written.</summary>
    public TimeSpan RetryWhenNotWritten { get; init; } = TimeSpan.FromMinutes(1);

    /// <summary>What a trainer gets to end by itself when the server shuts down.</summary>
    public TimeSpan StopGrace { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>A trainer that sends no event for this long, not even a heartbeat, is ended, as after a crash.</summary>
    public TimeSpan StallAfter { get; init; } = TimeSpan.FromMinutes(10);

    /// <summary>Metrics kept of a job: of longer ones every n-th step, and the last.</summary>
    [Range(10, 1_000_000)]
    public int StepEvents { get; init; } = 10_000;

    /// <summary>Null: <see cref="HoneExecutable.Locate"/>.</summary>
    public HoneExecutable? Executable { get; init; }

    public int ThreadsPerJob => Threads ?? Math.Max(1, Environment.ProcessorCount / Slots);
}
