using Hone.Formats.Inference;
using Hone.Formats.Models;
using Hone.Training.Generation;

namespace Hone.Training.Tests.Generation;

/// <summary>What the engine does with that which rows teach.</summary>
public sealed class SilentFailureTests
{
    /// <summary>The files name one end, the chat template ends answers with another: both stop.</summary>
    [Theory]
    [InlineData(3, true)]
    [InlineData(2, true)]
    [InlineData(1, false)]
    public void T2_TemplatesEndOfTurn_StopsGeneration(int token, bool stops)
    {
        DirectoryInfo folder = Directory.CreateTempSubdirectory("hone-stop-");
        try
        {
            string source = Path.GetDirectoryName(Reference.Files("models/qwen2/reference.safetensors").First())!;
            foreach (string name in new[] { "config.json", "model.safetensors" })
                File.Copy(Path.Combine(source, name), Path.Combine(folder.FullName, name));
            File.WriteAllText(Path.Combine(folder.FullName, "tokenizer.json"), """
                {"version":"1.0","truncation":null,"padding":null,
                 "added_tokens":[
                   {"id":1,"content":"<|im_start|>","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true},
                   {"id":2,"content":"<|endoftext|>","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true},
                   {"id":3,"content":"<|im_end|>","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true}],
                 "normalizer":null,"pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":true},
                 "post_processor":null,"decoder":{"type":"ByteLevel","add_prefix_space":true,"trim_offsets":true,"use_regex":true},
                 "model":{"type":"BPE","dropout":null,"unk_token":null,"continuing_subword_prefix":null,"end_of_word_suffix":null,"fuse_unk":false,"byte_fallback":false,"ignore_merges":false,
                  "vocab":{"a":0,"<|im_start|>":1,"<|endoftext|>":2,"<|im_end|>":3},"merges":[]}}
                """);
            File.WriteAllText(Path.Combine(folder.FullName, "tokenizer_config.json"), """
                {"eos_token":"<|endoftext|>","chat_template":"{% for m in messages %}<|im_start|>{{ m.content }}<|im_end|>{% endfor %}"}
                """);
            using BaseModel model = BaseModel.Open(folder.FullName);
            Assert.Equal([2], model.NamedStopTokens);
            Assert.Equal([2, 3], model.StopTokens);
            var request = new GenerateRequest { Prompt = "a", MaxTokens = 8, Temperature = 0 };
            using var stream = new GenerationStream(model, request, [0], null, TestContext.Current.CancellationToken);
            var logits = new float[model.Config.VocabularySize];
            logits[token] = 1;

            stream.Advance(logits);

            Assert.Equal(stops, stream.Finished);
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }
}
