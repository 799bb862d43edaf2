namespace Hone.Formats.Tokenizers;

/// <summary>Changes a part of the text before it is split.</summary>
internal abstract class Normalizer
{
    public abstract AlignedText Normalize(in AlignedText text);
}

internal sealed class SequenceNormalizer(Normalizer[] normalizers) : Normalizer
{
    public override AlignedText Normalize(in AlignedText text)
    {
        AlignedText result = text;
        foreach (Normalizer normalizer in normalizers)
            result = normalizer.Normalize(result);
        return result;
    }
}

/// <summary>Puts a text before each part that is not empty.</summary>
internal sealed class PrependNormalizer(string prepend) : Normalizer
{
    public override AlignedText Normalize(in AlignedText text) => text.Length == 0 ? text : PrefixPreTokenizer.Prefixed(text, prepend);
}

/// <summary>Writes every byte as its character of GPT-2's alphabet.</summary>
internal sealed class ByteAlphabetNormalizer : Normalizer
{
    public override AlignedText Normalize(in AlignedText text) => ByteAlphabetPreTokenizer.Written(text);
}

/// <summary>Takes spaces off the ends.</summary>
internal sealed class StripNormalizer(bool left, bool right) : Normalizer
{
    public override AlignedText Normalize(in AlignedText text)
    {
        (int start, int end) = (0, text.Length);
        while (left && start < end && CodePoints.KindAt(text.Text, start, out _) == CodePointKind.Space)
            start++;
        while (right && end > start && CodePoints.KindAt(text.Text, end - 1, out _) == CodePointKind.Space)
            end--;
        return text[start..end];
    }
}

/// <summary>Writes a text, as it is, for every match of a pattern.</summary>
internal sealed class ReplaceNormalizer(TextPattern pattern, string content) : Normalizer
{
    public override AlignedText Normalize(in AlignedText text)
    {
        if (pattern is LiteralPattern { Literal: [char sought] } && content is [char written])
            return text.Text.Contains(sought) ? text.With(string.Create(text.Length, text, (to, from) => from.Text.Replace(to, sought, written))) : text;
        ReadOnlySpan<char> units = text.Text;
        PatternSearch search = pattern.Start(units);
        AlignedTextBuilder? builder = null;
        int at = 0;
        while (search.Next(units, out int start, out int end))
        {
            builder ??= new AlignedTextBuilder(units.Length + content.Length);
            builder.Append(text, at, start - at);
            int place = start < units.Length ? text.RangeOf(start, start + 1).Start : units.Length > 0 ? text.RangeOf(start - 1, start).End : text.Start;
            builder.Append(content, start < end ? text.RangeOf(start, end) : new TextRange(place, place));
            at = end;
        }
        if (builder is null)
            return text;
        builder.Append(text, at, units.Length - at);
        return builder.Build();
    }
}
