using System.Diagnostics.CodeAnalysis;

namespace Hone.Core.Files;

public enum FileRefusalReason
{
    NotFound,
    Invalid,
    TooLarge,

    /// <summary>The upload is over: completed, cancelled or expired.</summary>
    Ended,
}

/// <param name="Field">As the request spells it.</param>
public sealed record FileRefusal(FileRefusalReason Reason, string? Field, string Message);

/// <summary>What was asked for, or why not.</summary>
public sealed class FileResult<T>
    where T : class
{
    private FileResult(T? value, FileRefusal? refused)
    {
        Value = value;
        Refused = refused;
    }

    public T? Value { get; }

    public FileRefusal? Refused { get; }

    public bool IsRefused([NotNullWhen(true)] out FileRefusal? refused, [NotNullWhen(false)] out T? value)
    {
        (refused, value) = (Refused, Value);
        return refused is not null;
    }

    public static implicit operator FileResult<T>(T value) => new(value, null);

    public static implicit operator FileResult<T>(FileRefusal refused) => new(null, refused);
}
