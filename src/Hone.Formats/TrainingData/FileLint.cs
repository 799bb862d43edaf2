using Hone.Formats.Files;

namespace Hone.Formats.TrainingData;

/// <summary>One file's lint.</summary>
internal sealed class FileLint
{
    private readonly LintRequest _request;
    private readonly string? _file;
    private readonly int _minRows;
    private readonly FileLint? _training;
    private readonly RowScope _scope;
    private readonly RowFingerprint _fingerprint = new();
    private readonly RowValidator _validator;
    private readonly TextSuspicions _suspicions;
    private readonly TokenLint? _tokens;
    private int _dropped;
    private bool _rowsHidden;
    private readonly RowParser _parser = new();
    private readonly List<JsonFault> _faults = [];
    private readonly Dictionary<RowHash, int> _rows = [];
    private readonly Dictionary<RowHash, int> _questions = [];
    private readonly Dictionary<RowKind, (int Count, List<(int Line, long Offset)> First)> _kinds = [];

    /// <param name="training">The training file's lint, when this is the validation file's beside it.</param>
    public FileLint(LintRequest request, string? file, int minRows, RowEncoder? encoder, FileLint? training)
    {
        (_request, _file, _minRows, _training) = (request, file, minRows, training);
        Issues = new IssueList(file);
        _scope = new RowScope(Issues, request.Config.Strict ?? true);
        _validator = new RowValidator(_scope, _fingerprint);
        _suspicions = new TextSuspicions(_scope);
        _tokens = encoder is null ? null : new TokenLint(encoder, Issues, _scope);
    }

    public IssueList Issues { get; }

    public int Rows { get; private set; }

    public int BlankLines { get; private set; }

    public long Bytes { get; private set; }

    public int DuplicateRows { get; private set; }

    /// <summary>Of this validation file.</summary>
    public int RowsInTraining { get; private set; }

    /// <summary>Null without a model, or when the file was refused as a whole.</summary>
    public TokenStats? Tokens { get; private set; }

    public IReadOnlyDictionary<string, int> Kinds => _kinds.OrderBy(k => k.Key).ToDictionary(k => RowShape.Name(k.Key), k => k.Value.Count);

    public void Run(string path, CancellationToken cancellationToken)
    {
        Bytes = LinkedFile.Info(path).Length;
        if (Bytes == 0)
        {
            Whole("file_empty", "the file is empty.", "Write one JSON object a line; was the upload or the export cut?");
            return;
        }
        if (Probe(path) is { } fault)
        {
            Whole(fault.Code, fault.Message, fault.Hint);
            return;
        }
        using var reader = LineReader.Open(path);
        while (reader.TryRead(out var line))
        {
            if ((line.Number & 0xFF) == 0)
                cancellationToken.ThrowIfCancellationRequested();
            Line(line, cancellationToken);
        }
        Kind();
        Tokens = _tokens?.Finish(_request.Model!, _dropped);
        if (_dropped > 0 && _dropped == Rows)
            Whole("nothing_to_learn", $"nothing to learn from: all {Rows:N0} rows are left out.", "See the warnings for each row's reason.");
        if (Rows == 0)
            Whole("no_rows", "no rows, only blank lines.", "Write one JSON object a line.");
        else if (Rows < _minRows && !_rowsHidden)
            Whole("too_few_rows", $"{Rows} {(Rows == 1 ? "row" : "rows")}, at least {_minRows} are needed.", "Add rows; a few dozen good ones teach a style, a few hundred a task.");
    }

    public void Finish(List<LintIssue> errors, List<LintIssue> warnings)
    {
        var (e, w) = Issues.Finish();
        errors.AddRange(e);
        warnings.AddRange(w);
    }

