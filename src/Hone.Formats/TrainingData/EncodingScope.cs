namespace Hone.Formats.TrainingData;

/// <summary>Issues of one row's encoding.</summary>
internal sealed class EncodingScope(TrainingRow row, bool strict)
{
    private readonly List<LintIssue> _errors = [], _warnings = [];
    private bool _dropped;

    public int FullLength { get; set; }

    public bool Failed => _errors.Count > 0 || _dropped;

    public void Error(string? path, string code, string message, string hint) => _errors.Add(Issue(path, code, message, hint));

    public void Warn(string? path, string code, string message, string hint)
    {
        if (!_warnings.Exists(w => w.Code == code))
            _warnings.Add(Issue(path, code, message, hint));
    }

    public void TeachesNothing(string message, string hint)
    {
        if (strict)
        {
            Error(null, "nothing_to_learn", message, hint);
            return;
        }
        _dropped = true;
        Warn(null, "nothing_to_learn", message[..^1] + "; the row is left out.", hint);
    }

    /// <summary>Rows without a learnt token are left out.</summary>
    public RowEncoding Finish(List<EncodedRow> rows) => new()
    {
        Rows = _errors.Count > 0 ? [] : rows.FindAll(r => r.Trained.Contains(true)),
        Errors = _errors,
        Warnings = _warnings,
        Dropped = _dropped,
        FullLength = FullLength,
    };

    public RowEncoding Finish(EncodedPreference pair) => Finish([]) with { Preference = Failed ? null : pair };

    private LintIssue Issue(string? path, string code, string message, string hint) => new(row.Line, row.ByteOffset, path ?? "$", code, message, hint);
}
