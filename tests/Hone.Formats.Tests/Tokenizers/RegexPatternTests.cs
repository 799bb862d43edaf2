using System.Text.RegularExpressions;
using Hone.Formats.Tokenizers;

namespace Hone.Formats.Tests.Tokenizers;

public sealed class RegexPatternTests
{
    private const string Gpt2 = @"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
    private const string Llama3 = @"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
    private const string Gpt4o =
        @"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";

    [Fact]
    public void Matches_RandomText_EqualsTheWordPatterns()
    {
        var random = new Random(11);
        var patterns = new (RegexPattern Regex, WordPattern Word)[]
        {
            (RegexPattern.Parse(Gpt2), WordPatterns.Gpt2),
            (RegexPattern.Parse(Llama3), WordPatterns.Llama3),
            (RegexPattern.Parse(Llama3.Replace("{1,3}", "")), WordPatterns.Qwen2),
        };
        for (int round = 0; round < 1500; round++)
        {
            string text = RandomText.Make(random);
            foreach ((RegexPattern regex, WordPattern word) in patterns)
                Assert.Equal(Matches(new CoveringPattern(word), text), Matches(regex, text));
        }
    }

    /// <summary>Where every character is one unit, the runtime's own engine means the same by these patterns.</summary>
    [Theory]
    [InlineData(Gpt4o)]
    [InlineData(@"\p{Lu}\p{Ll}+|\d{2,}?\w|[^\W\d]+(?=\s)|(?<=\s)-+|\b\w|\s{2,3}(?!x)")]
    [InlineData(@"(?:ab|a)(?:bc|c)?|(?>a+)b|[a-c&&-]|x*?y|(?<!a|bc)d")]
    [InlineData(@"^\w+|\w+$|(a|b)*c|(?:\w\d?){2,4}")]
    public void Matches_CommonSyntax_EqualsTheRuntimes(string pattern)
    {
        // The runtime has no intersections, and ^ and $ are of lines here.
        var runtime = new Regex(pattern.Replace("&&-", "-").Replace("[a-c-]", "(?!)"), RegexOptions.Multiline | RegexOptions.CultureInvariant);
        RegexPattern own = RegexPattern.Parse(pattern);
        var random = new Random(12);
        const string Characters = "aabbccddxy01 \n-ABÉéж٣'sS";
        for (int round = 0; round < 2000; round++)
        {
            string text = new([.. Enumerable.Range(0, random.Next(24)).Select(_ => Characters[random.Next(Characters.Length)])]);
            if (text.EndsWith('\n'))
                text += "a"; // where Ruby's ^ and the runtime's differ
            Assert.Equal(runtime.Matches(text).Where(m => m.Length > 0).Select(m => m.Value), Matches(own, text).Split('|', StringSplitOptions.RemoveEmptyEntries));
        }
    }