    private static JsonFault? Probe(string path)
    {
        using var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete, 0);
        byte[] head = new byte[Math.Min(FileProbe.BlockSize, stream.Length + 1)];
        int length = stream.ReadAtLeast(head, head.Length, throwOnEndOfStream: false);
        return FileProbe.Inspect(head.AsSpan(0, length), whole: length < head.Length);
    }

    private void Line(RowLine line, CancellationToken cancellationToken)
    {
        if (!line.TooLong && Blank.Is(line.Bytes.Span))
        {
            BlankLines++;
            return;
        }
        Rows++;
        _scope.Begin(line);
        if (line.TooLong)
        {
            _scope.Error(null, null, "line_too_long", $"the line is longer than {LineReader.DefaultMaxLineBytes >> 20} MiB.", "Is a line break missing? One line holds one row.");
            return;
        }
        _faults.Clear();
        using var document = _parser.Parse(line.Bytes, _faults);
        foreach (var fault in _faults)
            _scope.Fault(fault);
        // Several objects on one line are rows that cannot be counted.
        _rowsHidden |= _faults.Exists(f => f.Code == "text_after_object" && line.Bytes.Span[f.Offset] == '{');
        if (document is null)
            return;
        var kind = _validator.Validate(document.RootElement);
        if (kind is { } known)
            Count(known, line);
        if (_scope.HasErrors || kind is null)
            return;
        _suspicions.Check(_fingerprint.Written, document.RootElement);
        Repeated(line, kind.Value);
        if (_scope.Dropped || _tokens?.Add(new TrainingRow(line.Number, line.Offset, kind.Value, document.RootElement), cancellationToken) == false)
            _dropped++;
    }

    private void Count(RowKind kind, RowLine line)
    {
        if (!_kinds.TryGetValue(kind, out var seen))
            seen = (0, []);
        if (seen.First.Count < IssueList.Cap)
            seen.First.Add((line.Number, line.Offset));
        _kinds[kind] = (seen.Count + 1, seen.First);
    }

    private void Repeated(RowLine line, RowKind kind)
    {
        var hash = _fingerprint.Row();
        if (_training is not null && _training._rows.TryGetValue(hash, out int trained))
        {
            RowsInTraining++;
            _scope.Error(null, "$", "validation_row_in_training", $"same row as line {trained} of the training file: what was learnt by heart would look like skill.", "Take it out of one of the two files.");
            return;
        }
        if (!_rows.TryAdd(hash, line.Number))
        {
            DuplicateRows++;
            _scope.Warn(null, "$", "duplicate_row", $"same row as line {_rows[hash]}.", "Take it out, unless it shall weigh more.");
            return;
        }
        if (kind is not (RowKind.Chat or RowKind.PromptCompletion) || _fingerprint.Question() is not { } question || _questions.TryAdd(question, line.Number))
            return;
        _scope.Warn(null, "$", "conflicting_answers", $"same question as line {_questions[question]}, with another answer.", "Keep one answer, unless several are meant.");
    }

    /// <summary>One kind a file: rows of the rarer kinds are errors.</summary>
    private void Kind()
    {
        if (_kinds.Count == 0)
            return;
        var main = _kinds.OrderByDescending(k => k.Value.Count).ThenBy(k => k.Value.First[0].Line).First().Key;
        foreach (var (kind, (count, first)) in _kinds.Where(k => k.Key != main))
        {
            foreach (var (line, offset) in first)
                Issues.Error(new(line, offset, "$", "mixed_kinds", $"{RowShape.Spoken(kind)} row in a file of {RowShape.Spoken(main)} rows.", "Write all rows of a file in one form."));
            Issues.ErrorUnnamed("mixed_kinds", count - first.Count);
        }
        string? method = _request.Config.Method;
        if (method == "dpo" && main != RowKind.Preference)
            Whole("method_rows_mismatch", $"the method dpo needs preference rows, these are {RowShape.Spoken(main)} rows.", "Write {\"input\":…,\"preferred_output\":…,\"non_preferred_output\":…}, or set the method to supervised.");
        else if (method == "supervised" && main == RowKind.Preference)
            Whole("method_rows_mismatch", "these are preference rows, the method supervised cannot learn from them.", "Set the method to dpo.");
        else if (_request.Config.Beta is not null && main != RowKind.Preference)
            Whole("method_rows_mismatch", $"the config's beta is of the method dpo, which needs preference rows; these are {RowShape.Spoken(main)} rows.", "Take beta out of the config, or give preference rows.");
        if (_training is { _kinds.Count: > 0 } training && training._kinds.MaxBy(k => k.Value.Count).Key is var trained && trained != main)
            Whole("validation_kind_differs", $"{RowShape.Spoken(main)} rows, the training file has {RowShape.Spoken(trained)} rows.", "Write both files in one form.");
    }

    private void Whole(string code, string message, string hint) => Issues.Error(new(null, null, null, code, message, hint));
}
