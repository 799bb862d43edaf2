using System.Buffers;
using System.ComponentModel;
using System.Diagnostics;
using System.IO.Pipelines;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Microsoft.Extensions.Logging;

namespace Hone.Core.Processes;

/// <summary>What to start.</summary>
public sealed record ChildStart
{
    public required HoneExecutable Executable { get; init; }
    public required IReadOnlyList<string> Arguments { get; init; }
    public string? WorkingDirectory { get; init; }

    /// <summary>Threads of the tensor library; null: all cores.</summary>
    public int? Threads { get; init; }

    /// <summary>On top of the cleaned environment.</summary>
    public IReadOnlyDictionary<string, string>? Environment { get; init; }
}

/// <summary>
/// A <c>hone</c> child with native code in it. Its standard input is its life line: it stays open, carries at most a wish (<see cref="Tell"/>), and the child ends when it ends, so
/// that a killed server leaves no process behind. Its standard output carries the protocol, a line a message; of its standard error the end is kept for messages.
/// The child makes itself the leader of a process group, which <see cref="Kill"/> ends whole.
/// </summary>
public sealed partial class ChildProcess : IAsyncDisposable
{
    /// <summary>Longest line of the protocol, in bytes.</summary>
    public const int MaxLineBytes = 1 << 20;

    private static readonly TimeSpan DrainTime = TimeSpan.FromSeconds(2);

    private readonly Process _process;
    private readonly ILogger _logger;
    private readonly TimeProvider _clock;
    private readonly ErrorTail _errors = new();
    private readonly Task _drainErrors;

    private ChildProcess(Process process, string label, ILogger logger, TimeProvider clock)
    {
        _process = process;
        _logger = logger;
        _clock = clock;
        Label = label;
        Id = process.Id;
        _drainErrors = DrainErrorsAsync();
        Exited = WaitForExitAsync();
    }

    public int Id { get; }

    /// <summary>For logs: the command and its first argument.</summary>
    public string Label { get; }

    /// <summary>Completes when the process is gone and its standard error is read; never faults.</summary>
    public Task<ChildExit> Exited { get; }

    public bool WasKilled { get; private set; }

    /// <summary>Processor time used so far; null: it has ended.</summary>
    public TimeSpan? ProcessorTime
    {
        get
        {
            try
            {
                return _process.TotalProcessorTime;
            }
            catch (Exception e) when (e is InvalidOperationException or Win32Exception)
            {
                return null;
            }
        }
    }

    /// <summary>The last lines of standard error.</summary>
    public string LastErrors(int lines = 10) => _errors.Last(lines);

    public static ChildProcess Start(ChildStart start, ILogger logger, TimeProvider clock)
    {
        var info = new ProcessStartInfo(start.Executable.FileName)
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            UseShellExecute = false,
            CreateNoWindow = true,
            WorkingDirectory = start.WorkingDirectory ?? "",
        };
        foreach (string argument in start.Executable.LeadingArguments.Concat(start.Arguments))
            info.ArgumentList.Add(argument);
        var inherited = info.Environment.Where(e => e.Value is not null).ToDictionary(e => e.Key, e => e.Value!);
        info.Environment.Clear();
        foreach ((string name, string value) in ChildEnvironment.Build(inherited, start.Threads, start.Environment))
            info.Environment[name] = value;

