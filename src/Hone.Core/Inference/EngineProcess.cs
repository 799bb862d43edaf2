using System.Buffers;
using System.IO.Pipelines;
using System.Net.Sockets;
using System.Runtime.CompilerServices;
using System.Text;
using System.Text.Json;
using Hone.Core.Processes;
using Hone.Formats.Inference;
using Microsoft.Extensions.Logging;

namespace Hone.Core.Inference;

/// <summary>One running <c>hone engine</c> that listens.</summary>
internal sealed partial class EngineProcess : IAsyncDisposable
{
    private static readonly TimeSpan EndOfCrash = TimeSpan.FromSeconds(2);

    private readonly ChildProcess _child;
    private readonly string _socket;
    private readonly TimeProvider _clock;
    private readonly Task _drain;
    private readonly EngineSettings _settings;
    private readonly ILogger _logger;
    private readonly ITimer _looks;

    /// <summary>Requests that wait for the engine, not for their client to read on.</summary>
    private int _waiting;
    private volatile bool _heard, _hangs;
    private bool _awaited;
    private TimeSpan _worked;

    private EngineProcess(ChildProcess child, string socket, EngineSettings settings, ILogger logger, TimeProvider clock, Task drain)
    {
        _child = child;
        _socket = socket;
        _settings = settings;
        _logger = logger;
        _clock = clock;
        _drain = drain;
        _looks = clock.CreateTimer(_ => Look(), null, settings.StallAfter, settings.StallAfter);
    }

    public int Id => _child.Id;

    public string LastWords => _child.LastErrors();

    public Task<ChildExit> Exited => _child.Exited;

    /// <exception cref="EngineUnavailableException">It ended, or said nothing within the limit.</exception>
    public static async Task<EngineProcess> StartAsync(string modelPath, string socket, EngineSettings settings, ILogger logger, TimeProvider clock)
    {
        File.Delete(socket);
        ChildProcess child = ChildProcess.Start(new ChildStart
        {
            Executable = settings.Executable ?? HoneExecutable.Locate(),
            Arguments = ["engine", modelPath, "--socket", socket],
            Threads = settings.Threads,
        }, logger, clock);

        var ready = new TaskCompletionSource<EngineReady>(TaskCreationOptions.RunContinuationsAsynchronously);
        Task drain = DrainAsync(child, ready, logger);
        try
        {
            EngineReady said = await ready.Task.WaitAsync(settings.StartLimit, clock);
            LogReady(logger, modelPath, said.ProcessId, said.LoadSeconds);
            return new EngineProcess(child, socket, settings, logger, clock, drain);
        }
        catch (Exception error) when (error is TimeoutException or ChildProtocolException)
        {
            string why = error is TimeoutException ? $"was not ready within {settings.StartLimit.TotalSeconds:0} s" : error.Message;
            // One that closed its output is about to end by itself, with an exit code that says more than a kill's.
            ChildExit exit = error is TimeoutException ? await child.KillAsync() : await child.StopAsync(EndOfCrash);
            string how = $"{why}{(child.WasKilled ? "" : $" ({exit})")}", words = child.LastErrors();
            await child.DisposeAsync();
            LogNotReady(logger, modelPath, how, words);
            throw new EngineUnavailableException($"The engine {how}. {Engine.InTheLog}", TimeSpan.FromSeconds(1), error);
        }
    }

