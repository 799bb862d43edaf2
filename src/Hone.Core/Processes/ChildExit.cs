using Hone.Formats.Jobs;

namespace Hone.Core.Processes;

/// <param name="Code">As the shell counts: 128 + the signal for a child that a signal ended.</param>
public sealed record ChildExit(int Code)
{
    private const int Killed = 128 + 9;

    /// <summary>SIGKILL that nobody here sent: mostly the kernel's answer to memory that has run out.</summary>
    public bool LooksLikeOutOfMemory => Code == Killed;

    /// <summary>Not by its parent.</summary>
    public bool WasAskedToEnd => Code == ChildExitCodes.AskedToEnd;

    public override string ToString() => Code switch
    {
        128 + 4 => "signal SIGILL",
        128 + 6 => "signal SIGABRT",
        128 + 7 => "signal SIGBUS",
        128 + 8 => "signal SIGFPE",
        Killed => "signal SIGKILL",
        128 + 11 => "signal SIGSEGV",
        128 + 15 => "signal SIGTERM",
        > 128 and < 128 + 65 => $"signal {Code - 128}",
        _ => $"exit code {Code}",
    };
}

/// <summary>A child process broke the protocol that it speaks on its standard output.</summary>
public sealed class ChildProtocolException(string message, Exception? inner = null) : Exception(message, inner);