        string label = string.Join(' ', start.Arguments.Take(2));
        Process process = Process.Start(info) ?? throw new InvalidOperationException($"'{start.Executable.FileName} {label}' did not start.");
        var child = new ChildProcess(process, label, logger, clock);
        child.LogStarted(label, child.Id);
        return child;
    }

    /// <summary>The lines of standard output until it ends, without their line feeds; each memory is valid until the next is asked for.</summary>
    /// <exception cref="ChildProtocolException">A line is longer than <see cref="MaxLineBytes"/>.</exception>
    public async IAsyncEnumerable<ReadOnlyMemory<byte>> ReadLinesAsync([EnumeratorCancellation] CancellationToken cancellationToken)
    {
        PipeReader reader = PipeReader.Create(_process.StandardOutput.BaseStream);
        while (true)
        {
            ReadResult result = await reader.ReadAsync(cancellationToken);
            ReadOnlySequence<byte> buffer = result.Buffer;
            while (buffer.PositionOf((byte)'\n') is { } end)
            {
                ReadOnlySequence<byte> line = buffer.Slice(0, end);
                if (line.Length > MaxLineBytes)
                    throw TooLong();
                yield return line.ToArray();
                buffer = buffer.Slice(buffer.GetPosition(1, end));
            }
            if (buffer.Length > MaxLineBytes)
                throw TooLong();
            if (result.IsCompleted)
            {
                // A line that a crash cut off is no message; the exit code tells the rest.
                await reader.CompleteAsync();
                yield break;
            }
            reader.AdvanceTo(buffer.Start, buffer.End);
        }

        ChildProtocolException TooLong() => new($"'{Label}' (process {Id}) wrote a line of more than {MaxLineBytes} bytes on its standard output.");
    }

    /// <summary>SIGKILL for the child and its process group. Returns at once; <see cref="Exited"/> tells when it is gone.</summary>
    public void Kill()
    {
        // Once it is known to have ended it may be disposed.
        if (Exited.IsCompleted || _process.HasExited)
            return;
        WasKilled = true;
        LogKilled(Label, Id);
        if (!OperatingSystem.IsWindows())
        {
            // The group does not exist before the child has made it; then the child alone is what there is.
            _ = SendSignal(-Id, SigKill);
            if (SendSignal(Id, SigKill) == 0)
                return;
        }
        try
        {
            _process.Kill(entireProcessTree: true);
        }
        catch (InvalidOperationException)
        {
            // It ended by itself in the meantime.
        }
    }

    public async Task<ChildExit> KillAsync()
    {
        Kill();
        return await Exited;
    }

    /// <summary>Closes the life line, gives the child the time to end by itself, then kills it.</summary>
    public async Task<ChildExit> StopAsync(TimeSpan grace)
    {
        CloseInput();
        try
        {
            return await Exited.WaitAsync(grace, _clock);
        }
        catch (TimeoutException)
        {
            return await KillAsync();
        }
    }

    /// <summary>A line on the child's life line: a wish, which an older or busy child may not hear.</summary>
    public void Tell(string line)
    {
        try
        {
            _process.StandardInput.Write(line + '\n');
            _process.StandardInput.Flush();
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException)
        {
            // It is on its way out.
        }
    }

    public async ValueTask DisposeAsync()
    {
        await KillAsync();
        CloseInput();
        _process.Dispose();
    }

    private void CloseInput()
    {
        try
        {
            _process.StandardInput.Close();
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException)
        {
            // The other end is gone already, or somebody else has seen to its end.
        }
    }

    private async Task<ChildExit> WaitForExitAsync()
    {
        await _process.WaitForExitAsync();
        // A descendant may hold standard error open; what it writes later is of no interest.
        await Task.WhenAny(_drainErrors, Task.Delay(DrainTime, _clock));
        var exit = new ChildExit(_process.ExitCode);
        LogExited(Label, Id, exit);
        return exit;
    }

    private async Task DrainErrorsAsync()
    {
        try
        {
            while (await _errors.ReadLineAsync(_process.StandardError) is { } line)
                LogErrorLine(Label, Id, line);
        }
        catch (Exception error) when (error is IOException or ObjectDisposedException or InvalidOperationException)
        {
            LogErrorLine(Label, Id, error.Message);
        }
    }

    private const int SigKill = 9;

    [LibraryImport("libc", EntryPoint = "kill", SetLastError = true)]
    private static partial int SendSignal(int process, int signal);
}
