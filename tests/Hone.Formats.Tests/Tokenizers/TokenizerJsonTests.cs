using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Hone.Formats.Tokenizers;

namespace Hone.Formats.Tests.Tokenizers;

public sealed class TokenizerJsonTests
{
    [Fact]
    public void Read_ByteLevel_EncodesAndDecodes()
    {
        Tokenizer tokenizer = SmallTokenizerJson.Read(SmallTokenizerJson.Bytes());
        TokenizedText encoded = tokenizer.Encode("ab ab<s>é<x>c", addSpecialTokens: true);
        Assert.Equal([8, 4, 5, 8, 6, 7, 9, 2], encoded.Ids);
        Assert.Equal([(0, 0), (0, 2), (2, 5), (5, 8), (8, 9), (8, 9), (9, 12), (12, 13)], encoded.Offsets);
        Assert.Equal("<s>ab ab<s>é<x>c", tokenizer.Decode(encoded.Ids));
        Assert.Equal("ab abé<x>c", tokenizer.Decode(encoded.Ids, skipSpecialTokens: true));
        Assert.Equal(10, tokenizer.VocabularySize);
        Assert.Equal(5, tokenizer.TokenId("Ġab"));
        // Not in the vocabulary: "<", "s" and ">" are dropped as the bytes without a token that they are.
        Assert.Equal([9], tokenizer.Encode("<s><x>", recognizeSpecialTokens: false).Ids);
    }

    /// <summary>As in Command R's file: they say where offsets begin and end in a processor that its template replaces.</summary>
    [Fact]
    public void Read_TemplateWithAByteLevelsFlags_IsTheTemplate()
    {
        JsonObject json = SmallTokenizerJson.Bytes();
        foreach (string flag in new[] { "add_prefix_space", "trim_offsets", "use_regex" })
            json["post_processor"]![flag] = true;
        Assert.Equal([8, 4, 5], SmallTokenizerJson.Read(json).Encode("ab ab", addSpecialTokens: true).Ids);
    }

    [Fact]
    public void Read_Characters_FallsBackToBytes()
    {
        Tokenizer tokenizer = SmallTokenizerJson.Read(SmallTokenizerJson.Characters());
        TokenizedText encoded = tokenizer.Encode("ab é<unk>xya");
        Assert.Equal([8, 3, 1, 2, 0, 3, 0, 4], encoded.Ids);
        Assert.Equal([(0, 2), (2, 3), (3, 4), (3, 4), (4, 9), (9, 9), (9, 11), (11, 12)], encoded.Offsets);
        Assert.Equal("ab é<unk> <unk>a", tokenizer.Decode(encoded.Ids));
        Assert.Equal("ab é a", tokenizer.Decode(encoded.Ids, skipSpecialTokens: true));
        Assert.Equal("\ufffda", tokenizer.Decode([1, 4]));
    }

    [Fact]
    public void Read_Unigram_EncodesAndDecodes()
    {
        Tokenizer tokenizer = SmallTokenizerJson.Read(SmallTokenizerJson.Unigram());
        TokenizedText encoded = tokenizer.Encode("ab  ﬁaba");
        Assert.Equal([4, 1, 1, 0, 2, 5], encoded.Ids); // ﬁ becomes two characters, one unknown token
        Assert.Equal([(0, 2), (2, 3), (3, 4), (4, 5), (5, 6), (6, 8)], encoded.Offsets);
        Assert.Equal("ab  <unk>aba", tokenizer.Decode(encoded.Ids));
    }

    [Theory]
    [InlineData("lstrip", "a <x> b", "a|[ <x>]| |b")]
    [InlineData("rstrip", "a <x> b", "a| |[<x> ]|b")]
    [InlineData("single_word", "a<x> <x> <x>b", "a|<|x|>| |[<x>]| |<|x|>|b")]
    public void Encode_AddedTokenFlags_AreTheLibrarys(string flag, string text, string pieces)
    {
        JsonObject json = SmallTokenizerJson.Characters();
        json["normalizer"] = null;
        json["model"]!["vocab"] = new JsonObject([.. "ab<x> ".Select((c, i) => KeyValuePair.Create(c.ToString(), (JsonNode?)i))]);
        json["model"]!["merges"] = new JsonArray();
        json["model"]!["unk_token"] = null;
        json["added_tokens"] = new JsonArray(Added("<x>", 6));
        json["added_tokens"]![0]![flag] = true;
        TokenizedText encoded = SmallTokenizerJson.Read(json).Encode(text);
        Assert.Equal(pieces, string.Join('|', encoded.Ids.Zip(encoded.Offsets, (id, o) => id == 6 ? $"[{text[o.Start..o.End]}]" : text[o.Start..o.End])));
    }

