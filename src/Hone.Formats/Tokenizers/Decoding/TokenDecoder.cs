namespace Hone.Formats.Tokenizers;

/// <summary>Turns tokens into text. Threads share one.</summary>
internal abstract class TokenDecoder
{
    /// <summary>The text of tokens that are all in the vocabulary.</summary>
    public abstract string Decode(IReadOnlyList<int> ids);

    public abstract TokenStream Start();

    /// <summary>What a token of the vocabulary adds behind others.</summary>
    public abstract byte[] BytesOf(int id);
}

/// <summary>One text whose tokens come one by one.</summary>
internal abstract class TokenStream
{
    public abstract string Next(int id);

    /// <summary>What is held back; the stream is as new afterwards.</summary>
    public abstract string Flush();
}
