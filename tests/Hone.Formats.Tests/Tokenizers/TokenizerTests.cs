using Hone.Formats.Tokenizers;

namespace Hone.Formats.Tests.Tokenizers;

public sealed class TokenizerTests
{
    private static readonly Tokenizer Tokenizer = SmolLm2.Tokenizer;

    [Fact]
    public void Encode_WordsAndSpecialTokens_GivesTheirRanges()
    {
        const string Text = "<|im_start|>user\nHi 42<|im_end|>";
        TokenizedText encoded = Tokenizer.Encode(Text);
        Assert.Equal(["<|im_start|>", "user", "\n", "Hi", " ", "4", "2", "<|im_end|>"], encoded.Offsets.Select(o => Text[o.Start..o.End]));
        Assert.Equal(["<|im_start|>", "user", "Ċ", "Hi", "Ġ", "4", "2", "<|im_end|>"], encoded.Ids.Select(Tokenizer.TokenText));
    }

    [Fact]
    public void Encode_CharacterOfSeveralTokens_GivesEachTheWholeCharacter()
    {
        TokenizedText encoded = Tokenizer.Encode("a𒀀b");
        Assert.Equal([(0, 1), (1, 3), (1, 3), (1, 3), (1, 3), (3, 4)], encoded.Offsets);
    }

    [Fact]
    public void Encode_ByteWithoutToken_DropsItAndItsNeighboursMerge()
    {
        // The vocabulary has no token for 0x04: "t" and "he" touch.
        TokenizedText encoded = Tokenizer.Encode("\u0004 t\u0004");
        Assert.Equal([SmolLm2.Id("Ġt")], encoded.Ids);
        Assert.Equal([(1, 3)], encoded.Offsets);
        Assert.Empty(Tokenizer.Encode("\u0004").Ids);
    }

    [Fact]
    public void Encode_SpecialTokensNotRecognized_GivesPlainText()
    {
        const string Text = "Hi<|im_end|>\n<|im_start|>system";
        TokenizedText plain = Tokenizer.Encode(Text, recognizeSpecialTokens: false);
        Assert.DoesNotContain(plain.Ids, Tokenizer.IsSpecial);
        Assert.Equal(Text, Tokenizer.Decode(plain.Ids, skipSpecialTokens: true));
        Assert.Equal(2, Tokenizer.Encode(Text).Ids.Count(Tokenizer.IsSpecial));
    }

    [Theory]
    [InlineData("\ud800")]
    [InlineData("\udc00\ud800")]
    [InlineData("a\ud83d")]
    [InlineData("\ude00b")]
    [InlineData("x \ud800<|im_end|>\udfff\ud800\udc00")]
    public void Encode_LoneSurrogate_CountsAsReplacementCharacter(string text)
    {
        TokenizedText encoded = Tokenizer.Encode(text);
        string valid = new([.. text.Index().Select(c => char.IsSurrogate(c.Item) && !IsPaired(text, c.Index) ? '\ufffd' : c.Item)]);
        Assert.Equal(Tokenizer.Encode(valid).Ids, encoded.Ids);
        Assert.Equal(Tokenizer.Encode(valid).Offsets, encoded.Offsets);

        static bool IsPaired(string text, int at) =>
            (at + 1 < text.Length && char.IsSurrogatePair(text, at)) || (at > 0 && char.IsSurrogatePair(text, at - 1));
    }

    [Fact]
    public void Encode_RandomText_DecodesToItself()
    {
        var random = new Random(1);
        for (int round = 0; round < 3000; round++)
        {
            string text = RandomText.Make(random);
            TokenizedText encoded = Tokenizer.Encode(text);
            Assert.Equal(text, Tokenizer.Decode(encoded.Ids));
            AssertOffsetsCover(text, encoded);
            Assert.Equal(text, Tokenizer.Decode(Tokenizer.Encode(text, recognizeSpecialTokens: false).Ids));
        }
    }

    [Fact]
    public void Encode_ManyThreads_GivesTheSame()
    {
        string[] texts = [.. Enumerable.Range(0, 64).Select(i => RandomText.Make(new Random(i)))];
        int[][] alone = [.. texts.Select(t => Tokenizer.Encode(t).Ids)];
        Parallel.For(0, 4096, i => Assert.Equal(alone[i % 64], Tokenizer.Encode(texts[i % 64]).Ids));
    }

    [Fact]
    public void Next_RandomIds_GivesTheDecodedTextInPieces()
    {
        var random = new Random(2);
        for (int round = 0; round < 2000; round++)
        {
            int[] ids = [.. Enumerable.Range(0, random.Next(40)).Select(_ => random.Next(-2, random.Next(2) == 0 ? 300 : Tokenizer.VocabularySize + 2))];
            bool skip = random.Next(2) == 0;
            StreamDecoder stream = Tokenizer.CreateStream(skip);
            string text = string.Concat(ids.Select(stream.Next)) + stream.Flush();
            Assert.Equal(Tokenizer.Decode(ids, skip), text);
            Assert.Equal("", stream.Flush());
        }
    }

    [Fact]
    public void TokenId_VocabularyText_IsInverseOfTokenText()
    {
        Assert.Equal(49152, Tokenizer.VocabularySize);
        for (int id = 0; id < Tokenizer.VocabularySize; id++)
            Assert.Equal(id, Tokenizer.TokenId(Tokenizer.TokenText(id)));
        Assert.Null(Tokenizer.TokenId("no such token"));
        Assert.Throws<ArgumentOutOfRangeException>(() => Tokenizer.TokenText(49152));
        Assert.True(Tokenizer.IsSpecial(SmolLm2.Id("<|im_end|>")));
        Assert.False(Tokenizer.IsSpecial(SmolLm2.Id("Ġthe")));
        Assert.False(Tokenizer.IsSpecial(-1));
    }

    [Theory]
    [InlineData('a')]
    [InlineData(' ')]
    [InlineData('=')]
    [InlineData('é')]
    [Trait("Category", "Slow")]
    public async Task Encode_TenMegabytesOfOneCharacter_TakesLinearTime(char character)
    {
        string text = new(character, 10_000_000);
        // A quadratic merge would take days.
        int[] ids = await Task.Run(() => Tokenizer.Encode(text).Ids, TestContext.Current.CancellationToken).WaitAsync(TimeSpan.FromSeconds(60), TestContext.Current.CancellationToken);
        Assert.Equal(text, Tokenizer.Decode(ids));
    }

    /// <summary>Ranges never step back, stay inside the text, hold whole characters and leave nothing out.</summary>
    private static void AssertOffsetsCover(string text, TokenizedText encoded)
    {
        (int start, int end) = (0, 0);
        foreach ((int nextStart, int nextEnd) in encoded.Offsets)
        {
            Assert.True(nextStart >= start && nextEnd >= end && nextStart <= end && nextStart < nextEnd, $"{(start, end)} then {(nextStart, nextEnd)}");
            Assert.False(char.IsLowSurrogate(text[nextStart]) || char.IsHighSurrogate(text[nextEnd - 1]));
            (start, end) = (nextStart, nextEnd);
        }
        Assert.Equal(text.Length, end);
    }
}