    [Theory]
    [InlineData(@"\p{L}+", "a𝐇𠮷b 1", "a𝐇𠮷b")]
    [InlineData(@"[𝐀-𝐙]", "𝐀𝐇a𝐙", "𝐀|𝐇|𝐙")]
    [InlineData(@"[^a]", "a😀b", "😀|b")]
    [InlineData(".", "😀\nx", "😀|x")]
    [InlineData(@"(?m:.)+", "😀\nx", "😀\nx")]
    [InlineData(@"\p{N}{1,3}", "1𝟏½Ⅷ2", "1𝟏½|Ⅷ2")]
    [InlineData(@"\s+", "a\u0085\u00a0\u2003\u3000b\u001c\u180e\u200b\ufeff c", "\u0085\u00a0\u2003\u3000| ")]
    [InlineData(@"\d+", "1²٣½", "1|٣")]
    [InlineData(@"\w+", "a_é्१Ⅷ‿ⓐ²-b", "a_é्१Ⅷ‿ⓐ|b")]
    [InlineData(@"(?i:'s|k|å)", "'S'ſK\u212bA", "'S|'ſ|K|\u212b")]
    [InlineData(@"(?i)ab|CD", "AbcdaB", "Ab|cd|aB")]
    [InlineData(@"x(?i)a|b", "xA xb b", "xA|xb")]
    [InlineData(@"(?i:[a-c])+", "aBCd", "aBC")]
    [InlineData(@"[\w&&[^\d_]]+", "ab1_c", "ab|c")]
    [InlineData(@"[[:alpha:][:^ascii:]]+", "ab1é-😀", "ab|é|😀")]
    [InlineData(@"[]a]+", "a]b", "a]")]
    [InlineData(@"[a\-z]+", "a-zb", "a-z")]
    [InlineData(@"[\p{Han}\p{Hiragana}]+", "漢字かなカ", "漢字かな")]
    [InlineData(@"\P{L}+|\p{^N}", "a12", "a|12")]
    [InlineData(@"a{2}?b|a{,2}c|a{x", "aab ab b aac c a{x", "aab|b|b|aac|c|a{x")]
    [InlineData(@"\d{1,2}+x", "1234x", "1234x")]
    [InlineData(@"a++b|a?+a", "aab aa", "aab|aa")]
    [InlineData(@"\x41\x{1F600}\u00e9\t\.", "A😀é\t.", "A😀é\t.")]
    [InlineData(@"(?<name>a)(?#comment)b", "ab", "ab")]
    [InlineData(@"\R", "a\r\nb\n\u2028", "\r\n|\n|\u2028")]
    [InlineData(@"\Aa|a\z|b\Z", "aab\n", "a|b")]
    [InlineData(@"a*", "baac", "|aa|")]
    public void Matches_Pattern_AreThese(string pattern, string text, string matches) => Assert.Equal(matches, Matches(RegexPattern.Parse(pattern), text));

    [Theory]
    [InlineData("a(b", "without its ')'")]
    [InlineData("a)b", "without its '('")]
    [InlineData("[a", "without its ']'")]
    [InlineData("*a", "nothing before it")]
    [InlineData(@"(a)\1", @"'\1' is not supported")]
    [InlineData(@"\p{Klingon}", @"\p{Klingon} is not supported")]
    [InlineData(@"\pL", @"\p{NAME}")]
    [InlineData("[[:what:]]", "[:what:] is not supported")]
    [InlineData("[z-a]", "range")]
    [InlineData("(?x)a b", "'(?x' is not supported")]
    [InlineData("(?<=a+)b", "no fixed length")]
    [InlineData("(a*)*", "can be empty")]
    [InlineData("a{5000}", "1000 repeats")]
    [InlineData("((ab){1000}){1000}", "20000 steps")]
    [InlineData(@"\x{110000}", "hexadecimal")]
    [InlineData("\\", "ends it")]
    public void Parse_NotSupported_SaysWhatAndWhere(string pattern, string message) =>
        Assert.Contains(message, Assert.Throws<PatternException>(() => RegexPattern.Parse(pattern)).Message, StringComparison.Ordinal);

    [Fact]
    public void Parse_NestedGroups_AreBounded() => Assert.Throws<PatternException>(() => RegexPattern.Parse(new string('(', 1_000)));

    [Fact]
    public void Matches_EndlessBacktracking_IsRefused()
    {
        RegexPattern pattern = RegexPattern.Parse("(?:a|a)+(?:a|a)+b");
        Assert.Contains("backtracks", Assert.Throws<InvalidFileException>(() => Matches(pattern, new string('a', 4000))).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(nameof(SplitBehavior.Removed), "the|final|countdown")]
    [InlineData(nameof(SplitBehavior.Isolated), "the|-|final|-|-|countdown")]
    [InlineData(nameof(SplitBehavior.MergedWithPrevious), "the-|final-|-|countdown")]
    [InlineData(nameof(SplitBehavior.MergedWithNext), "the|-final|-|-countdown")]
    [InlineData(nameof(SplitBehavior.Contiguous), "the|-|final|--|countdown")]
    public void Split_Behavior_IsTheLibrarys(string behavior, string pieces) =>
        Assert.Equal(pieces, SplitPieces.Of(new SplitPreTokenizer(new LiteralPattern("-"), Enum.Parse<SplitBehavior>(behavior)), "the-final--countdown"));

    private static string Matches(TextPattern pattern, string text)
    {
        List<string> matches = [];
        PatternSearch search = pattern.Start(text);
        while (search.Next(text, out int start, out int end))
            matches.Add(text[start..end]);
        return string.Join('|', matches);
    }
}