    [Fact]
    public void Encode_NormalizedAddedToken_IsFoundInTheNormalizedText()
    {
        JsonObject json = SmallTokenizerJson.Bytes();
        json["normalizer"] = new JsonObject { ["type"] = "Lowercase" };
        json["added_tokens"]![1]!["content"] = "<X>";
        Tokenizer tokenizer = SmallTokenizerJson.Read(json);
        Assert.Equal([9, 9, 0], tokenizer.Encode("<X><x>A").Ids);
        Assert.Empty(tokenizer.Encode("<S>").Ids); // is not normalized, so it is not that token
    }

    [Fact]
    public void Encode_SpecialTokenThatMergesMake_StaysText()
    {
        JsonObject json = SmallTokenizerJson.Bytes();
        json["added_tokens"]!.AsArray().Insert(0, Added("ab", 4, special: true));
        Tokenizer tokenizer = SmallTokenizerJson.Read(json);
        Assert.Equal([4], tokenizer.Encode("ab").Ids);
        Assert.Equal([0, 1], tokenizer.Encode("ab", recognizeSpecialTokens: false).Ids);
    }

    [Theory]
    [InlineData("""{"type":"Digits","individual_digits":true}""", "a12𝟏 3", "a|1|2|𝟏| |3")]
    [InlineData("""{"type":"Digits","individual_digits":false}""", "a12𝟏 3", "a|12𝟏| |3")]
    [InlineData("""{"type":"Punctuation","behavior":"Isolated"}""", "a,b!?«c»", "a|,|b|!|?|«|c|»")]
    [InlineData("""{"type":"Punctuation","behavior":"Contiguous"}""", "a,b!?$", "a|,|b|!?$")]
    [InlineData("""{"type":"Whitespace"}""", "Hé, wo_rld!? x", "Hé|,|wo_rld|!?|x")]
    [InlineData("""{"type":"WhitespaceSplit"}""", "Hé, \t wo!\u00a0x", "Hé,|wo!|x")]
    [InlineData("""{"type":"BertPreTokenizer"}""", "Hé, wo!?", "Hé|,|wo|!|?")]
    [InlineData("""{"type":"CharDelimiterSplit","delimiter":"-"}""", "a-b--c", "a|b|c")]
    [InlineData("""{"type":"Metaspace","replacement":"▁","prepend_scheme":"always","split":true}""", "a  b c", "▁a|▁|▁b|▁c")]
    [InlineData("""{"type":"Metaspace","replacement":"▁","prepend_scheme":"never","split":false}""", " a b", "▁a▁b")]
    [InlineData("""{"type":"Metaspace","replacement":"▁","add_prefix_space":false}""", "a b", "a|▁b")]
    [InlineData("""{"type":"Sequence","pretokenizers":[{"type":"WhitespaceSplit"},{"type":"Metaspace","replacement":"▁","prepend_scheme":"first"}]}""", "a b", "▁a|b")]
    [InlineData("""{"type":"Split","pattern":{"Regex":"\\d+"},"behavior":"MergedWithPrevious","invert":false}""", "a12b3", "a12|b3")]
    [InlineData("""{"type":"Split","pattern":{"String":"b"},"behavior":"Removed","invert":true}""", "abbc", "b|b")]
    [InlineData("""{"type":"ByteLevel","add_prefix_space":true,"use_regex":true}""", "Hi é12", "ĠHi|ĠÃ©|12")]
    [InlineData("""{"type":"ByteLevel","add_prefix_space":false,"use_regex":false}""", "Hi é", "HiĠÃ©")]
    public void Read_PreTokenizer_SplitsAsTheLibrary(string json, string text, string pieces)
    {
        List<PreTokenizer> list = [];
        PreTokenizerReader.Read(new JsonFields("test", "pre_tokenizer", JsonElement.Parse(json)), list);
        List<(string Text, TextRange Range)> words = SplitPieces.All([.. list], text);
        Assert.Equal(pieces, string.Join('|', words.Select(w => w.Text)));
        Assert.All(words, word => Assert.True(word.Range.Start >= 0 && word.Range.Start <= word.Range.End && word.Range.End <= text.Length));
    }

