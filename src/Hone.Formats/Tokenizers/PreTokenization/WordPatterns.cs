namespace Hone.Formats.Tokenizers;

/// <summary>The patterns of the common byte-level tokenizers, by hand: the length of a text's first piece.</summary>
internal static class WordPatterns
{
    /// <summary>Every character of category N is a piece of its own, what lies between them another.</summary>
    public static int IndividualDigits(ReadOnlySpan<char> text)
    {
        int at = 0;
        while (at < text.Length)
        {
            if (IsDigit(text, at, out int length))
                return at == 0 ? length : at;
            at += length;
        }
        return at;
    }

    /// <summary>GPT-2's pattern: <c>'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+</c>.</summary>
    public static int Gpt2(ReadOnlySpan<char> text)
    {
        if (text[0] == '\'' && ContractionLength(text) is > 0 and int contraction)
            return contraction;
        CodePointKind kind = CodePoints.KindAt(text, 0, out int length);
        if (kind != CodePointKind.Space)
            return CodePoints.EndOfRun(text, length, kind);
        if (text[0] == ' ' && text.Length > 1 && CodePoints.KindAt(text, 1, out int next) is not CodePointKind.Space and CodePointKind after)
            return CodePoints.EndOfRun(text, 1 + next, after);
        return BeforeLastSpace(CodePoints.EndOfRun(text, length, CodePointKind.Space), text.Length);
    }

    /// <summary>
    /// Llama 3's pattern: <c>(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+</c>.
    /// </summary>
    public static int Llama3(ReadOnlySpan<char> text) => Llama3(text, 3);

    /// <summary>As <see cref="Llama3(ReadOnlySpan{char})"/>, but with <c>\p{N}</c>.</summary>
    public static int Qwen2(ReadOnlySpan<char> text) => Llama3(text, 1);

    private static int Llama3(ReadOnlySpan<char> text, int numbers)
    {
        if (text[0] == '\'' && AnyCaseContractionLength(text) is > 0 and int contraction)
            return contraction;
        CodePointKind kind = CodePoints.KindAt(text, 0, out int length);
        if (kind == CodePointKind.Letter)
            return CodePoints.EndOfRun(text, length, CodePointKind.Letter);
        if (kind == CodePointKind.Number)
            return Numbers(text, numbers);
        CodePointKind after = length < text.Length ? CodePoints.KindAt(text, length, out _) : CodePointKind.Space;
        if (after == CodePointKind.Letter && text[0] is not ('\r' or '\n'))
            return CodePoints.EndOfRun(text, length, CodePointKind.Letter);
        if (kind == CodePointKind.Other || (text[0] == ' ' && after == CodePointKind.Other))
        {
            int end = CodePoints.EndOfRun(text, length, CodePointKind.Other);
            int line = text[end..].IndexOfAnyExcept('\r', '\n');
            return line < 0 ? text.Length : end + line;
        }
        int spaces = CodePoints.EndOfRun(text, length, CodePointKind.Space);
        int newline = text[..spaces].LastIndexOfAny('\r', '\n');
        return newline >= 0 ? newline + 1 : BeforeLastSpace(spaces, text.Length);
    }

    // Unicode 17 adds thirteen characters of category N to the runtime's Unicode 16. They are no \p{N} of the patterns.
    private static bool IsDigit(ReadOnlySpan<char> text, int at, out int length) =>
        CodePoints.KindAt(text, at, out length) == CodePointKind.Number
        || (length == 2 && CodePoints.RuneAt(text, at, out _).Value is (>= 0x11DE0 and <= 0x11DE9) or (>= 0x16FF4 and <= 0x16FF6));

    private static int ContractionLength(ReadOnlySpan<char> text) => text switch
    {
        ['\'', 's' or 't' or 'm' or 'd', ..] => 2,
        ['\'', 'r' or 'v', 'e', ..] or ['\'', 'l', 'l', ..] => 3,
        _ => 0,
    };

    // 's' has a third case in Unicode, the long s.
    private static int AnyCaseContractionLength(ReadOnlySpan<char> text) => text switch
    {
        [_, 's' or 'S' or 'ſ' or 't' or 'T' or 'm' or 'M' or 'd' or 'D', ..] => 2,
        [_, 'r' or 'R' or 'v' or 'V', 'e' or 'E', ..] or [_, 'l' or 'L', 'l' or 'L', ..] => 3,
        _ => 0,
    };

    private static int Numbers(ReadOnlySpan<char> text, int most)
    {
        int at = 0;
        for (int i = 0; i < most && at < text.Length && CodePoints.KindAt(text, at, out int length) == CodePointKind.Number; i++)
            at += length;
        return at;
    }

    /// <summary><c>\s+(?!\S)|\s+</c>: the last of several spaces is left to the word that follows. Every space is one unit long.</summary>
    private static int BeforeLastSpace(int spaces, int length) => spaces == length || spaces == 1 ? spaces : spaces - 1;
}
