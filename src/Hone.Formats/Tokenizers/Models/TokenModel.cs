namespace Hone.Formats.Tokenizers;

/// <summary>Turns words into tokens. Threads share one.</summary>
internal abstract class TokenModel
{
    /// <summary>Appends the tokens of a word, with ranges counted in its units from <paramref name="at"/>.</summary>
    public abstract void Encode(ReadOnlySpan<char> word, int at, ByteWord scratch, TokenBuffer output);
}
