using System.Text.Json;
using System.Text.Unicode;
using Hone.Formats.Files;

namespace Hone.Formats.TrainingData;

/// <summary>
/// A line's JSON, as strictly as <see cref="JsonSyntax"/> has it. Nearly all lines are sound: those are read once, by the parser; what it refuses, or does not see, the slower
/// check explains.
/// </summary>
internal sealed class RowParser
{
    private const int ManyFaults = 16;

    private static readonly JsonDocumentOptions s_strict = new() { MaxDepth = JsonSyntax.MaxDepth, AllowDuplicateProperties = false };

    private readonly JsonSyntax _syntax = new(JsonSyntax.Row);
    private int _refused;

    /// <returns>Null where the faults leave no row; a key twice in one object leaves one.</returns>
    public JsonDocument? Parse(ReadOnlyMemory<byte> line, List<JsonFault> faults)
    {
        // Exceptions are dear: in a file that is faulty throughout the check goes first.
        if (_refused < ManyFaults && IsPlain(line.Span))
        {
            try
            {
                return JsonDocument.Parse(line, s_strict);
            }
            catch (JsonException)
            {
                _refused++;
            }
        }
        bool parses = _syntax.Check(line.Span, faults);
        return parses && !faults.Exists(f => f.Code != "duplicate_key") ? JsonDocument.Parse(line) : null;
    }

    /// <summary>UTF-8 without a byte order mark and without escaped surrogates, of which half a pair passes a parser.</summary>
    private static bool IsPlain(ReadOnlySpan<byte> line)
        => Utf8.IsValid(line) && !line.StartsWith("\uFEFF"u8) && line.IndexOf(@"\ud"u8) < 0 && line.IndexOf(@"\uD"u8) < 0;
}
