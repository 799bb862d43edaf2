namespace Hone.Formats.Tokenizers;

/// <summary>Where a <see cref="MetaspacePreTokenizer"/> puts a sign before the text.</summary>
internal enum PrependScheme { Always, First, Never }

/// <summary>Writes spaces as a sign (<c>▁</c>), puts one before the text, and splits before each.</summary>
internal sealed class MetaspacePreTokenizer(string sign, PrependScheme prepend, bool split) : PreTokenizer
{
    private readonly SplitPreTokenizer? _split = split ? new SplitPreTokenizer(new LiteralPattern(sign), SplitBehavior.MergedWithNext) : null;

    public override void Split(in AlignedText part, PieceSink next)
    {
        AlignedText text = new ReplaceNormalizer(new LiteralPattern(" "), sign).Normalize(part);
        bool prepends = prepend == PrependScheme.Always || (prepend == PrependScheme.First && part.Start == 0);
        if (prepends && !text.Text.StartsWith(sign, StringComparison.Ordinal))
            text = PrefixPreTokenizer.Prefixed(text, sign);
        if (_split is null)
            next.Add(text);
        else
            _split.Split(text, next);
    }
}
