using System.Globalization;
using System.Text;

namespace Hone.Formats.ChatTemplates.Jinja;

/// <summary>Python's full Unicode case mappings.</summary>
internal static class Casing
{
    public static string Upper(string text) => Ascii.IsValid(text) ? text.ToUpperInvariant() : Map(text, (builder, item, _) => AppendUpper(builder, item));

    public static string Lower(string text) => Ascii.IsValid(text) ? text.ToLowerInvariant() : Map(text, (builder, item, at) => AppendLower(builder, text, item, at));

    public static string Capitalize(string text) => Map(text, (builder, item, at) =>
    {
        if (at == 0)
        {
            AppendTitle(builder, item);
        }
        else
        {
            AppendLower(builder, text, item, at);
        }
    });

    /// <summary><c>str.title</c>: a letter behind a letter is lower case, any other title case.</summary>
    public static string Title(string text)
    {
        var isInWord = false;
        return Map(text, (builder, item, at) =>
        {
            if (isInWord)
            {
                AppendLower(builder, text, item, at);
            }
            else
            {
                AppendTitle(builder, item);
            }

            isInWord = IsCased(item);
        });
    }

    public static string Swap(string text) => Map(text, (builder, item, at) =>
    {
        if (IsUpper(item))
        {
            AppendLower(builder, text, item, at);
        }
        else if (IsLower(item))
        {
            AppendUpper(builder, item);
        }
        else
        {
            builder.Append(item);
        }
    });

    /// <summary>A text without differences of case, for comparing.</summary>
    public static string Fold(string text)
    {
        // Folding goes through upper case: it joins forms that lower case keeps apart, such as ß and ss or the final sigma.
        var upper = Map(text, (builder, item, _) =>
        {
            if (item == "\u0131")
            {
                builder.Append(item);
            }
            else
            {
                AppendUpper(builder, item);
            }
        });
        return Map(upper, (builder, item, _) => builder.Append(SimpleLower(item)));
    }

    public static bool IsUpperText(string text) => Items(text).Any(IsUpper) && !Items(text).Any(item => IsLower(item) || IsTitle(item));

    public static bool IsLowerText(string text) => Items(text).Any(IsLower) && !Items(text).Any(item => IsUpper(item) || IsTitle(item));

    public static bool IsTitleText(string text)
    {
        var (isInWord, any) = (false, false);
        foreach (var item in Items(text))
        {
            var starts = IsUpper(item) || IsTitle(item);
            if ((starts && isInWord) || (!starts && IsLower(item) && !isInWord))
            {
                return false;
            }

            isInWord = starts || IsLower(item);
            any |= isInWord;
        }

        return any;
    }

    private static IEnumerable<string> Items(string text)
    {
        for (var i = 0; i < text.Length;)
        {
            var length = Text.UnitsAt(text, i);
            yield return text.Substring(i, length);
            i += length;
        }
    }

    private static string Map(string text, Action<StringBuilder, string, int> append)
    {
        var builder = new StringBuilder(text.Length);
        var at = 0;
        foreach (var item in Items(text))
        {
            append(builder, item, at);
            at += item.Length;
        }

        return builder.ToString();
    }

    private static UnicodeCategory Category(string item) => CharUnicodeInfo.GetUnicodeCategory(item, 0);

    private static bool IsUpper(string item) => Category(item) == UnicodeCategory.UppercaseLetter || item is [>= '\u2160' and <= '\u216f'] or [>= '\u24b6' and <= '\u24cf'];

    private static bool IsLower(string item) => Category(item) == UnicodeCategory.LowercaseLetter
        || item is "\u00aa" or "\u00ba" or [>= '\u02b0' and <= '\u02b8'] or [>= '\u02c0' and <= '\u02c1'] or [>= '\u02e0' and <= '\u02e4'] or "\u0345" or "\u037a"
            or [>= '\u1d2c' and <= '\u1d6a'] or "\u1d78" or [>= '\u1d9b' and <= '\u1dbf'] or "\u2071" or "\u207f" or [>= '\u2090' and <= '\u209c']
            or [>= '\u2170' and <= '\u217f'] or [>= '\u24d0' and <= '\u24e9'];

    private static bool IsTitle(string item) => Category(item) == UnicodeCategory.TitlecaseLetter;

    private static bool IsCased(string item) => IsUpper(item) || IsLower(item) || IsTitle(item);

    private static void AppendUpper(StringBuilder builder, string item) =>
        builder.Append(CasingTables.Upper.TryGetValue(item, out var special) ? special : SimpleUpper(item));

    private static void AppendTitle(StringBuilder builder, string item)
    {
        if (CasingTables.Title.TryGetValue(item, out var special))
        {
            builder.Append(special);
        }
        else if (item is [>= '\u10d0' and <= '\u10ff'])
        {
            // Georgian has no title case though it has an upper one.
            builder.Append(item);
        }
        else
        {
            AppendUpper(builder, item);
        }
    }

    private static void AppendLower(StringBuilder builder, string text, string item, int at)
    {
        if (item == "\u03a3")
        {
            builder.Append(IsFinalSigma(text, at) ? '\u03c2' : '\u03c3');
        }
        else
        {
            builder.Append(item == "\u0130" ? "i\u0307" : SimpleLower(item));
        }
    }

    /// <summary>A sigma is final behind a cased letter and before none, over what letters carry.</summary>
    private static bool IsFinalSigma(string text, int at)
    {
        var before = at - 1;
        while (before >= 0 && IsIgnored(ItemEndingAt(text, before)))
        {
            before -= ItemEndingAt(text, before).Length;
        }

        if (before < 0 || !IsCased(ItemEndingAt(text, before)))
        {
            return false;
        }

        var after = at + 1;
        while (after < text.Length && IsIgnored(text.Substring(after, Text.UnitsAt(text, after))))
        {
            after += Text.UnitsAt(text, after);
        }

        return after >= text.Length || !IsCased(text.Substring(after, Text.UnitsAt(text, after)));
    }

    private static string ItemEndingAt(string text, int index) =>
        index > 0 && Text.UnitsAt(text, index - 1) == 2 ? text.Substring(index - 1, 2) : text.Substring(index, 1);

    private static bool IsIgnored(string item) => item is "'" or "." or ":" or "^" or "`" or "\u00a8" or "\u00ad" or "\u00af" or "\u00b4" or "\u00b7" or "\u00b8" or "\u2019"
        || Category(item) is UnicodeCategory.NonSpacingMark or UnicodeCategory.EnclosingMark or UnicodeCategory.Format
            or UnicodeCategory.ModifierLetter or UnicodeCategory.ModifierSymbol;

    private static string SimpleUpper(string item) =>
        item == "\u0131" ? "I" : item == "\u017f" ? "S" : Rune.TryGetRuneAt(item, 0, out var rune) ? Rune.ToUpperInvariant(rune).ToString() : item;

    private static string SimpleLower(string item) =>
        item == "\u212a" ? "k" : item == "\u0130" ? "i\u0307" : Rune.TryGetRuneAt(item, 0, out var rune) ? Rune.ToLowerInvariant(rune).ToString() : item;
}
