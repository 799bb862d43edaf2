using System.Globalization;
using System.Text;
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
    [InlineData("^(^ab$|^b$)$", "ab")]
    [InlineData("^^a$$", "a")]
    [InlineData("^(?:^a|^b)c$", "abc")]
    [InlineData("(?:^|a)^b?($|c)$", "abc")]
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
            TextAutomaton automaton = NumberAutomaton.Of(integers, least, most);
            for (int k = 0; k < 400; k++)
            {
                decimal value = random.Next(4) switch { 0 => low, 1 => high, 2 => Math.Round(low, 0), _ => low + random.Next(-800, 4800) / 8m };
                if (integers)
                    value = Math.Truncate(value);
                bool within = value >= low && value <= high && !(least.Exclusive && value == low) && !(most.Exclusive && value == high);
                string text = value.ToString("0.##########", CultureInfo.InvariantCulture);
                Assert.True(within == automaton.Takes(text), $"{text} in {least} to {most}: {within}");
            }
        }
    }

    [Theory]
    [InlineData("0", "10000000")]
    [InlineData("0", "1e9")]
    [InlineData("0", "1e15")]
    [InlineData("0", "123456789.5")]
    [InlineData("0", "0.3000000000000000001")]
    [InlineData("0", "9007199254740990.5")]
    [InlineData("9007199254740992", "1e20")]
    [InlineData("10000000", "10000000.5")]
    [InlineData("1e15", "2e15")]
    [InlineData("-1e20", "0")]
    [InlineData("-1", "0")]
    [InlineData("-0.0000000000000000001", "1e-9")]
    public void Of_ExclusiveLimits_NoTextIsReadAsALimit(string low, string high)
    {
        decimal least = decimal.Parse(low, NumberStyles.Float, CultureInfo.InvariantCulture), most = decimal.Parse(high, NumberStyles.Float, CultureInfo.InvariantCulture);
        var random = new Random(3);
        foreach (bool integersOnly in (ReadOnlySpan<bool>)[false, true])
        {
            TextAutomaton automaton = NumberAutomaton.Of(integersOnly, new Bound(least, true), new Bound(most, true));
            for (int i = 0; i < 3000 && !automaton.IsEmpty; i++)
            {
                string text = Drawn(automaton, random);
                decimal value = decimal.Parse(text, CultureInfo.InvariantCulture);
                double read = double.Parse(text, CultureInfo.InvariantCulture);
                Assert.True(value > least && value < most && read > (double)least && read < (double)most, $"{text} in {low} to {high}");
            }
        }
    }

    [Fact]
    public void Written_EveryFormat_IsTaken()
    {
        var random = new Random(4);
        foreach (string format in StringFormats.Names)
        {
            (TextAutomaton written, TextAutomaton taken) = (TextAutomaton.Matching(StringFormats.Written(format), "$"), TextAutomaton.Matching(StringFormats.Taken(format), "$"));
            for (int i = 0; i < 2000; i++)
            {
                string text = Drawn(written, random);
                Assert.True(taken.Takes(text), $"{format} {text}");
            }
        }
    }

    /// <summary>A text that an automaton takes; its steps are the outermost ones more often than not.</summary>
    private static string Drawn(TextAutomaton automaton, Random random)
    {
        var text = new StringBuilder();
        for (int state = 0; ;)
        {
            ReadOnlySpan<Edge> edges = automaton.EdgesOf(state);
            if (automaton.IsEnd(state) && (edges.IsEmpty || random.Next(20) == 0))
                return text.ToString();
            Edge edge = edges[random.Next(3) switch { 0 => 0, 1 => edges.Length - 1, _ => random.Next(edges.Length) }];
            text.Append((char)(random.Next(2) == 0 ? edge.High : edge.Low));
            state = edge.Target;
        }
    }
}
