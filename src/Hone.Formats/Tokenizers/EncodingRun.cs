namespace Hone.Formats.Tokenizers;

/// <summary>What a tokenizer does between a text and its tokens.</summary>
/// <param name="Normalizer">Applied to each part between the added tokens; null for none.</param>
/// <param name="PreTokenizers">Applied in this order.</param>
/// <param name="Model">What turns words into tokens.</param>
internal sealed record Pipeline(Normalizer? Normalizer, PreTokenizer[] PreTokenizers, TokenModel Model);

/// <summary>One text on its way through a tokenizer.</summary>
internal sealed class EncodingRun(Pipeline pipeline, AddedTokens raw, AddedTokens normalized, TokenBuffer output)
{
    private readonly ByteWord _scratch = new();

    public void Text(string text)
    {
        var whole = new AlignedText(CodePoints.Valid(text).AsMemory(), 0);
        Cut(whole, raw, cutsNormalized: false);
    }

    /// <summary>A piece that the pre-tokenizers before <paramref name="step"/> have made.</summary>
    public void Word(in AlignedText piece, int step)
    {
        if (piece.Length == 0)
            return;
        if (step < pipeline.PreTokenizers.Length)
        {
            pipeline.PreTokenizers[step].Split(piece, new PieceSink(this, step + 1));
            return;
        }
        int first = output.Count;
        pipeline.Model.Encode(piece.Text, 0, _scratch, output);
        output.MoveToOriginal(first, piece);
    }

    private void Cut(in AlignedText text, AddedTokens tokens, bool cutsNormalized)
    {
        (int search, int taken) = (0, 0);
        while (tokens.TryCut(text.Text, ref search, taken, out int start, out int end, out int id))
        {
            if (taken < start)
                Between(text[taken..start], cutsNormalized);
            TextRange range = text.RangeOf(start, end);
            output.Add(id, range.Start, range.End);
            taken = end;
        }
        if (taken < text.Length)
            Between(text[taken..], cutsNormalized);
    }

    private void Between(in AlignedText part, bool cutsNormalized)
    {
        if (cutsNormalized)
        {
            Word(part, 0);
            return;
        }
        AlignedText text = pipeline.Normalizer?.Normalize(part) ?? part;
        if (normalized.None)
            Word(text, 0);
        else
            Cut(text, normalized, cutsNormalized: true);
    }
}
