using System.Globalization;

namespace Hone.Formats.Tokenizers;

/// <summary>Changes every code point by itself.</summary>
internal sealed class CodePointNormalizer(CodePointNormalizer.Change change) : Normalizer
{
    /// <summary>The code points that stand for one; -1 for none.</summary>
    public delegate (int First, int Second) Change(int codePoint);

    /// <summary>Rust's <c>char::to_lowercase</c>: İ is the one character that becomes two.</summary>
    public static (int First, int Second) Lowercase(int codePoint) => codePoint switch
    {
        0x130 => ('i', 0x307),
        _ => (CodePoints.ToLower(codePoint), -1),
    };

    /// <summary>Takes marks away, which only a decomposed text has.</summary>
    public static (int First, int Second) StripAccents(int codePoint) =>
        (CharUnicodeInfo.GetUnicodeCategory(codePoint) is UnicodeCategory.NonSpacingMark or UnicodeCategory.SpacingCombiningMark or UnicodeCategory.EnclosingMark ? -1 : codePoint, -1);

    /// <summary>SentencePiece's <c>nmt</c>: control characters go, odd spaces become plain ones.</summary>
    public static (int First, int Second) Nmt(int codePoint) => codePoint switch
    {
        (>= 0x01 and <= 0x08) or 0x0B or (>= 0x0E and <= 0x1F) or 0x7F or 0x8F or 0x9F => (-1, -1),
        0x09 or 0x0A or 0x0C or 0x0D or 0x1680 or (>= 0x200B and <= 0x200F) or 0x2028 or 0x2029 or 0x2581 or 0xFEFF or 0xFFFD => (' ', -1),
        _ => (codePoint, -1),
    };

    public override AlignedText Normalize(in AlignedText text)
    {
        ReadOnlySpan<char> units = text.Text;
        AlignedTextBuilder? builder = null;
        for (int at = 0, length; at < units.Length; at += length)
        {
            int codePoint = CodePoints.RuneAt(units, at, out length).Value;
            (int first, int second) = change(codePoint);
            if (builder is null && first == codePoint)
                continue;
            if (builder is null)
            {
                builder = new AlignedTextBuilder(units.Length + 8);
                builder.Append(text, 0, at);
            }
            TextRange range = text.RangeOf(at, at + length);
            if (first >= 0)
                builder.Append(first, range);
            if (second >= 0)
                builder.Append(second, range);
        }
        return builder is null ? text : builder.Build();
    }
}
