using System.Text;
using Hone.Formats.Gguf;
using Hone.Formats.Tokenizers;

namespace Hone.Formats.Tests.Tokenizers;

public sealed class GgufTokenizerTests : IDisposable
{
    private readonly string _path = Path.Combine(Path.GetTempPath(), $"{Guid.NewGuid():n}.gguf");

    private readonly Dictionary<string, object> _keys = new()
    {
        ["tokenizer.ggml.model"] = "gpt2",
        ["tokenizer.ggml.pre"] = "smollm",
        ["tokenizer.ggml.tokens"] = new[] { "<s>", "a", "b", "ab", "<x>", "</s>", "é" },
        ["tokenizer.ggml.token_type"] = new[] { 3, 1, 1, 1, 4, 3, 4 },
        ["tokenizer.ggml.merges"] = new[] { "a b" },
    };

    [Fact]
    public void Read_SmallVocabulary_Encodes()
    {
        Tokenizer tokenizer = Read();
        Assert.Equal([0, 3, 1, 4, 1], tokenizer.Encode("<s>aba<x>a").Ids);
        Assert.Equal([1, 4, 1], tokenizer.Encode("<s>a<x>a", recognizeSpecialTokens: false).Ids);
        Assert.Equal("ab<x>é", tokenizer.Decode([0, 3, 4, 6], skipSpecialTokens: true));
        Assert.Equal([3], tokenizer.Encode("ab", addSpecialTokens: true).Ids);
    }

    [Fact]
    public void Read_AddBeginningAndEnd_AddsThemWhenAsked()
    {
        _keys["tokenizer.ggml.add_bos_token"] = true;
        _keys["tokenizer.ggml.bos_token_id"] = 0;
        _keys["tokenizer.ggml.add_eos_token"] = true;
        _keys["tokenizer.ggml.eos_token_id"] = 5;
        Tokenizer tokenizer = Read();
        TokenizedText encoded = tokenizer.Encode("ab", addSpecialTokens: true);
        Assert.Equal([0, 3, 5], encoded.Ids);
        Assert.Equal([(0, 0), (0, 2), (2, 2)], encoded.Offsets);
        Assert.Equal([3], tokenizer.Encode("ab").Ids);
    }

    [Theory]
    [InlineData("smollm", new[] { 0, 0, 1 })]
    [InlineData("gpt-2", new[] { 0, 2 })]
    public void Read_PreTokenizer_DecidesWhetherDigitsMerge(string name, int[] ids)
    {
        _keys["tokenizer.ggml.pre"] = name;
        _keys["tokenizer.ggml.tokens"] = new[] { "1", "2", "12" };
        _keys["tokenizer.ggml.merges"] = new[] { "1 2" };
        _keys.Remove("tokenizer.ggml.token_type");
        Assert.Equal(ids, Read().Encode("112").Ids);
    }

    [Fact]
    public void Read_Llama3_TakesWholeWordsAndABeginning()
    {
        _keys["tokenizer.ggml.pre"] = "llama-bpe";
        _keys["tokenizer.ggml.bos_token_id"] = 0;
        _keys["tokenizer.ggml.tokens"] = new[] { "<s>", "a", "b", "aba", "Ġ", "Ã", "©", "Ã©", "bb" };
        _keys["tokenizer.ggml.token_type"] = new[] { 3, 1, 1, 1, 1, 1, 1, 1, 3 };
        _keys["tokenizer.ggml.merges"] = Array.Empty<string>();
        Tokenizer tokenizer = Read();
        // No merge makes "aba" or "é"; as a part of a longer word they are not looked up, and a special token is never a word.
        Assert.Equal([0, 3, 4, 1, 2, 1, 2], tokenizer.Encode("aba abab", addSpecialTokens: true).Ids);
        Assert.Equal([7], tokenizer.Encode("é").Ids);
        Assert.Equal([2, 2], tokenizer.Encode("bb", recognizeSpecialTokens: false).Ids);
    }

    [Fact]
    public void Read_SentencePiece_MergesByScore()
    {
        _keys["tokenizer.ggml.model"] = "llama";
        _keys["tokenizer.ggml.tokens"] = new[] { "<unk>", "<s>", "<0xC3>", "<0xA9>", "▁", "a", "b", "ab", "ba", "▁a", "<x>", "c", "abc", "bc" };
        _keys["tokenizer.ggml.token_type"] = new[] { 2, 3, 6, 6, 1, 1, 1, 1, 1, 1, 4, 1, 1, 1 };
        _keys["tokenizer.ggml.scores"] = new[] { 0f, 0, 0, 0, -9, -9, -9, -2, -1, -3, 0, -9, -4, -5 };
        _keys["tokenizer.ggml.bos_token_id"] = 1;
        Tokenizer tokenizer = Read();
        Assert.Equal([1, 9, 8, 4, 7, 2, 3, 10, 4, 12], tokenizer.Encode("aba abé<x>abc", addSpecialTokens: true).Ids);
        Assert.Equal("aba abé<x> abc", tokenizer.Decode([1, 9, 8, 4, 7, 2, 3, 10, 4, 12], skipSpecialTokens: true));
        // A long word goes another way, where every "ba" but the last "a" merges.
        Assert.Equal([9, .. Enumerable.Repeat(8, 99), 6], tokenizer.Encode(string.Concat(Enumerable.Repeat("ab", 100))).Ids);
        Assert.Equal([4, .. Enumerable.Repeat(12, 100)], tokenizer.Encode(string.Concat(Enumerable.Repeat("abc", 100))).Ids);
        _keys["tokenizer.ggml.add_space_prefix"] = false;
        Assert.Equal([7], Read().Encode("ab").Ids);
    }

