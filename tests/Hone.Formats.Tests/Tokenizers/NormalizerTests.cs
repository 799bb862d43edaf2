using System.Buffers.Binary;
using System.Text;
using Hone.Formats.Tokenizers;

namespace Hone.Formats.Tests.Tokenizers;

public sealed class NormalizerTests
{
    [Theory]
    [InlineData("e\u0301 A\u030a \u212b", "é Å Å", "e\u0301 A\u030a A\u030a", "é Å Å")]
    [InlineData("ﬁ ① ½ ﾊﾟ", "ﬁ ① ½ ﾊﾟ", "ﬁ ① ½ ﾊﾟ", "fi 1 1\u20442 パ")]
    [InlineData("한국 \u1112\u1161\u11ab", "한국 한", "\u1112\u1161\u11ab\u1100\u116e\u11a8 \u1112\u1161\u11ab", "한국 한")]
    [InlineData("a\u0315\u0300\u05ae\u0062", "\u00e0\u05ae\u0315b", "a\u05ae\u0300\u0315b", "\u00e0\u05ae\u0315b")]
    [InlineData("\u0344 \u0958 \u2126", "\u0308\u0301 \u0915\u093c Ω", "\u0308\u0301 \u0915\u093c Ω", "\u0308\u0301 \u0915\u093c Ω")]
    [InlineData("q\u0307\u0323 ẛ̣", "q\u0323\u0307 ẛ̣", "q\u0323\u0307 \u017f\u0323\u0307", "q\u0323\u0307 ṩ")]
    [InlineData("\u0cc6\u0cc2\u0cd5 𝐀", "\u0ccb 𝐀", "\u0cc6\u0cc2\u0cd5 𝐀", "\u0ccb A")]
    [InlineData("\U0001D15E \U0002F800", "\U0001D157\U0001D165 丽", "\U0001D157\U0001D165 丽", "\U0001D157\U0001D165 丽")]
    public void Normalize_UnicodeForm_IsTheStandards(string text, string composed, string decomposed, string compatible)
    {
        Assert.Equal(composed, Apply(new UnicodeNormalizer(UnicodeForm.Composed), text));
        Assert.Equal(decomposed, Apply(new UnicodeNormalizer(UnicodeForm.Decomposed), text));
        Assert.Equal(compatible, Apply(new UnicodeNormalizer(UnicodeForm.CompatiblyComposed), text));
        Assert.Equal(Apply(new UnicodeNormalizer(UnicodeForm.Decomposed), compatible), Apply(new UnicodeNormalizer(UnicodeForm.CompatiblyDecomposed), text));
    }

    [Fact]
    public void Normalize_EveryCharacter_IsStableAndRoundTrips()
    {
        var composer = new UnicodeNormalizer(UnicodeForm.Composed);
        var decomposer = new UnicodeNormalizer(UnicodeForm.Decomposed);
        foreach (int value in new[] { (0xA0, 0x3400), (0xF900, 0x10000), (0x1D100, 0x1D200), (0x2F800, 0x2FA20) }.SelectMany(range => Enumerable.Range(range.Item1, range.Item2 - range.Item1)))
        {
            string text = new Rune(value).ToString();
            string composed = Apply(composer, text);
            Assert.Equal(composed, Apply(composer, Apply(decomposer, text)));
            Assert.Equal(composed, Apply(composer, composed));
        }
    }

    [Fact]
    public void Normalize_Characters_KeepTheirPlaces()
    {
        AlignedText text = new UnicodeNormalizer(UnicodeForm.CompatiblyComposed).Normalize(new AlignedText("xe\u0301ﬁ한z".AsMemory(), 5));
        Assert.Equal("xéfi한z", text.Text.ToString());
        Assert.Equal(new TextRange[] { new(5, 6), new(6, 8), new(8, 9), new(8, 9), new(9, 10), new(10, 11) }, Enumerable.Range(0, 6).Select(i => text.RangeOf(i, i + 1)));
        Assert.Equal(new TextRange(6, 9), text.RangeOf(1, 3));
    }

