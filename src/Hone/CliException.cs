namespace Hone;

/// <summary>An expected failure of a command: one line that says what and where, one that says what to do. The exit code is 1.</summary>
internal sealed class CliException(string message, string? hint = null, Exception? inner = null) : Exception(message, inner)
{
    public string? Hint { get; } = hint;
}