    /// <summary>Connects; nothing is sent yet, so that a failure costs the request nothing.</summary>
    public async Task<Socket> ConnectAsync(CancellationToken cancellationToken)
    {
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            await socket.ConnectAsync(new UnixDomainSocketEndPoint(_socket), cancellationToken);
            return socket;
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    /// <summary>Sends the request and reads to its last event. Closing the connection, as at cancellation, stops the generation.</summary>
    /// <exception cref="EngineCrashedException">The connection ended without a last event.</exception>
    /// <exception cref="EngineUnavailableException">The same, of an engine that was asked to end.</exception>
    public async IAsyncEnumerable<GenerateEvent> ExchangeAsync(Socket socket, GenerateRequest request, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        await using var stream = new NetworkStream(socket, ownsSocket: true);
        byte[] line = [.. JsonSerializer.SerializeToUtf8Bytes(request, EngineJson.Readable.GenerateRequest), (byte)'\n'];
        PipeReader reader = PipeReader.Create(stream, new StreamPipeReaderOptions(leaveOpen: true));
        bool sent = false;
        while (true)
        {
            GenerateEvent next;
            Interlocked.Increment(ref _waiting);
            try
            {
                if (!sent)
                {
                    await stream.WriteAsync(line, cancellationToken);
                    sent = true;
                }
                if (await ReadEventAsync(reader, cancellationToken) is not { } read)
                    throw await CrashAsync(null);
                next = read;
                _heard = true;
            }
            catch (Exception error) when (error is IOException or SocketException or ChildProtocolException && !cancellationToken.IsCancellationRequested)
            {
                throw await CrashAsync(error);
            }
            catch (Exception error) when (error is IOException or SocketException)
            {
                throw new OperationCanceledException(error.Message, error, cancellationToken);
            }
            finally
            {
                Interlocked.Decrement(ref _waiting);
            }
            yield return next;
            if (next is GenerateEvent.Done or GenerateEvent.Failed)
                yield break;
        }
    }

    public async Task StopAsync(TimeSpan grace)
    {
        await _child.StopAsync(grace);
        await DisposeAsync();
    }

    public async ValueTask DisposeAsync()
    {
        await _looks.DisposeAsync();
        await _child.DisposeAsync();
        await _drain;
        if (File.Exists(_socket))
            File.Delete(_socket);
    }

    /// <summary>Ends it where nothing has come from it since the last look. A long prompt is silent, but takes more processor time than the runtime's own threads.</summary>
    private void Look()
    {
        if (_child.ProcessorTime is not { } worked)
            return;
        bool isSilent = !_heard && worked - _worked < _settings.StallAfter / 100;
        bool wasAwaited = _awaited;
        (_heard, _worked, _awaited) = (false, worked, Volatile.Read(ref _waiting) > 0);
        if (!isSilent || !wasAwaited || !_awaited)
            return;
        _hangs = true;
        LogHangs(_logger, _child.Label, Id, _settings.StallAfter);
        _child.Kill();
    }

    private static async Task<GenerateEvent?> ReadEventAsync(PipeReader reader, CancellationToken cancellationToken)
    {
        while (true)
        {
            ReadResult result = await reader.ReadAsync(cancellationToken);
            if (result.Buffer.PositionOf((byte)'\n') is { } end)
            {
                byte[] line = result.Buffer.Slice(0, end).ToArray();
                reader.AdvanceTo(result.Buffer.GetPosition(1, end));
                return Parse(line);
            }
            if (result.Buffer.Length > ChildProcess.MaxLineBytes)
                throw new ChildProtocolException($"The engine sent a line of more than {ChildProcess.MaxLineBytes} bytes.");
            if (result.IsCompleted)
                return null;
            reader.AdvanceTo(result.Buffer.Start, result.Buffer.End);
        }
    }

    private static GenerateEvent Parse(byte[] line)
    {
        try
        {
            return JsonSerializer.Deserialize(line, EngineJson.Default.GenerateEvent) ?? throw new ChildProtocolException("The engine sent null where an event belongs.");
        }
        catch (Exception error) when (error is JsonException or NotSupportedException)
        {
            throw new ChildProtocolException($"The engine sent a line that is no event: {error.Message}", error);
        }
    }

    /// <summary>The connection breaks a moment before the process is seen to be gone; the exit code is worth that moment.</summary>
    private async Task<EngineException> CrashAsync(Exception? error)
    {
        string how;
        try
        {
            ChildExit exit = await _child.Exited.WaitAsync(EndOfCrash, _clock);
            if (exit.WasAskedToEnd)
                return new EngineUnavailableException("The engine was asked to end while it worked on the request. Send it again.", TimeSpan.FromSeconds(1), error);
            how = $"ended with {exit} while it worked on the request. It is started again for the next one";
        }
        catch (TimeoutException)
        {
            how = $"closed the connection before the answer was complete{(error is null ? "" : $": {error.Message}")}";
            LogCut(_logger, _child.Label, Id, error);
        }
        if (_hangs)
            how = $"gave no sign of life for {_settings.StallAfter.TotalSeconds:0.#} s and was ended. It is started again for the next request";
        return new EngineCrashedException($"The engine {how}. {Engine.InTheLog}", error);
    }

    private static async Task DrainAsync(ChildProcess child, TaskCompletionSource<EngineReady> ready, ILogger logger)
    {
        try
        {
            await foreach (ReadOnlyMemory<byte> line in child.ReadLinesAsync(CancellationToken.None))
            {
                if (!ready.Task.IsCompleted && line.Length > 0 && line.Span[0] == '{'
                    && JsonSerializer.Deserialize(line.Span, EngineJson.Default.EngineReady) is { } said)
                    ready.TrySetResult(said);
                else
                    LogOutput(logger, child.Label, Encoding.UTF8.GetString(line.Span));
            }
            ready.TrySetException(new ChildProtocolException("ended before it was ready"));
        }
        catch (Exception error) when (error is JsonException or ChildProtocolException or IOException or ObjectDisposedException)
        {
            ready.TrySetException(new ChildProtocolException($"broke its protocol: {error.Message}", error));
            // Nobody empties its output from here on; better ended than stuck.
            child.Kill();
        }
        // Where nobody waits any more, it was seen.
        _ = ready.Task.Exception;
    }

    [LoggerMessage(3101, LogLevel.Information, "Engine for {ModelPath} is ready: process {ProcessId}, loaded in {Seconds:0.0} s")]
    private static partial void LogReady(ILogger logger, string modelPath, int processId, double seconds);

    [LoggerMessage(3102, LogLevel.Debug, "hone {Label} printed: {Line}")]
    private static partial void LogOutput(ILogger logger, string label, string line);

    [LoggerMessage(3103, LogLevel.Warning, "hone {Label}, process {ProcessId}, has neither answered nor worked for {Time}; killing it")]
    private static partial void LogHangs(ILogger logger, string label, int processId, TimeSpan time);

    [LoggerMessage(3105, LogLevel.Warning, "hone {Label}, process {ProcessId}, closed a connection before the answer was complete, and lives on")]
    private static partial void LogCut(ILogger logger, string label, int processId, Exception? error);

    [LoggerMessage(3104, LogLevel.Error, "Engine for {ModelPath} {How}; its last words: {Words}")]
    private static partial void LogNotReady(ILogger logger, string modelPath, string how, string words);
}
