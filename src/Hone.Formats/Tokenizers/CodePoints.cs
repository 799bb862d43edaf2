using System.Buffers;
using System.Globalization;
using System.Text;

namespace Hone.Formats.Tokenizers;

/// <summary>The classes that pre-tokenizers' patterns speak of: <c>\p{L}</c>, <c>\p{N}</c>, <c>\s</c> and the rest.</summary>
internal enum CodePointKind : byte { Other, Letter, Number, Space }

/// <summary>Reads text by Unicode code points. A lone surrogate counts as U+FFFD, one unit long.</summary>
internal static class CodePoints
{
    private static readonly CodePointKind[] Ascii = [.. Enumerable.Range(0, 128).Select(c => Classify(new Rune(c)))];

    public static CodePointKind KindAt(ReadOnlySpan<char> text, int at, out int length)
    {
        char c = text[at];
        if (c < 128)
        {
            length = 1;
            return Ascii[c];
        }
        return Classify(RuneAt(text, at, out length));
    }

    public static Rune RuneAt(ReadOnlySpan<char> text, int at, out int length)
    {
        OperationStatus status = Rune.DecodeFromUtf16(text[at..], out Rune rune, out length);
        if (status != OperationStatus.Done)
            length = 1;
        return rune;
    }

    /// <summary>Where the run of code points of one kind that begins at <paramref name="at"/> ends.</summary>
    public static int EndOfRun(ReadOnlySpan<char> text, int at, CodePointKind kind)
    {
        while (at < text.Length && KindAt(text, at, out int length) == kind)
            at += length;
        return at;
    }

    private static CodePointKind Classify(Rune rune) => Rune.IsWhiteSpace(rune) ? CodePointKind.Space : Rune.GetUnicodeCategory(rune) switch
    {
        UnicodeCategory.UppercaseLetter or UnicodeCategory.LowercaseLetter or UnicodeCategory.TitlecaseLetter
            or UnicodeCategory.ModifierLetter or UnicodeCategory.OtherLetter => CodePointKind.Letter,
        UnicodeCategory.DecimalDigitNumber or UnicodeCategory.LetterNumber or UnicodeCategory.OtherNumber => CodePointKind.Number,
        _ => CodePointKind.Other,
    };
}
