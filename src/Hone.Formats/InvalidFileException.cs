namespace Hone.Formats;

/// <summary>A file is not what its format demands. The message says what, where in the file, and what to do where that can be known.</summary>
public sealed class InvalidFileException(string message, Exception? inner = null) : Exception(message, inner);
