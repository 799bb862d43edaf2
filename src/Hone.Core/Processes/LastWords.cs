using System.Text.RegularExpressions;

namespace Hone.Core.Processes;

/// <summary>What a child said last, for those who may not see this machine's files.</summary>
internal static partial class LastWords
{
    private const int Lines = 3;

    /// <summary>Its last lines that are no frames of a stack, with files by their names alone. What was cut is in the log.</summary>
    public static string ForTheUser(string errors) => Folders().Replace(
        string.Join('\n', errors.Split('\n').Where(line => !string.IsNullOrWhiteSpace(line) && !Frame().IsMatch(line)).TakeLast(Lines)), "");

    [GeneratedRegex(@"^\s*(at |--- )")]
    private static partial Regex Frame();

    /// <summary>Of an absolute path all but its last part.</summary>
    [GeneratedRegex(@"(?<![\w./:])/(?:[^/\s'"":,;()]+/)+")]
    private static partial Regex Folders();
}
