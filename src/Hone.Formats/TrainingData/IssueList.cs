namespace Hone.Formats.TrainingData;

/// <summary>Collects the issues of one file, at most <see cref="Cap"/> of a code; what is beyond is counted.</summary>
internal sealed class IssueList(string? file)
{
    public const int Cap = 100;

    private readonly List<LintIssue> _errors = [], _warnings = [];
    private readonly Dictionary<string, int> _counts = [];
    private readonly Dictionary<string, (LintIssue First, int Count)> _unknownKeys = [];

    public int ErrorCount { get; private set; }

    public int WarningCount { get; private set; }

    public void Error(LintIssue issue)
    {
        ErrorCount++;
        Add(_errors, issue);
    }

    public void Warn(LintIssue issue)
    {
        WarningCount++;
        Add(_warnings, issue);
    }

    /// <summary>Counts one more of a kind whose rows are too many to name.</summary>
    public void ErrorUnnamed(string code, int count)
    {
        if (count <= 0)
            return;
        ErrorCount += count;
        _counts[code] = _counts.GetValueOrDefault(code) + count;
    }

    /// <summary>One warning a key, at its first row, with the number of rows.</summary>
    public void UnknownKey(string where, LintIssue issue)
    {
        if (_unknownKeys.TryGetValue(where, out var seen))
            _unknownKeys[where] = (seen.First, seen.Count + 1);
        else if (_unknownKeys.Count < Cap)
            _unknownKeys[where] = (issue, 1);
    }

    public (List<LintIssue> Errors, List<LintIssue> Warnings) Finish()
    {
        foreach (var (first, count) in _unknownKeys.Values)
            Warn(count == 1 ? first : first with { Message = $"{first.Message[..^1]}, here and in {count - 1:N0} more places." });
        _unknownKeys.Clear();
        return (Sort(_errors), Sort(_warnings));
    }

    private void Add(List<LintIssue> list, LintIssue issue)
    {
        int count = _counts[issue.Code] = _counts.GetValueOrDefault(issue.Code) + 1;
        if (count <= Cap)
            list.Add(issue with { File = file });
    }

    private List<LintIssue> Sort(List<LintIssue> list)
    {
        var sorted = list.OrderBy(i => i.Line ?? 0).ThenBy(i => i.Byte ?? 0).ToList();
        foreach (string code in list.Select(i => i.Code).Distinct().ToList())
        {
            if (_counts[code] > list.Count(i => i.Code == code))
                sorted.Add(new(null, null, null, code, $"{_counts[code] - list.Count(i => i.Code == code):N0} more of {code} beyond the {Cap} that are listed.", null) { File = file });
        }
        return sorted;
    }
}