    [Fact]
    public void Normalize_OneByOne_IsTheLibrarys()
    {
        Assert.Equal("i\u0307σς ß𐐨é", Apply(new CodePointNormalizer(CodePointNormalizer.Lowercase), "İΣς ß𐐀É"));
        Assert.Equal("cafe ", Apply(new SequenceNormalizer([new UnicodeNormalizer(UnicodeForm.Decomposed), new CodePointNormalizer(CodePointNormalizer.StripAccents)]), "café \u20dd"));
        Assert.Equal("a b  c", Apply(new CodePointNormalizer(CodePointNormalizer.Nmt), "a\u0001\tb\u200b\u2028c\u007f"));
        Assert.Equal("a b \t", Apply(new StripNormalizer(left: true, right: false), "\u00a0 a b \t"));
        Assert.Equal("a b", Apply(new StripNormalizer(left: true, right: true), "\u00a0 a b \t"));
        Assert.Equal("", Apply(new StripNormalizer(left: true, right: true), " \t"));
        Assert.Equal("▁a", Apply(new PrependNormalizer("▁"), "a"));
        Assert.Equal("", Apply(new PrependNormalizer("▁"), ""));
        Assert.Equal("a-b-c", Apply(new ReplaceNormalizer(RegexPattern.Parse(@"\s+"), "-"), "a  b\tc"));
        Assert.Equal("$1$1", Apply(new ReplaceNormalizer(RegexPattern.Parse("(a)"), "$1"), "aa"));
        Assert.Equal("-a-b-", Apply(new ReplaceNormalizer(RegexPattern.Parse(""), "-"), "ab"));
        Assert.Equal("Ã¤Ġ", Apply(new ByteAlphabetNormalizer(), "ä "));
    }

    [Fact]
    public void Normalize_Charsmap_TakesGraphemesThenCharacters()
    {
        PrecompiledNormalizer normalizer = PrecompiledNormalizer.Parse(Charsmap(("ﬁ", "fi"), ("e\u0301", "é"), ("\u00a0", " "), ("\u0301", ""), ("Ⅷ", "VIII")))!;
        AlignedText text = normalizer.Normalize(new AlignedText("ﬁe\u0301\u00a0a\u0301Ⅷ!".AsMemory(), 0));
        Assert.Equal("fié aVIII!", text.Text.ToString());
        Assert.Equal(new TextRange(1, 3), text.RangeOf(2, 3));
        Assert.Equal("plain", Apply(normalizer, "plain"));
    }

    [Fact]
    public void Parse_DamagedCharsmap_IsRefusedOrHarmless()
    {
        byte[] good = Charsmap(("ﬁ", "fi"), ("e\u0301", "é"));
        var random = new Random(4);
        int refused = 0;
        for (int round = 0; round < 2000; round++)
        {
            byte[] bytes = [.. good.Take(random.Next(2) == 0 ? good.Length : random.Next(good.Length))];
            for (int i = 0; i < 3 && bytes.Length > 0; i++)
                bytes[random.Next(bytes.Length)] = (byte)random.Next(256);
            if (PrecompiledNormalizer.Parse(bytes) is { } normalizer)
                Apply(normalizer, "ﬁxe\u0301 \u00e9\ufb02");
            else
                refused++;
        }
        Assert.InRange(refused, 1, 1999);
    }

    private static string Apply(Normalizer normalizer, string text) => normalizer.Normalize(new AlignedText(text.AsMemory(), 0)).Text.ToString();

    /// <summary>A double-array trie built the plain way: every node's children lie at an offset of their own, 256 apart.</summary>
    private static byte[] Charsmap(params (string Key, string Text)[] entries)
    {
        var texts = new MemoryStream();
        var nodes = new List<(Dictionary<byte, int> Children, int Value)> { ([], -1) };
        foreach ((string key, string text) in entries)
        {
            int node = 0;
            foreach (byte value in Encoding.UTF8.GetBytes(key))
            {
                if (!nodes[node].Children.TryGetValue(value, out int child))
                {
                    child = nodes.Count;
                    nodes[node].Children[value] = child;
                    nodes.Add(([], -1));
                }
                node = child;
            }
            nodes[node] = (nodes[node].Children, (int)texts.Length);
            texts.Write(Encoding.UTF8.GetBytes(text + "\0"));
        }
        // The children of node n lie at (n + 1) * 256 ^ label, and its value there without a label.
        var units = new uint[(nodes.Count + 1) * 256];
        var places = new Dictionary<int, int> { [0] = 0 };
        for (int n = 0; n < nodes.Count; n++)
        {
            int place = places[n];
            int children = (n + 1) * 256;
            uint label = n == 0 ? 0 : (uint)(place & 0xFF);
            units[place] = ((uint)(place ^ children) << 10) | (nodes[n].Value >= 0 ? 1u << 8 : 0) | label;
            foreach ((byte value, int child) in nodes[n].Children)
                places[child] = children ^ value;
            if (nodes[n].Value >= 0)
                units[children] = (uint)nodes[n].Value | (1u << 31);
        }
        byte[] bytes = new byte[4 + (units.Length * 4) + texts.Length];
        BinaryPrimitives.WriteInt32LittleEndian(bytes, units.Length * 4);
        for (int i = 0; i < units.Length; i++)
            BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(4 + (i * 4)), units[i]);
        texts.ToArray().CopyTo(bytes, 4 + (units.Length * 4));
        return bytes;
    }
}
