using System.Net.Sockets;
using System.Runtime.CompilerServices;
using Hone.Core.Processes;
using Hone.Formats.Inference;
using Microsoft.Extensions.Logging;

namespace Hone.Core.Inference;

/// <summary>One model's engine over time: started at the first request, started again after a crash, ended when idle.</summary>
internal sealed partial class Engine : IAsyncDisposable
{
    /// <summary>What an engine says at its end, and why none starts, may name paths of the machine, which are not for whoever asks.</summary>
    public const string InTheLog = "The server's log says more.";

    private static readonly TimeSpan[] RestartAfter = [TimeSpan.Zero, TimeSpan.Zero, TimeSpan.FromSeconds(0.5), TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(2)];
    private static readonly TimeSpan StopGrace = TimeSpan.FromSeconds(5);

    private readonly string _modelId;
    private readonly string _modelPath;
    private readonly Func<string> _newSocket;
    private readonly EngineSettings _settings;
    private readonly ILogger _logger;
    private readonly TimeProvider _clock;
    private readonly ITimer _idle;
    private readonly Lock _lock = new();
    private readonly Queue<long> _crashes = [];
    private long _lastCrash;
    private Task<EngineProcess>? _current;
    private Task _stopping = Task.CompletedTask;
    private int _requests;
    private TimeSpan? _stopWhenIdle;
    private bool _disposed;

    public Engine(string modelId, string modelPath, Func<string> newSocket, EngineSettings settings, ILogger logger, TimeProvider clock)
    {
        _modelId = modelId;
        _modelPath = modelPath;
        _newSocket = newSocket;
        _settings = settings;
        _logger = logger;
        _clock = clock;
        _stopWhenIdle = settings.StopWhenIdle;
        _idle = clock.CreateTimer(_ => StopIfIdle(), null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
    }

    public async IAsyncEnumerable<GenerateEvent> GenerateAsync(GenerateRequest request, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        Enter();
        try
        {
            (EngineProcess process, Socket socket) = await ConnectAsync(cancellationToken);
            await foreach (GenerateEvent next in process.ExchangeAsync(socket, request, cancellationToken))
                yield return next;
        }
        finally
        {
            Leave();
        }
    }

    /// <summary>Nothing is under way, and no process runs.</summary>
    public bool IsEnded
    {
        get
        {
            lock (_lock)
                return _requests == 0 && _current is null && _stopping.IsCompleted;
        }
    }

    /// <summary>From now on it is ended as soon as no request is under way.</summary>
    public void Retire()
    {
        lock (_lock)
        {
            _stopWhenIdle = TimeSpan.Zero;
            AwaitIdleness();
        }
    }

    public async ValueTask DisposeAsync()
    {
        Task<EngineProcess>? current;
        lock (_lock)
        {
            _disposed = true;
            current = _current;
            _current = null;
        }
        await _idle.DisposeAsync();
        await _stopping;
        if (current is not null)
            await EndAsync(current);
    }

    private void Enter()
    {
        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            if (_requests >= _settings.MaxRequests)
                throw new EngineBusyException($"{_requests} requests for {_modelId} are under way or waiting, which is the limit. Try again in a moment.");
            _requests++;
        }
    }

    private void Leave()
    {
        lock (_lock)
        {
            _requests--;
            AwaitIdleness();
        }
    }

    /// <summary>Under the lock.</summary>
    private void AwaitIdleness()
    {
        if (_requests == 0 && !_disposed && _stopWhenIdle is { } idle)
            _idle.Change(idle, Timeout.InfiniteTimeSpan);
    }

    /// <summary>An engine may be found dead at the connect, when its end was not seen yet: then the request, of which nothing was sent, goes to the next one.</summary>
    private async Task<(EngineProcess, Socket)> ConnectAsync(CancellationToken cancellationToken)
    {
        for (int attempt = 1; ; attempt++)
        {
            Task<EngineProcess> starting = Current();
            EngineProcess process = await starting.WaitAsync(cancellationToken);
            try
            {
                return (process, await process.ConnectAsync(cancellationToken));
            }
            catch (SocketException error)
            {
                await ForgetAsync(starting);
                if (attempt == 2)
                {
                    LogUnreachable(_logger, _modelId, error);
                    throw new EngineCrashedException($"The engine for {_modelId} does not take connections. {InTheLog}", error);
                }
            }
        }
    }

