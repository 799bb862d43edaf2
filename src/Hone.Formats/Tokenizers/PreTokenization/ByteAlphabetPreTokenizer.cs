using System.Text;

namespace Hone.Formats.Tokenizers;

/// <summary>Puts a prefix before a piece that does not begin with it.</summary>
internal sealed class PrefixPreTokenizer(string prefix) : PreTokenizer
{
    public override void Split(in AlignedText part, PieceSink next) => next.Add(part.Text.StartsWith(prefix, StringComparison.Ordinal) ? part : Prefixed(part, prefix));

    internal static AlignedText Prefixed(in AlignedText text, string prefix)
    {
        var builder = new AlignedTextBuilder(text.Length + prefix.Length);
        builder.Append(prefix, new TextRange(text.Start, text.Start));
        builder.Append(text, 0, text.Length);
        return builder.Build();
    }
}

/// <summary>Writes every byte of a piece's UTF-8 as its character of GPT-2's alphabet.</summary>
internal sealed class ByteAlphabetPreTokenizer : PreTokenizer
{
    public override void Split(in AlignedText part, PieceSink next) => next.Add(Written(part));

    internal static AlignedText Written(in AlignedText text)
    {
        ReadOnlySpan<char> units = text.Text;
        var builder = new AlignedTextBuilder(units.Length + (units.Length / 2));
        Span<byte> utf8 = stackalloc byte[4];
        for (int at = 0, length; at < units.Length; at += length)
        {
            Rune rune = CodePoints.RuneAt(units, at, out length);
            TextRange range = text.RangeOf(at, at + length);
            foreach (byte value in utf8[..rune.EncodeToUtf8(utf8)])
                builder.Append((int)ByteAlphabet.CharacterOf(value), range);
        }
        return builder.Build();
    }
}
