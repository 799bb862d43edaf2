namespace Hone.Formats.Jobs;

/// <summary>How a child of a worker or a server ends, where success and failure are not all that is to be told.</summary>
public static class ChildExitCodes
{
    /// <summary>
    /// It was sent SIGTERM or SIGINT: by hand, or with the server's whole process group, as service managers do, which the server may hear of later.
    /// What a shell has for SIGINT.
    /// </summary>
    public const int AskedToEnd = 130;
}
