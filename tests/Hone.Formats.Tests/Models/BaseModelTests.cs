using System.Diagnostics;
using System.Text;
using System.Text.Json.Nodes;
using Hone.Formats.Gguf;
using Hone.Formats.Models;
using Hone.Formats.Tests.Gguf;
using Hone.Formats.Tests.Tokenizers;

namespace Hone.Formats.Tests.Models;

public sealed class BaseModelTests
{
    [Fact]
    public void Open_EmbeddedBase_HasConfigNamesAndShapes()
    {
        using BaseModel model = BaseModel.Open(References.EmbeddedBase);
        Assert.Equal(
            new ModelConfig
            {
                Architecture = "llama",
                Layers = 30,
                HiddenSize = 576,
                Heads = 9,
                KeyValueHeads = 3,
                HeadDim = 64,
                IntermediateSize = 1536,
                VocabularySize = 49152,
                RopeTheta = 100_000,
                NormEpsilon = 1e-5,
                ContextLength = 8192,
                TiedEmbeddings = true,
            },
            model.Config);
        Assert.Equal("Q4_1", model.Quantization);
        Assert.Equal(134_515_008, model.Parameters); // as Transformers counts
        Assert.Equal("<|im_start|>", model.BosToken);
        Assert.Equal("<|im_end|>", model.EosToken);
        Assert.Equal([2], model.StopTokens);
        Assert.Equal("Hi\tthere", model.Tokenizer.Decode(model.Tokenizer.Encode("Hi\tthere").Ids));
        Assert.StartsWith("{% for message in messages %}", model.ChatTemplate!.Source, StringComparison.Ordinal);
        Assert.Equal(272, model.Tensors.Count);
        Assert.Equal(210, model.LinearModules.Count);
        Assert.Contains(new LinearModule("model.layers.29.self_attn.k_proj", 576, 192), model.LinearModules);
        Assert.Contains(new LinearModule("model.layers.0.mlp.down_proj", 1536, 576), model.LinearModules);
    }

    [Theory]
    [InlineData("{{ message['content'] }}<|im_end|>\n", new[] { 0, 2 })] // a turn ends with another token than a document
    [InlineData("{{ message['content'] }}\n<|im_end|>", new[] { 0, 2 })]
    [InlineData("{{ message['content'] + eos_token }}", new[] { 0 })]
    [InlineData("{{ message['content'] }}\n", new[] { 0 })]
    [InlineData("{{ raise_exception('no') }}", new[] { 0 })]
    public void StopTokens_HoldTheTemplatesEndOfTurn(string turn, int[] expected)
    {
        using var folder = new TemporaryFolder();
        byte[] file = GgufBuilder.TinyLlama().Set("tokenizer.ggml.eos_token_id", 0u).Set("tokenizer.chat_template", "{% for message in messages %}<|im_start|>" + turn + "{% endfor %}").Build();
        using BaseModel model = BaseModel.Open(folder.Write("model.gguf", file));
        Assert.Equal(expected, model.StopTokens);
    }

    [Fact]
    public void Open_MalformedTemplate_IsRefusedWithItsLine()
    {
        using var folder = new TemporaryFolder();
        string path = folder.Write("model.gguf", GgufBuilder.TinyLlama().Set("tokenizer.chat_template", "{% for m in messages %}\n{{ m.content").Build());
        InvalidFileException e = Assert.Throws<InvalidFileException>(() => BaseModel.Open(path));
        Assert.Contains("'tokenizer.chat_template' cannot be used: Chat template, line 2", e.Message, StringComparison.Ordinal);
        using BaseModel without = BaseModel.Open(folder.Write("model.gguf", GgufBuilder.TinyLlama().Without("tokenizer.chat_template").Build()));
        Assert.Null(without.ChatTemplate);
    }

    [Fact]
    public void Open_Folder_HasTokenizerTemplateAndStopTokens()
    {
        using var folder = new TemporaryFolder();
        string source = Path.Combine(References.Own("models"), "qwen2");
        foreach (string name in new[] { "config.json", "model.safetensors" })
            File.Copy(Path.Combine(source, name), folder.File(name));
        Assert.Contains("there is no tokenizer.json", Assert.Throws<InvalidFileException>(() => BaseModel.Open(folder.Path)).Message, StringComparison.Ordinal);

        folder.Write("tokenizer.json", """
            {"version":"1.0","truncation":null,"padding":null,
             "added_tokens":[
               {"id":0,"content":"<|endoftext|>","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true},
               {"id":1,"content":"<|im_start|>","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true},
               {"id":2,"content":"<|im_end|>","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true},
               {"id":5,"content":"<|stop|>","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true}],
             "normalizer":null,"pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":true},
             "post_processor":null,"decoder":{"type":"ByteLevel","add_prefix_space":true,"trim_offsets":true,"use_regex":true},
             "model":{"type":"BPE","dropout":null,"unk_token":null,"continuing_subword_prefix":null,"end_of_word_suffix":null,"fuse_unk":false,"byte_fallback":false,"ignore_merges":false,
              "vocab":{"<|endoftext|>":0,"<|im_start|>":1,"<|im_end|>":2,"a":3,"b":4},"merges":[]}}
            """u8);
        folder.Write("tokenizer_config.json", """
            {"bos_token":{"__type":"AddedToken","content":"<|im_start|>"},"eos_token":"<|endoftext|>",
             "chat_template":[{"name":"tool_use","template":"{{ tools }}"},{"name":"default","template":"{% for m in messages %}{{ m['content'] + '<|im_end|>' }}{% endfor %}"}]}
            """u8);
        folder.Write("generation_config.json", """{"eos_token_id":[5,0]}"""u8);
        using (BaseModel model = BaseModel.Open(folder.Path))
        {
            Assert.Equal([3, 4], model.Tokenizer.Encode("ab").Ids);
            Assert.Equal("<|im_start|>", model.BosToken);
            Assert.Equal("<|endoftext|>", model.EosToken);
            Assert.Equal([5, 0, 2], model.StopTokens);
            Assert.Equal("F32", model.Quantization);
            Assert.Contains("messages", model.ChatTemplate!.Source, StringComparison.Ordinal);
        }
        folder.Write("chat_template.jinja", "{% for m in messages %}{{ m['content'] }}{% endfor %}"u8);
        using (BaseModel model = BaseModel.Open(folder.Path))
            Assert.Equal([5, 0, 2], model.StopTokens.Append(2).Distinct());
        folder.Write("generation_config.json", """{"eos_token_id":[151645]}"""u8);
        Assert.Contains("$.eos_token_id holds 151645", Assert.Throws<InvalidFileException>(() => BaseModel.Open(folder.Path)).Message, StringComparison.Ordinal);
    }

