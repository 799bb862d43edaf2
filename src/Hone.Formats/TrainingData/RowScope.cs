using System.Runtime.InteropServices;
using System.Text.Json;
using Hone.Formats.Files;

namespace Hone.Formats.TrainingData;

/// <summary>The row under inspection: where it lies, and where its issues go.</summary>
internal sealed class RowScope(IssueList issues, bool strict)
{
    private RowLine _line;

    public bool HasErrors { get; private set; }

    /// <summary>The row teaches nothing and is left out, which <c>strict: false</c> allows.</summary>
    public bool Dropped { get; private set; }

    public void Begin(RowLine line) => (_line, HasErrors, Dropped) = (line, false, false);

    public void Error(JsonElement? at, string? path, string code, string message, string hint)
    {
        HasErrors = true;
        issues.Error(Issue(at, path, code, message, hint));
    }

    public void Warn(JsonElement? at, string? path, string code, string message, string hint) => issues.Warn(Issue(at, path, code, message, hint));

    /// <summary>An error, or with <c>strict: false</c> a warning and the row is left out.</summary>
    public void TeachesNothing(JsonElement? at, string? path, string code, string message, string hint)
    {
        if (strict)
        {
            Error(at, path, code, message, hint);
            return;
        }
        Dropped = true;
        Warn(at, path, code, message + " The row is left out.", hint);
    }

    public void Fault(JsonFault fault)
    {
        HasErrors = true;
        issues.Error(new(_line.Number, _line.Offset + fault.Offset, fault.Path, fault.Code, fault.Message, fault.Hint));
    }

    /// <summary>What was probably meant; many names to compare with are not gone through for an issue that is only counted.</summary>
    public string? Meant(string code, string name, IEnumerable<string> known) => issues.Lists(code) ? NearestName.Meant(name, known) : null;

    public void UnknownKey(JsonProperty property, string path, string where, string[] known)
        => issues.Counted(where + "." + property.Name, Issue(property.Value, path + "." + property.Name.Shown(60), "unknown_key",
            $"unknown key {property.Name.Shown(60)} is ignored.", NearestName.Meant(property.Name, known) is { } near ? $"Did you mean {near}?" : "Take it out if it was meant to change something."));

    private LintIssue Issue(JsonElement? at, string? path, string code, string message, string hint)
        => new(_line.Number, _line.Offset + OffsetOf(at), path, code, message, hint);

    private int OffsetOf(JsonElement? at)
        => at is { ValueKind: not JsonValueKind.Undefined } value && _line.Bytes.Span.Overlaps(JsonMarshal.GetRawUtf8Value(value), out int offset) ? Math.Max(0, offset) : 0;
}