    [Theory]
    [InlineData("""{"type":"Metaspace","replacement":"▁","prepend_scheme":"always"}""", new[] { 5, 5, 6 }, "a a b")]
    [InlineData("""{"type":"Metaspace","replacement":"▁","prepend_scheme":"never"}""", new[] { 5, 6 }, " a b")]
    [InlineData("""{"type":"Sequence","decoders":[{"type":"Fuse"},{"type":"Replace","pattern":{"String":"a▁"},"content":"X"}]}""", new[] { 3, 6, 3 }, "Xba")]
    [InlineData("""{"type":"Sequence","decoders":[{"type":"Fuse"},{"type":"Replace","pattern":{"Regex":"▁+"},"content":" "},{"type":"Strip","content":" ","start":1,"stop":1}]}""", new[] { 5, 7, 7, 6, 7 }, "a b")]
    [InlineData("""{"type":"Strip","content":"▁","start":1,"stop":0}""", new[] { 5, 6, 7 }, "ab")]
    [InlineData("""{"type":"ByteFallback"}""", new[] { 3, 1, 2, 1, 3 }, "a\ufffd\ufffd\ufffda")]
    [InlineData("""{"type":"ByteFallback"}""", new[] { 3, 1, 2, 3, 1 }, "aéa\ufffd")]
    [InlineData("null", new[] { 3, 99, 4, 5 }, "a b ▁a")]
    public void Decode_Decoder_GivesTheLibrarysText(string json, int[] ids, string text)
    {
        JsonObject file = SmallTokenizerJson.Characters();
        file["decoder"] = JsonNode.Parse(json);
        file["model"]!["vocab"] = JsonNode.Parse("""{"<unk>":0,"<0xC3>":1,"<0xA9>":2,"a":3,"b":4,"▁a":5,"▁b":6,"▁":7}""");
        file["model"]!["merges"] = new JsonArray();
        Tokenizer tokenizer = SmallTokenizerJson.Read(file);
        Assert.Equal(text, tokenizer.Decode(ids));
        StreamDecoder stream = tokenizer.CreateStream(skipSpecialTokens: false);
        for (int round = 0; round < 2; round++)
        {
            string streamed = string.Concat(ids.Select(stream.Next)) + stream.Flush();
            if (!text.Contains("\ufffd\ufffd", StringComparison.Ordinal)) // which a stream cannot know before
                Assert.Equal(text, streamed);
        }
    }

