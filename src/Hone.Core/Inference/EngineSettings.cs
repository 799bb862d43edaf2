using System.ComponentModel.DataAnnotations;
using Hone.Core.Processes;

namespace Hone.Core.Inference;

/// <summary>How engines, the children that generate text, are run.</summary>
public sealed record EngineSettings
{
    /// <summary>Holds <c>adapters/</c>: the adapters as folders for the engines.</summary>
    public required string DataFolder { get; init; }

    /// <summary>Requests of one model under way or waiting; one more is refused.</summary>
    [Range(1, 10_000)]
    public int MaxRequests { get; init; } = 64;

    /// <summary>Threads of an engine; null: all cores.</summary>
    [Range(1, 1024)]
    public int? Threads { get; init; }

    /// <summary>An engine without requests for this long is ended; null: never.</summary>
    public TimeSpan? StopWhenIdle { get; init; }

    /// <summary>Time to load a model.</summary>
    public TimeSpan StartLimit { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>An engine that is waited for, and neither sends an event nor uses its processors from one look to the next, is ended, as after a crash; looks are this far apart.</summary>
    public TimeSpan StallAfter { get; init; } = TimeSpan.FromMinutes(2);

    /// <summary>Crashes within <see cref="CrashWindow"/> after which an engine rests for <see cref="CrashRest"/>.</summary>
    [Range(1, 100)]
    public int MaxCrashes { get; init; } = 3;

    public TimeSpan CrashWindow { get; init; } = TimeSpan.FromMinutes(1);

    public TimeSpan CrashRest { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>Null: <see cref="HoneExecutable.Locate"/>.</summary>
    public HoneExecutable? Executable { get; init; }
}
