namespace Hone.Formats.TrainingData;

/// <summary>Collects the issues of one file, at most <see cref="Cap"/> of a code; what is beyond is counted.</summary>
internal sealed class IssueList(string? file)
{
    public const int Cap = 100;

    /// <summary>Characters; keys and texts of the file stand in both.</summary>
    private const int LongestPath = 300, LongestMessage = 600;

    private readonly List<LintIssue> _errors = [], _warnings = [];
    private readonly Dictionary<string, int> _errorCounts = [], _warningCounts = [];
    private readonly Dictionary<string, (LintIssue First, int Count)> _counted = [];

    public int ErrorCount { get; private set; }

    public int WarningCount { get; private set; }

    /// <summary>One more of this code would be listed, not only counted.</summary>
    public bool Lists(string code) => _errorCounts.GetValueOrDefault(code) < Cap && _warningCounts.GetValueOrDefault(code) < Cap;

    public void Error(LintIssue issue)
    {
        ErrorCount++;
        Add(_errors, _errorCounts, issue);
    }

    public void Warn(LintIssue issue)
    {
        WarningCount++;
        Add(_warnings, _warningCounts, issue);
    }

    /// <summary>Counts one more of a kind whose rows are too many to name.</summary>
    public void ErrorUnnamed(string code, int count)
    {
        if (count <= 0)
            return;
        ErrorCount += count;
        _errorCounts[code] = _errorCounts.GetValueOrDefault(code) + count;
    }

    /// <summary>One warning a kind, at its first row, with the number of places.</summary>
    public void Counted(string kind, LintIssue issue)
    {
        if (_counted.TryGetValue(kind, out var seen))
            _counted[kind] = (seen.First, seen.Count + 1);
        else if (_counted.Count < Cap)
            _counted[kind] = (issue, 1);
    }

    public (List<LintIssue> Errors, List<LintIssue> Warnings) Finish()
    {
        foreach (var (first, count) in _counted.Values)
            Warn(count == 1 ? first : first with { Message = $"{first.Message} So it is here and in {count - 1:N0} more {(count == 2 ? "place" : "places")}." });
        _counted.Clear();
        return (Sort(_errors, _errorCounts), Sort(_warnings, _warningCounts));
    }

    private void Add(List<LintIssue> list, Dictionary<string, int> counts, LintIssue issue)
    {
        int count = counts[issue.Code] = counts.GetValueOrDefault(issue.Code) + 1;
        if (count <= Cap)
            list.Add(issue with { File = file, Path = issue.Path?.Shown(LongestPath), Message = issue.Message.Shown(LongestMessage) });
    }

    private List<LintIssue> Sort(List<LintIssue> list, Dictionary<string, int> counts)
    {
        var sorted = list.OrderBy(i => i.Line ?? 0).ThenBy(i => i.Byte ?? 0).ToList();
        foreach (var listed in list.GroupBy(i => i.Code).Where(g => counts[g.Key] > g.Count()))
            sorted.Add(new(null, null, null, listed.Key, $"{counts[listed.Key] - listed.Count():N0} more of {listed.Key} beyond the {Cap} that are listed.", null) { File = file, More = counts[listed.Key] - listed.Count() });
        return sorted;
    }
}
