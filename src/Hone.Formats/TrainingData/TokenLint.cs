using System.Text.Json;
using Hone.Formats.Models;

namespace Hone.Formats.TrainingData;

/// <summary>What a file's rows are to the model: counts, cut rows, and what the encoder finds.</summary>
internal sealed class TokenLint(RowEncoder encoder, IssueList issues, RowScope scope)
{
    private const int SampleRuns = 64;
    private const int SampleRunLength = 2000;

    private readonly LengthCount _lengths = new(), _trainedLengths = new();
    private int _rows, _cut, _longest, _longestLine;
    private long _tokens, _trained, _longestOffset;
    private SampleRow? _sample;

    /// <returns>False when the row is left out because it teaches nothing and <c>strict</c> is false.</returns>
    public bool Add(TrainingRow row, CancellationToken cancellationToken)
    {
        var encoding = encoder.Encode(row, keepText: _sample is null, cancellationToken);
        foreach (var error in encoding.Errors)
            issues.Error(error);
        foreach (var warning in encoding.Warnings)
            issues.Counted(warning.Code, warning);
        TemplateTokens(row.Json, "$", learnt: false);
        if (encoding.FullLength > 0)
        {
            _lengths.Add(encoding.FullLength);
            if (encoding.FullLength > _longest)
                (_longest, _longestLine, _longestOffset) = (encoding.FullLength, row.Line, row.ByteOffset);
        }
        EncodedRow[] parts = encoding.Preference is { } pair ? [pair.Chosen, pair.Rejected] : [.. encoding.Rows];
        if (parts.Length == 0)
            return !encoding.Dropped;
        _rows++;
        _cut += Array.Exists(parts, p => p.FullLength > p.Tokens.Length) ? 1 : 0;
        _tokens += parts.Sum(p => (long)p.Tokens.Length);
        int trained = parts.Sum(p => p.TrainedTokens);
        _trained += trained;
        _trainedLengths.Add(trained);
        _sample ??= parts[0].Text is { } text ? encoder.Sample(parts[0], text) : null;
        return true;
    }

    /// <summary>Judges the file as a whole, after its last row.</summary>
    public TokenStats Finish(BaseModel model, int dropped)
    {
        if (encoder.MaxLength < _longest && _cut > 0)
        {
            string advice = _longest <= model.ContextLength ? $"Set max_length to {_longest:N0}" : $"The model's context is {model.ContextLength:N0}; shorten the rows";
            if (_cut == _rows)
                issues.Error(new(null, null, null, "all_rows_cut", $"all {_rows:N0} rows are longer than {encoder.MaxLength:N0} tokens: no answer's end is left to learn.", advice + "."));
            else
                issues.Warn(new(_longestLine, _longestOffset, null, "rows_cut", $"{_cut:N0} {(_cut == 1 ? "row is" : "rows are")} cut at {encoder.MaxLength:N0} tokens; the longest has {_longest:N0}. A cut answer's end is not learnt.", advice + ", or the model hears less of how long answers end."));
        }
        if (encoder.EndsOfTurn.Where(id => !model.StopTokens.Contains(id)).Select(encoder.TokenText).ToArray() is { Length: > 0 } unknown)
            issues.Error(new(null, null, null, "end_of_turn_no_stop", $"answers end with {string.Join(" and ", unknown)}, at which generation does not stop: neither do the base model's files name it as an end, nor does its chat template end a plain answer with it.", "Add the token to eos_token_id in the model's generation_config.json, or end such answers otherwise."));
        if (encoder.EndsOfTurn.Where(id => model.StopTokens.Contains(id) && !model.NamedStopTokens.Contains(id)).Select(encoder.TokenText).ToArray() is { Length: > 0 } others)
            issues.Warn(new(null, null, null, "stop_token_differs", $"answers end with {string.Join(" and ", others)}, which the base model's files do not name as an end ({string.Join(", ", model.NamedStopTokens.Select(encoder.TokenText))}): generation stops at it too.", "Nothing needs to be done here; other engines may need it as a stop word."));
        return new TokenStats
        {
            Rows = _rows,
            Tokens = _tokens,
            TrainedTokens = _trained,
            MaxLength = encoder.MaxLength,
            LongestRow = _longest,
            LongestRowLine = _longestLine,
            CutRows = _cut,
            DroppedRows = dropped,
            RowLength = _lengths.Summary(),
            TrainedLength = _trainedLengths.Summary(),
            Histogram = _lengths.Histogram(),
            Sample = _sample is { } sample ? sample with { Runs = [.. sample.Runs.Take(SampleRuns).Select(r => r with { Text = Shortened(r.Text) })] } : null,
        };
    }

    private static string Shortened(string text)
        => text.Length <= SampleRunLength ? text : $"{text[..(SampleRunLength / 2)]} … {text[^(SampleRunLength / 2)..]}";

    /// <summary>
    /// Texts that hold the model's own tokens of structure. They become those tokens, as they do in the references and when the model is run: a message can end its own turn and
    /// speak for another role, and an answer teaches to.
    /// </summary>
    private void TemplateTokens(JsonElement value, string path, bool learnt)
    {
        switch (value.ValueKind)
        {
            case JsonValueKind.String:
                string text = value.GetString()!;
                var (start, length) = encoder.Special.Find(text, 0);
                if (length > 0)
                    TemplateToken(value, path, text.Substring(start, length), learnt);
                break;
            case JsonValueKind.Array:
                int index = 0;
                foreach (var item in value.EnumerateArray())
                    TemplateTokens(item, $"{path}[{index++}]", learnt);
                break;
            case JsonValueKind.Object:
                learnt |= value.TryGetProperty("role"u8, out var role) && role.ValueKind == JsonValueKind.String && role.ValueEquals("assistant"u8);
                foreach (var property in value.EnumerateObject())
                {
                    if (!property.NameEquals("metadata"u8))
                        TemplateTokens(property.Value, $"{path}.{property.Name.Shown(60)}", learnt || property.NameEquals("completion"u8) || property.NameEquals("text"u8));
                }
                break;
        }
    }

    private void TemplateToken(JsonElement at, string path, string token, bool learnt) => scope.Warn(at, path, "template_token_in_text",
        $"the text holds {token}, a token of structure of the base model: {(learnt ? "it is learnt as one, and where the model writes it, an answer may end." : "it is read as one, so that the text can end its message and speak for another role.")}",
        "Take it out or spell it otherwise, unless it is meant.");
}