    public static TheoryData<string, string, string> Unfit => new()
    {
        { "version", "\"2.0\"", "version is \"2.0\"" },
        { "surprise", "1", "surprise is not known" },
        { "model", "null", "model is of kind Null" },
        { "model.type", "\"WordPiece\"", "model.type is \"WordPiece\". Supported are" },
        { "model.type", "7", "model.type is 7" },
        { "model.dropout", "0.1", "model.dropout is 0.1" },
        { "model.unk_token", "\"<u>\"", "model.unk_token is \"<u>\", which the vocabulary does not have" },
        { "model.continuing_subword_prefix", "\"##\"", "model.continuing_subword_prefix is \"##\"" },
        { "model.end_of_word_suffix", "\"</w>\"", "model.end_of_word_suffix is" },
        { "model.byte_fallback", "1", "model.byte_fallback is 1; wanted is true or false" },
        { "model.surprise", "true", "model.surprise is not known" },
        { "model.vocab", "[]", "model.vocab is of kind StartArray" },
        { "model.vocab.a", "-1", "model.vocab[\"a\"] is no token's id" },
        { "model.vocab.a", "3000000000", "model.vocab[\"a\"] is no token's id" },
        { "model.vocab.a", "1", "gives the id 1 to both" },
        { "model.merges", "{}", "model.merges is of kind StartObject" },
        { "model.merges.0", "\"ab\"", "model.merges[0] (\"ab\") is not two tokens" },
        { "model.merges.1", "[\"a\"]", "model.merges[1] is not two tokens" },
        { "model.merges.1", "[\"a\",\"z\"]", "model.merges[1] needs the token \"z\"" },
        { "added_tokens", "{}", "added_tokens is {}" },
        { "added_tokens.1.id", "77", "added_tokens[1].id is 77, but \"<x>\" gets the id 9" },
        { "added_tokens.0.content", "\"\"", "added_tokens[0].content is empty" },
        { "added_tokens.1.content", "\"<s>\"", "added_tokens[1].content (\"<s>\") is that of added_tokens[0]" },
        { "added_tokens.0.special", "null", "added_tokens[0].special is missing" },
        { "added_tokens.0.color", "\"red\"", "added_tokens[0].color (\"red\") is not known" },
        { "normalizer", "{\"type\":\"BertNormalizer\"}", "normalizer.type is \"BertNormalizer\"" },
        { "normalizer", "{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"NFC\"},{\"type\":\"Strip\"}]}", "normalizer.normalizers[1].strip_left is missing" },
        { "normalizer", "{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"(a\"},\"content\":\"\"}", "normalizer.pattern.Regex (\"(a\") cannot be used: at its character 3" },
        { "normalizer", "{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"AAAA\"}", "normalizer.precompiled_charsmap of 3 bytes is no charsmap" },
        { "normalizer", "{\"type\":\"NFC\",\"form\":1}", "normalizer.form (1) is not known" },
        { "pre_tokenizer", "{\"type\":\"UnicodeScripts\"}", "pre_tokenizer.type is \"UnicodeScripts\"" },
        { "pre_tokenizer", "{\"type\":\"Split\",\"pattern\":{\"String\":\" \"},\"behavior\":\"Glued\",\"invert\":false}", "pre_tokenizer.behavior is \"Glued\"" },
        { "pre_tokenizer", "{\"type\":\"Metaspace\",\"replacement\":\"ab\"}", "pre_tokenizer.replacement is \"ab\"; wanted is one character" },
        { "post_processor", "{\"type\":\"Sequence\",\"processors\":[{\"type\":\"Other\"}]}", "post_processor.processors[0].type is \"Other\"" },
        { "post_processor.single", "[]", "post_processor.single has no" },
        { "post_processor.special_tokens", "{}", "post_processor.single[0].SpecialToken.id is \"<s>\"" },
        { "post_processor.special_tokens.<s>.ids", "[99]", "post_processor.special_tokens.<s>.ids[0] is 99" },
        { "decoder", "{\"type\":\"WordPiece\"}", "decoder.type is \"WordPiece\"" },
        { "decoder", "[]", "decoder is []; wanted is an object" },
    };

    [Theory]
    [MemberData(nameof(Unfit))]
    public void Read_UnfitValue_IsRefusedWithItsPlace(string place, string value, string message)
    {
        JsonObject json = SmallTokenizerJson.Bytes();
        string[] path = place.Split('.');
        JsonNode node = json;
        foreach (string part in path[..^1])
            node = int.TryParse(part, out int i) ? node[i]! : node[part]!;
        if (int.TryParse(path[^1], out int index))
            node[index] = JsonNode.Parse(value);
        else
            node[path[^1]] = JsonNode.Parse(value);
        var exception = Assert.Throws<InvalidFileException>(() => SmallTokenizerJson.Read(json));
        Assert.StartsWith("tokenizer.json: ", exception.Message, StringComparison.Ordinal);
        Assert.Contains(message, exception.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("", "the JSON is broken in line 1")]
    [InlineData("{\"version\":\"1.0\",\n \"model\": ]}", "the JSON is broken in line 2")]
    [InlineData("{\"version\":\"1.0\"}", "model is missing")]
    [InlineData("{\"version\":\"1.0\"} x", "the JSON is broken")]
    [InlineData("{\"model\":{},\"model\":{}}", "model stands there twice")]
    [InlineData("{\"model\":{\"type\":\"BPE\",\"vocab\":{\"\\ud800\":0},\"merges\":[]}}", "no valid Unicode")]
    [InlineData("[]", "the file is of kind StartArray")]
    public void Read_BrokenJson_SaysWhere(string json, string message) =>
        Assert.Contains(message, Assert.Throws<InvalidFileException>(() => Tokenizer.FromTokenizerJson(Encoding.UTF8.GetBytes(json), "tokenizer.json")).Message, StringComparison.Ordinal);

    [Fact]
    public void Read_NoModelType_IsToldByItsMembers()
    {
        JsonObject json = SmallTokenizerJson.Bytes();
        json["model"]!.AsObject().Remove("type");
        Assert.Equal([4], SmallTokenizerJson.Read(json).Encode("ab").Ids);
    }

    private static JsonObject Added(string content, int id, bool special = false) => new()
    {
        ["id"] = id,
        ["content"] = content,
        ["single_word"] = false,
        ["lstrip"] = false,
        ["rstrip"] = false,
        ["normalized"] = false,
        ["special"] = special,
    };
}
