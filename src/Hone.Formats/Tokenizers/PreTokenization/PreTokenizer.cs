namespace Hone.Formats.Tokenizers;

/// <summary>Splits a part of the text into words. In a sequence each one splits the pieces that the one before left, and sees nothing beyond its piece.</summary>
internal abstract class PreTokenizer
{
    /// <summary>Hands each piece on, in order; an empty one is dropped there.</summary>
    public abstract void Split(in AlignedText part, PieceSink next);
}

/// <summary>Takes the pieces that the pre-tokenizer of one step makes.</summary>
internal readonly struct PieceSink(EncodingRun run, int step)
{
    public void Add(in AlignedText piece) => run.Word(piece, step);
}
