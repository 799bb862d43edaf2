using System.Text;

namespace Hone.Formats.Tokenizers;

/// <summary>
/// Decodes tokens one by one. What <see cref="Next"/> and <see cref="Flush"/> give, put together, is what <see cref="Tokenizer.Decode"/>
/// gives for all the tokens. Only the beginning of a character whose bytes are still to come is held back. One stream, one thread.
/// </summary>
public sealed class StreamDecoder
{
    private readonly Tokenizer _tokenizer;
    private readonly bool _skipSpecialTokens;
    private readonly Decoder _utf8 = Encoding.UTF8.GetDecoder();

    internal StreamDecoder(Tokenizer tokenizer, bool skipSpecialTokens) => (_tokenizer, _skipSpecialTokens) = (tokenizer, skipSpecialTokens);

    /// <summary>The text that the next token makes certain, often all of its own. An unknown id gives nothing.</summary>
    public string Next(int id) => Decode(_tokenizer.BytesOf(id, _skipSpecialTokens), flush: false);

    /// <summary>What is left at the end: U+FFFD for a character that was never completed, else nothing. The decoder is as new afterwards.</summary>
    public string Flush() => Decode([], flush: true);

    private string Decode(ReadOnlySpan<byte> bytes, bool flush)
    {
        var characters = new char[_utf8.GetCharCount(bytes, flush)];
        _utf8.GetChars(bytes, characters, flush);
        return new string(characters);
    }
}
