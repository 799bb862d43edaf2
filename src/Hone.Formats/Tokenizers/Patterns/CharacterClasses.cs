using System.Globalization;
using System.Text;

namespace Hone.Formats.Tokenizers;

/// <summary>The classes that patterns name, as Oniguruma has them for Unicode text: <c>\p{Lu}</c>, <c>\s</c>, <c>[:alpha:]</c>.</summary>
internal static class CharacterClasses
{
    private static readonly string[] s_categories =
    [
        "Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd", "Nl", "No", "Zs", "Zl", "Zp", "Cc", "Cf", "Cs", "Co", "Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po", "Sm", "Sc", "Sk", "So", "Cn",
    ];

    private static readonly Dictionary<string, string> s_longNames = string.Join(' ',
    [
        "letter:l mark:m number:n separator:z other:c punctuation:p symbol:s uppercaseletter:lu",
        "lowercaseletter:ll titlecaseletter:lt modifierletter:lm otherletter:lo nonspacingmark:mn spacingmark:mc enclosingmark:me decimalnumber:nd",
        "letternumber:nl othernumber:no spaceseparator:zs lineseparator:zl paragraphseparator:zp control:cc format:cf surrogate:cs",
        "privateuse:co unassigned:cn connectorpunctuation:pc dashpunctuation:pd openpunctuation:ps closepunctuation:pe initialpunctuation:pi finalpunctuation:pf",
        "otherpunctuation:po mathsymbol:sm currencysymbol:sc modifiersymbol:sk othersymbol:so",
    ]).Split(' ').Select(pair => pair.Split(':')).ToDictionary(pair => pair[0], pair => pair[1]);

    // What the blocks of these scripts hold by Unicode 16's Scripts.txt.
    private static readonly Dictionary<string, (int First, int Last)[]> s_scripts = new()
    {
        ["han"] =
        [
            (0x2E80, 0x2E99), (0x2E9B, 0x2EF3), (0x2F00, 0x2FD5), (0x3005, 0x3005), (0x3007, 0x3007), (0x3021, 0x3029), (0x3038, 0x303B), (0x3400, 0x4DBF), (0x4E00, 0x9FFF),
            (0xF900, 0xFA6D), (0xFA70, 0xFAD9), (0x16FE2, 0x16FE3), (0x16FF0, 0x16FF1), (0x20000, 0x2A6DF), (0x2A700, 0x2B739), (0x2B740, 0x2B81D), (0x2B820, 0x2CEA1), (0x2CEB0, 0x2EBE0),
            (0x2EBF0, 0x2EE5D), (0x2F800, 0x2FA1D), (0x30000, 0x3134A), (0x31350, 0x323AF),
        ],
        ["hiragana"] = [(0x3041, 0x3096), (0x309D, 0x309F), (0x1B001, 0x1B11F), (0x1B132, 0x1B132), (0x1B150, 0x1B152), (0x1F200, 0x1F200)],
        ["katakana"] =
        [
            (0x30A1, 0x30FA), (0x30FD, 0x30FF), (0x31F0, 0x31FF), (0x32D0, 0x32FE), (0x3300, 0x3357), (0xFF66, 0xFF6F), (0xFF71, 0xFF9D), (0x1AFF0, 0x1AFF3), (0x1AFF5, 0x1AFFB), (0x1AFFD, 0x1AFFE),
            (0x1B000, 0x1B000), (0x1B120, 0x1B122), (0x1B155, 0x1B155), (0x1B164, 0x1B167),
        ],
        ["hangul"] =
        [
            (0x1100, 0x11FF), (0x302E, 0x302F), (0x3131, 0x318E), (0x3200, 0x321E), (0x3260, 0x327E), (0xA960, 0xA97C), (0xAC00, 0xD7A3), (0xD7B0, 0xD7C6), (0xD7CB, 0xD7FB),
            (0xFFA0, 0xFFBE), (0xFFC2, 0xFFC7), (0xFFCA, 0xFFCF), (0xFFD2, 0xFFD7), (0xFFDA, 0xFFDC),
        ],
    };

