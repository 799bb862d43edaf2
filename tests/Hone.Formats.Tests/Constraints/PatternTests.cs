using System.Text.Json;
using System.Text.RegularExpressions;
using Hone.Formats.Constraints;

namespace Hone.Formats.Tests.Constraints;

/// <summary>Patterns as automata find what .NET's engine finds, in texts made to be near a match.</summary>
public sealed class PatternTests
{
    [Theory]
    [InlineData("^[a-c]+$", "abcd")]
    [InlineData("a|bc*|^$", "abc")]
    [InlineData("^(ab|a)(bc|c)?$", "abc")]
    [InlineData("(a{2,3}b){2}", "ab")]
    [InlineData("^.{3}$|^b", "ab\n")]
    [InlineData("[^ab]c", "abcd")]
    [InlineData("^(?:a+?b)*c$", "abc")]
    [InlineData("^(?<x>a|b)c", "abc")]
    [InlineData("\\d[\\w-]\\S", "1a- ")]
    [InlineData("^\\x61\\u0062\\t?$", "ab\t")]
    [InlineData("a{,2", "a{,2")]
    [InlineData("(^|b)a($|c)", "abc")]
    [InlineData("[\\]\\-a]b?", "]-ab")]
    [InlineData("^((a|b)(a|b)){0,2}$", "ab")]
    public void Matching_RandomTexts_AgreesWithTheRuntimesEngine(string pattern, string alphabet)
    {
        TextAutomaton automaton = TextAutomaton.Matching(pattern, "$");
        var engine = new Regex(pattern.Replace("$", "\\z", StringComparison.Ordinal), RegexOptions.CultureInvariant, TimeSpan.FromSeconds(5));
        var random = new Random(1);
        (int taken, int refused) = (0, 0);
        for (int i = 0; i < 20_000; i++)
        {
            string text = new([.. Enumerable.Range(0, random.Next(8)).Select(_ => alphabet[random.Next(alphabet.Length)])]);
            bool expected = engine.IsMatch(text);
            Assert.True(expected == automaton.Takes(text), $"{pattern} on {JsonSerializer.Serialize(text)}: the engine says {expected}");
            _ = expected ? taken++ : refused++;
        }
        Assert.True(taken > 5 && (refused > 5 || pattern.StartsWith('a')), $"{taken} taken, {refused} refused");
    }

    [Fact]
    public void Of_RandomBounds_TakesExactlyTheNumbersWithin()
    {
        var random = new Random(5);
        for (int i = 0; i < 60; i++)
        {
            decimal low = random.Next(-3000, 3000) / (decimal)(1 << random.Next(4)), high = low + random.Next(0, 4000) / (decimal)(1 << random.Next(4));
            (Bound least, Bound most) = (new Bound(low, random.Next(2) == 0), new Bound(high, random.Next(2) == 0));
            bool integers = random.Next(2) == 0;
            TextAutomaton automaton = NumberAutomaton.Of(integers, least, most, "$");
            for (int k = 0; k < 400; k++)
            {
                decimal value = random.Next(4) switch { 0 => low, 1 => high, 2 => Math.Round(low, 0), _ => low + random.Next(-800, 4800) / 8m };
                if (integers)
                    value = Math.Truncate(value);
                bool within = value >= low && value <= high && !(least.Exclusive && value == low) && !(most.Exclusive && value == high);
                string text = value.ToString("0.##########", System.Globalization.CultureInfo.InvariantCulture);
                Assert.True(within == automaton.Takes(text), $"{text} in {least} to {most}: {within}");
            }
        }
    }
}