    /// <summary>Gemma 3 1B and 270M: 262,144 embeddings, and the token of images behind them.</summary>
    [Fact]
    public void Bug_ModelWithATokenThatHasNoEmbedding_WasRefused()
    {
        using var folder = new TemporaryFolder();
        string source = Path.Combine(References.Own("models"), "qwen2");
        foreach (string name in new[] { "config.json", "model.safetensors" })
            File.Copy(Path.Combine(source, name), folder.File(name));
        JsonObject tokenizer = SmallTokenizerJson.Bytes();
        string[] texts = [.. "<image>".Select(c => c.ToString()).Distinct()], vocabulary = [.. texts, .. Enumerable.Range(0, 160 - texts.Length).Select(i => $"unused{i}")];
        tokenizer["model"]!["vocab"] = new JsonObject(vocabulary.Select((t, i) => KeyValuePair.Create<string, JsonNode?>(t, i)));
        tokenizer["model"]!["merges"] = new JsonArray();
        tokenizer["post_processor"] = null;
        JsonNode image = tokenizer["added_tokens"]![0]!.DeepClone();
        (image["id"], image["content"]) = (160, "<image>");
        tokenizer["added_tokens"] = new JsonArray(image);
        folder.Write("tokenizer.json", Encoding.UTF8.GetBytes(tokenizer.ToJsonString()));
        folder.Write("tokenizer_config.json", """{"chat_template":"{% for m in messages %}{{ m.content }}{% endfor %}"}"""u8);
        using (BaseModel model = BaseModel.Open(folder.Path))
        {
            Assert.Equal(["<image>"], model.Tokenizer.WithoutEmbedding);
            Assert.Equal("<image>".Select(c => Array.IndexOf(texts, c.ToString())), model.Tokenizer.Encode("<image>").Ids);
            Assert.Equal(160, model.Tokenizer.VocabularySize);
        }
        folder.Write("tokenizer_config.json", """{"chat_template":"{% for m in messages %}<image>{{ m.content }}{% endfor %}"}"""u8);
        Assert.Contains("the chat template writes '<image>', a token of tokenizer.json that the model has no embedding for", Refused(), StringComparison.Ordinal);

        tokenizer["model"]!["vocab"]!["unused"] = 160;
        image["id"] = 161;
        folder.Write("tokenizer.json", Encoding.UTF8.GetBytes(tokenizer.ToJsonString()));
        Assert.Contains("the tokenizer has 161 tokens, but the model has embeddings for 160", Refused(), StringComparison.Ordinal);

        string Refused() => Assert.Throws<InvalidFileException>(() => BaseModel.Open(folder.Path)).Message;
    }

    [Fact]
    public void ReadFloat32_QueryRows_ComeInHuggingFaceOrder()
    {
        using BaseModel model = BaseModel.Open(References.EmbeddedBase);
        using GgufFile file = GgufFile.Open(References.EmbeddedBase);
        foreach ((string name, string stored, int heads) in new[] { ("q", "q", 9), ("k", "k", 3) })
        {
            var expected = new float[heads * 64 * 576];
            var values = new float[expected.Length];
            file.ReadFloat32($"blk.3.attn_{stored}.weight", values);
            for (int head = 0; head < heads; head++)
            {
                for (int pair = 0; pair < 32; pair++)
                {
                    for (int part = 0; part < 2; part++)
                        values.AsSpan((head * 64 + pair * 2 + part) * 576, 576).CopyTo(expected.AsSpan((head * 64 + part * 32 + pair) * 576));
                }
            }
            model.ReadFloat32($"model.layers.3.self_attn.{name}_proj.weight", values);
            Assert.Equal(expected, values);
        }
    }

    [Fact]
    [Trait("Category", "Slow")]
    public void ReadFloat32_WholeModel_IsFiniteAndFast()
    {
        using BaseModel model = BaseModel.Open(References.EmbeddedBase);
        var buffers = model.Tensors.Select(t => (t.Name, Values: new float[t.Shape.Aggregate(1L, (a, b) => a * b)])).ToList();
        var best = TimeSpan.MaxValue;
        for (int run = 0; run < 3; run++)
        {
            long start = Stopwatch.GetTimestamp();
            foreach ((string name, float[] values) in buffers)
                model.ReadFloat32(name, values);
            TimeSpan elapsed = Stopwatch.GetElapsedTime(start);
            best = elapsed < best ? elapsed : best;
        }
        TestContext.Current.TestOutputHelper!.WriteLine($"whole model: {best.TotalMilliseconds:0} ms");
        Assert.All(buffers, b => Assert.True(Array.TrueForAll(b.Values, float.IsFinite), b.Name));
        Assert.True(best < TimeSpan.FromSeconds(3), $"{best.TotalSeconds:0.00} s"); // 0.1 s where the machine is quiet
    }
}
