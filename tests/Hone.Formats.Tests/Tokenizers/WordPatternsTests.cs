using System.Globalization;
using System.Text;
using Hone.Formats.Tokenizers;

namespace Hone.Formats.Tests.Tokenizers;

public sealed class WordPatternsTests
{
    [Theory]
    [InlineData("I'm  you'RE they've''s", "I|'m| | you|'|RE| they|'ve|''|s")]
    [InlineData("a\n b \t\n  c", "a|\n| b| \t\n | c")]
    [InlineData("x   ", "x|   ")]
    [InlineData("\n\nword", "\n|\n|word")]
    [InlineData("a\u0085\u00a0b\u001c\u180e\u200b\ufeff", "a|\u0085|\u00a0|b|\u001c\u180e\u200b\ufeff")]
    [InlineData("𝐇𝐢 𝟏𝟐½Ⅷ!?𠮷", "𝐇𝐢| 𝟏𝟐½Ⅷ|!?|𠮷")]
    [InlineData("नमस्ते", "नमस|्|त|े")]
    [InlineData(" 's", " '|s")]
    public void Gpt2_Text_SplitsAsThePattern(string text, string pieces) => Assert.Equal(pieces, Split(text, WordPatterns.Gpt2));

    [Theory]
    [InlineData("I'm  you'RE x'ſ they'Ve", "I|'m| | you|'RE| x|'ſ| they|'Ve")]
    [InlineData("1234567 ½Ⅷ𝟏𝟐", "123|456|7| |½Ⅷ𝟏|𝟐")]
    [InlineData("(word) .word\tword\nword", "(word|)| .|word|\tword|\n|word")]
    [InlineData("x;\r\n\n  y  \n \n  z", "x|;\r\n\n| | y|  \n \n| | z")]
    [InlineData("   ", "   ")]
    [InlineData("  !\n", " | !\n")]
    [InlineData("\u00a0a \u00a0!", "\u00a0a| |\u00a0|!")]
    [InlineData("😀a😀😀𝐇", "😀a|😀😀|𝐇")]
    [InlineData("\n a\ra", "\n| a|\r|a")]
    public void Llama3_Text_SplitsAsThePattern(string text, string pieces) => Assert.Equal(pieces, Split(text, WordPatterns.Llama3));

    [Theory]
    [InlineData("a12 3b", "a|1|2| |3|b")]
    [InlineData("𝟏𝟐½Ⅷx", "𝟏|𝟐|½|Ⅷ|x")]
    [InlineData("\U00011DE0\U00011DE9\U00016FF4\U00016FF6\U00011DEA\U00016FF7", "\U00011DE0|\U00011DE9|\U00016FF4|\U00016FF6|\U00011DEA\U00016FF7")]
    public void IndividualDigits_Text_IsolatesEveryNumber(string text, string pieces) => Assert.Equal(pieces, Split(text, WordPatterns.IndividualDigits));

    [Fact]
    public void IndividualDigits_AllCodePoints_TakesTheNumbersOfUnicode17()
    {
        int numbers = AllRunes().Count(rune => WordPatterns.IndividualDigits($"{rune}x") == rune.Utf16SequenceLength);
        Assert.Equal(1924, numbers);
        Assert.Equal(1911, AllRunes().Count(rune => Rune.GetUnicodeCategory(rune)
            is UnicodeCategory.DecimalDigitNumber or UnicodeCategory.LetterNumber or UnicodeCategory.OtherNumber));
    }

    private static IEnumerable<Rune> AllRunes() => Enumerable.Range(0, 0x110000).Where(Rune.IsValid).Select(value => new Rune(value));

    private static string Split(string text, WordPattern pattern)
    {
        List<string> pieces = [];
        for (int length; text.Length > 0; text = text[length..])
        {
            length = pattern(text);
            pieces.Add(text[..length]);
        }
        return string.Join('|', pieces);
    }
}