    [Theory]
    [InlineData("general.architecture", "phi3")]
    [InlineData("general.name", "Phi-3 Mini 4K Instruct")]
    public void Bug_Phi3sTokens_LeftTheWhiteSpaceBehindThem(string key, string value)
    {
        _keys["tokenizer.ggml.model"] = "llama";
        _keys["tokenizer.ggml.tokens"] = new[] { "<unk>", "<s>", "<0x0A>", "▁", "a", "▁a", "<|user|>", "<|end|>" };
        _keys["tokenizer.ggml.token_type"] = new[] { 2, 3, 6, 1, 1, 1, 3, 4 };
        _keys["tokenizer.ggml.scores"] = new[] { 0f, 0, 0, -9, -9, -3, 0, 0 };
        _keys["tokenizer.ggml.bos_token_id"] = 1;
        const string Text = "<s>\n<|user|>\na<|end|>\n<|user|> a";
        Assert.Equal([1, 3, 2, 6, 3, 2, 4, 7, 3, 2, 6, 3, 5], Read().Encode(Text).Ids);
        _keys[key] = value;
        Assert.Equal([1, 3, 2, 6, 5, 7, 6, 5], Read().Encode(Text).Ids);
    }

    [Theory]
    [InlineData("qwen2", "1e\u0301", new[] { 0, 3 })]
    [InlineData("tekken", "12", new[] { 0, 1 })]
    [InlineData("gpt-4o", "12", new[] { 2 })]
    [InlineData("deepseek-v3", "12", new[] { 2 })]
    public void Read_OtherPreTokenizers_SplitTheirWay(string name, string text, int[] ids)
    {
        _keys["tokenizer.ggml.pre"] = name;
        _keys["tokenizer.ggml.tokens"] = new[] { "1", "2", "12", "Ã©", "Ã", "©" };
        _keys["tokenizer.ggml.merges"] = new[] { "1 2", "Ã ©" };
        _keys.Remove("tokenizer.ggml.token_type");
        Assert.Equal(ids, Read().Encode(text).Ids);
    }

    [Theory]
    [InlineData("tokenizer.ggml.model", "t5", "'tokenizer.ggml.model' is \"t5\"")]
    [InlineData("tokenizer.ggml.pre", "deepseek-llm", "'tokenizer.ggml.pre' is \"deepseek-llm\"")]
    [InlineData("tokenizer.ggml.pre", null, "tokenizer.ggml.pre")]
    [InlineData("tokenizer.ggml.tokens", null, "tokenizer.ggml.tokens")]
    [InlineData("tokenizer.ggml.merges", null, "tokenizer.ggml.merges")]
    [InlineData("tokenizer.ggml.merges", new[] { "a b", "ab" }, "merge 1 (\"ab\")")]
    [InlineData("tokenizer.ggml.merges", new[] { "a b c" }, "merge 0 (\"a b c\")")]
    [InlineData("tokenizer.ggml.merges", new[] { "a z" }, "the token \"z\"")]
    [InlineData("tokenizer.ggml.merges", new[] { "b a" }, "the token \"ba\"")]
    [InlineData("tokenizer.ggml.token_type", new[] { 1, 1 }, "has 2 values for 7 tokens")]
    [InlineData("tokenizer.ggml.add_bos_token", true, "'tokenizer.ggml.bos_token_id' is missing")]
    public void Read_UnfitKey_IsRefusedByName(string key, object? value, string message)
    {
        if (value is null)
            _keys.Remove(key);
        else
            _keys[key] = value;
        var exception = Assert.Throws<InvalidFileException>(Read);
        Assert.Contains(message, exception.Message, StringComparison.Ordinal);
        Assert.Contains(_path, exception.Message, StringComparison.Ordinal);
    }

    public void Dispose() => File.Delete(_path);

    private Tokenizer Read()
    {
        using (var writer = new BinaryWriter(File.Create(_path)))
        {
            writer.Write("GGUF"u8);
            writer.Write(3);
            writer.Write(0L);
            writer.Write((long)_keys.Count);
            foreach ((string key, object value) in _keys)
            {
                WriteString(writer, key);
                WriteValue(writer, value);
            }
        }
        using var file = GgufFile.Open(_path);
        return Tokenizer.FromGguf(file);
    }

    private static void WriteValue(BinaryWriter writer, object value)
    {
        switch (value)
        {
            case int number:
                writer.Write((int)GgufValueType.Int32);
                writer.Write(number);
                break;
            case bool flag:
                writer.Write((int)GgufValueType.Bool);
                writer.Write(flag);
                break;
            case string text:
                writer.Write((int)GgufValueType.String);
                WriteString(writer, text);
                break;
            case int[] numbers:
                WriteArrayHead(writer, GgufValueType.Int32, numbers.Length);
                foreach (int number in numbers)
                    writer.Write(number);
                break;
            case float[] numbers:
                WriteArrayHead(writer, GgufValueType.Float32, numbers.Length);
                foreach (float number in numbers)
                    writer.Write(number);
                break;
            case string[] texts:
                WriteArrayHead(writer, GgufValueType.String, texts.Length);
                foreach (string text in texts)
                    WriteString(writer, text);
                break;
            default:
                throw new ArgumentException($"No GGUF type for {value.GetType()}.", nameof(value));
        }
    }

    private static void WriteArrayHead(BinaryWriter writer, GgufValueType element, long length)
    {
        writer.Write((int)GgufValueType.Array);
        writer.Write((int)element);
        writer.Write(length);
    }

    private static void WriteString(BinaryWriter writer, string text)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(text);
        writer.Write((long)bytes.Length);
        writer.Write(bytes);
    }
}