    private Task<EngineProcess> Current()
    {
        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            if (_current is null)
            {
                _current = StartAsync();
                _ = WatchAsync(_current);
            }
            return _current;
        }
    }

    private async Task<EngineProcess> StartAsync()
    {
        // Off the caller's lock; the start belongs to all that wait for it and to none of their cancellations.
        await Task.Yield();
        try
        {
            await _stopping;
            await Task.Delay(Pause(), _clock);
            return await EngineProcess.StartAsync(_modelPath, _newSocket(), _settings, _logger, _clock);
        }
        catch (Exception error)
        {
            lock (_lock)
            {
                if (error is EngineUnavailableException { InnerException: not null })
                    NoteCrash();
                _current = null;
            }
            if (error is EngineException)
                throw;
            LogNotStarted(_logger, _modelId, error);
            throw new EngineUnavailableException($"The engine for {_modelId} could not be started. {InTheLog}", TimeSpan.FromSeconds(1), error);
        }
    }

    /// <summary>How long a restart waits.</summary>
    /// <exception cref="EngineUnavailableException">Too many crashes of late.</exception>
    private TimeSpan Pause()
    {
        lock (_lock)
        {
            while (_crashes.TryPeek(out long first) && _clock.GetElapsedTime(first) > _settings.CrashWindow)
                _crashes.Dequeue();
            if (_crashes.Count == 0)
                return TimeSpan.Zero;
            TimeSpan rest = _settings.CrashRest - _clock.GetElapsedTime(_lastCrash);
            if (_crashes.Count > _settings.MaxCrashes && rest > TimeSpan.Zero)
            {
                throw new EngineUnavailableException(
                    $"The engine for {_modelId} ended {_crashes.Count} times within {_settings.CrashWindow.TotalSeconds:0} s and rests for {Math.Ceiling(rest.TotalSeconds):0} s more. {InTheLog}", rest);
            }
            TimeSpan pause = RestartAfter[Math.Min(_crashes.Count, RestartAfter.Length - 1)] - _clock.GetElapsedTime(_lastCrash);
            return pause > TimeSpan.Zero ? pause : TimeSpan.Zero;
        }
    }

    private async Task WatchAsync(Task<EngineProcess> starting)
    {
        EngineProcess process;
        try
        {
            process = await starting;
        }
        catch (EngineException)
        {
            // Those who wait for it are told.
            return;
        }
        // They may all be gone.
        lock (_lock)
            AwaitIdleness();
        ChildExit exit = await process.Exited;
        lock (_lock)
        {
            // Ended on purpose: it is no longer the current one.
            if (_current != starting)
                return;
            NoteCrash();
            _current = null;
        }
        LogCrashed(_logger, _modelId, process.Id, exit, process.LastWords);
        await process.DisposeAsync();
    }

    private async Task ForgetAsync(Task<EngineProcess> dead)
    {
        lock (_lock)
        {
            if (_current == dead)
            {
                NoteCrash();
                _current = null;
            }
        }
        await EndAsync(dead);
    }

    private void NoteCrash()
    {
        _lastCrash = _clock.GetTimestamp();
        _crashes.Enqueue(_lastCrash);
    }

    private void StopIfIdle()
    {
        lock (_lock)
        {
            if (_requests > 0 || _disposed || _current is not { IsCompletedSuccessfully: true } current)
                return;
            _current = null;
            LogIdle(_logger, _modelId);
            _stopping = EndAsync(current);
        }
    }

    private static async Task EndAsync(Task<EngineProcess> starting)
    {
        try
        {
            EngineProcess process = await starting;
            await process.StopAsync(StopGrace);
        }
        catch (EngineException)
        {
            // It never came to be.
        }
    }

    [LoggerMessage(3111, LogLevel.Error, "The engine for {ModelId}, process {ProcessId}, ended with {Exit}; the next request starts another; its last words: {Words}")]
    private static partial void LogCrashed(ILogger logger, string modelId, int processId, ChildExit exit, string words);

    [LoggerMessage(3112, LogLevel.Information, "The engine for {ModelId} had nothing to do and is ended")]
    private static partial void LogIdle(ILogger logger, string modelId);

    [LoggerMessage(3113, LogLevel.Error, "The engine for {ModelId} does not take connections")]
    private static partial void LogUnreachable(ILogger logger, string modelId, Exception error);

    [LoggerMessage(3114, LogLevel.Error, "The engine for {ModelId} could not be started")]
    private static partial void LogNotStarted(ILogger logger, string modelId, Exception error);
}
