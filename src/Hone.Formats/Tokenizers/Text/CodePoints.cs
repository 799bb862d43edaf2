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

    /// <summary>Writes a code point as one or two units and answers how many.</summary>
    public static int Encode(int codePoint, Span<char> units)
    {
        if (codePoint < 0x10000)
        {
            units[0] = (char)codePoint;
            return 1;
        }
        units[0] = (char)(0xD7C0 + (codePoint >> 10));
        units[1] = (char)(0xDC00 + (codePoint & 0x3FF));
        return 2;
    }

    /// <summary>The text with U+FFFD for every surrogate that stands alone; the same object where there is none.</summary>
    public static string Valid(string text)
    {
        int at = text.AsSpan().IndexOfAnyInRange('\ud800', '\udfff');
        if (at < 0)
            return text;
        char[]? valid = null;
        for (int length; at < text.Length; at += length)
        {
            if (Rune.DecodeFromUtf16(text.AsSpan(at), out _, out length) == OperationStatus.Done)
                continue;
            valid ??= text.ToCharArray();
            valid[at] = '\ufffd';
            length = 1;
        }
        return valid is null ? text : new string(valid);
    }

    /// <summary>Where the run of code points of one kind that begins at <paramref name="at"/> ends.</summary>
    public static int EndOfRun(ReadOnlySpan<char> text, int at, CodePointKind kind)
    {
        while (at < text.Length && KindAt(text, at, out int length) == kind)
            at += length;
        return at;
    }

    public static int ToLower(int codePoint) => Rune.IsValid(codePoint) ? Rune.ToLowerInvariant(new Rune(codePoint)).Value : codePoint;

    /// <summary>Letters, marks, digits, joining punctuation and what else is alphabetic: <c>\w</c>.</summary>
    public static bool IsWord(int codePoint) => CharUnicodeInfo.GetUnicodeCategory(codePoint) switch
    {
        <= UnicodeCategory.LetterNumber or UnicodeCategory.ConnectorPunctuation => true, // letters, marks, decimal and letter numbers
        UnicodeCategory.OtherSymbol => codePoint is (>= 0x24B6 and <= 0x24E9) or (>= 0x1F130 and <= 0x1F149) or (>= 0x1F150 and <= 0x1F169) or (>= 0x1F170 and <= 0x1F189),
        _ => false,
    };

    private static CodePointKind Classify(Rune rune) => Rune.IsWhiteSpace(rune) ? CodePointKind.Space : Rune.GetUnicodeCategory(rune) switch
    {
        UnicodeCategory.UppercaseLetter or UnicodeCategory.LowercaseLetter or UnicodeCategory.TitlecaseLetter
            or UnicodeCategory.ModifierLetter or UnicodeCategory.OtherLetter => CodePointKind.Letter,
        UnicodeCategory.DecimalDigitNumber or UnicodeCategory.LetterNumber or UnicodeCategory.OtherNumber => CodePointKind.Number,
        _ => CodePointKind.Other,
    };
}