    /// <summary>The class of <c>\p{name}</c> or <c>[:name:]</c>; null for a name that is not known here. Case, spaces, hyphens and underscores do not count.</summary>
    public static Func<int, bool>? Named(string name)
    {
        string key = string.Concat(name.Where(c => c is not (' ' or '-' or '_'))).ToLowerInvariant();
        if (s_longNames.TryGetValue(key, out string? category))
            key = category;
        if (s_scripts.TryGetValue(key, out (int First, int Last)[]? ranges))
            return c => ranges.Any(r => c >= r.First && c <= r.Last);
        if (Categories(key) is > 0 and uint mask)
            return In(mask);
        return key switch
        {
            "any" => _ => true,
            "ascii" => c => c < 128,
            "assigned" => In(~Categories("cn")),
            "alpha" or "alphabetic" => IsAlphabetic,
            "digit" => Digit,
            "alnum" => c => IsAlphabetic(c) || Digit(c),
            "upper" or "uppercase" => c => Category(c) == UnicodeCategory.UppercaseLetter || c is (>= 0x2160 and <= 0x216F) or (>= 0x24B6 and <= 0x24CF) or (>= 0x1F130 and <= 0x1F149) or (>= 0x1F150 and <= 0x1F169) or (>= 0x1F170 and <= 0x1F189),
            "space" or "whitespace" => Space,
            "blank" => c => c == '\t' || Category(c) == UnicodeCategory.SpaceSeparator,
            "cntrl" => In(Categories("c")),
            "punct" => c => In(Categories("p"))(c) || c is '$' or '+' or '<' or '=' or '>' or '^' or '`' or '|' or '~',
            "xdigit" => HexDigit,
            "word" => Word,
            _ => null,
        };
    }

    public static bool Digit(int c) => Category(c) == UnicodeCategory.DecimalDigitNumber;

    public static bool HexDigit(int c) => c < 128 && char.IsAsciiHexDigit((char)c);

    public static bool Space(int c) => c < 0x10000 && char.IsWhiteSpace((char)c);

    public static bool Word(int c) => CodePoints.IsWord(c);

    /// <summary>The code points that count as one where case does not: those with the same simple fold.</summary>
    public static int[] CaseVariants(int c)
    {
        int fold = Fold(c);
        List<int> variants = [c, fold, Rune.IsValid(fold) ? Rune.ToUpperInvariant(new Rune(fold)).Value : fold];
        foreach ((int from, int to) in s_folds)
        {
            if (to == fold)
                variants.Add(from);
        }
        return [.. variants.Distinct()];
    }

    // Characters that fold to one which their lower case is not.
    private static readonly (int From, int To)[] s_folds =
    [
        (0x17F, 's'), (0x212A, 'k'), (0x212B, 0xE5), (0xB5, 0x3BC), (0x345, 0x3B9), (0x1FBE, 0x3B9), (0x3C2, 0x3C3), (0x3D0, 0x3B2), (0x3D1, 0x3B8), (0x3D5, 0x3C6), (0x3D6, 0x3C0),
        (0x3F0, 0x3BA), (0x3F1, 0x3C1), (0x3F4, 0x3B8), (0x3F5, 0x3B5), (0x1E9B, 0x1E61), (0x1E9E, 0xDF), (0x2126, 0x3C9),
    ];

    private static int Fold(int c)
    {
        foreach ((int from, int to) in s_folds)
        {
            if (from == c)
                return to;
        }
        return CodePoints.ToLower(c);
    }

    private static bool IsAlphabetic(int c) => CodePoints.IsWord(c) && Category(c) is not (UnicodeCategory.DecimalDigitNumber or UnicodeCategory.ConnectorPunctuation);

    private static UnicodeCategory Category(int c) => CharUnicodeInfo.GetUnicodeCategory(c);

    private static Func<int, bool> In(uint mask) => c => (mask >> (int)Category(c) & 1) != 0;

    /// <summary>A bit for each category that a name of one or two letters means.</summary>
    private static uint Categories(string key)
    {
        uint mask = 0;
        for (int i = 0; i < s_categories.Length; i++)
        {
            string category = s_categories[i];
            if (key.Equals(category, StringComparison.OrdinalIgnoreCase) || (key.Length == 1 && char.ToUpperInvariant(key[0]) == category[0]) || (key == "lc" && i <= 2))
                mask |= 1u << i;
        }
        return mask;
    }
}
