namespace Hone.Formats.Tokenizers;

/// <summary>
/// Decodes tokens one by one. What <see cref="Next"/> and <see cref="Flush"/> give, put together, is what <see cref="Tokenizer.Decode"/>
/// gives for all the tokens. Only the beginning of a character whose bytes are still to come is held back. One stream, one thread.
/// </summary>
/// <remarks>
/// Where bytes are tokens of their own (<c>&lt;0xE4&gt;</c>), a run of them that becomes invalid only after a part of it was given keeps that
/// part, while <see cref="Tokenizer.Decode"/> gives U+FFFD for each byte of the run.
/// </remarks>
public sealed class StreamDecoder
{
    private readonly Tokenizer _tokenizer;
    private readonly TokenStream _stream;
    private readonly bool _skipSpecialTokens;

    internal StreamDecoder(Tokenizer tokenizer, TokenStream stream, bool skipSpecialTokens) => (_tokenizer, _stream, _skipSpecialTokens) = (tokenizer, stream, skipSpecialTokens);

    /// <summary>The text that the next token makes certain, often all of its own. An unknown id gives nothing.</summary>
    public string Next(int id) => _tokenizer.IsDecoded(id, _skipSpecialTokens) ? _stream.Next(id) : "";

    /// <summary>What is left at the end: U+FFFD for a character that was never completed, else nothing. The decoder is as new afterwards.</summary>
    public string Flush() => _stream.Flush();
}
