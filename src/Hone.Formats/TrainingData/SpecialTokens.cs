using System.Buffers;
using Hone.Formats.Tokenizers;

namespace Hone.Formats.TrainingData;

/// <summary>The texts that a tokenizer turns into tokens of structure, to be found in rendered or raw text.</summary>
internal sealed class SpecialTokens
{
    private readonly SearchValues<string>? _search;
    private readonly string[] _texts;

    public SpecialTokens(Tokenizer tokenizer)
    {
        _texts = [.. Enumerable.Range(0, tokenizer.VocabularySize).Where(tokenizer.IsSpecial).Select(tokenizer.TokenText).Where(t => t.Length > 1).OrderByDescending(t => t.Length)];
        _search = _texts.Length == 0 ? null : SearchValues.Create(_texts, StringComparison.Ordinal);
    }

    /// <summary>The first at or after a place; its length is 0 when there is none.</summary>
    public (int Start, int Length) Find(string text, int from)
    {
        int at = _search is null ? -1 : text.AsSpan(from).IndexOfAny(_search);
        return at < 0 ? (-1, 0) : (from + at, _texts.First(t => text.AsSpan(from + at).StartsWith(t, StringComparison.Ordinal)).Length);
    }
}
