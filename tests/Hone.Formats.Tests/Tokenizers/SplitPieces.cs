using Hone.Formats.Tokenizers;

namespace Hone.Formats.Tests.Tokenizers;

/// <summary>What pre-tokenizers make of a text.</summary>
internal static class SplitPieces
{
    public static string Of(PreTokenizer preTokenizer, string text) => string.Join('|', All([preTokenizer], text).Select(p => p.Text));

    public static List<(string Text, TextRange Range)> All(PreTokenizer[] preTokenizers, string text)
    {
        var words = new Words();
        var none = new AddedTokens([]);
        var output = new TokenBuffer();
        new EncodingRun(new Pipeline(null, preTokenizers, words), none, none, output).Text(text);
        return [.. words.Texts.Select((word, i) => (word, new TextRange(output.Offsets[i].Start, output.Offsets[i].End)))];
    }

    /// <summary>A model that keeps every word as one token.</summary>
    private sealed class Words : TokenModel
    {
        public List<string> Texts { get; } = [];

        public override void Encode(ReadOnlySpan<char> word, int at, ByteWord scratch, TokenBuffer output)
        {
            Texts.Add(word.ToString());
            output.Add(0, at, at + word.Length);
        }
    }
}
