using Hone.Formats.Models;
using Hone.Formats.Safetensors;
using Hone.Training.Lora;
using Hone.Training.Model;
using Hone.Training.Training;

namespace Hone.Training.Tests.Model;

/// <summary>A base that stays as its file stores it gives the numbers of one that is widened, bit for bit.</summary>
public sealed class FrozenWeightTests
{
    [Theory]
    [InlineData("llama")]            // F32
    [InlineData("llama-v5-config")]  // F16
    [InlineData("mistral-nemo")]     // BF16
    [InlineData("gemma")]            // tied, embedding scaled
    [InlineData("phi3")]             // fused projections
    [InlineData("qwen2")]            // biases
    [InlineData("mixtral")]          // experts
    [InlineData("qwen3_moe")]
    public void ForwardBackward_AsStored_SameBits(string name)
    {
        using TinyModel widened = TinyModel.Of(name);
        using TinyModel stored = TinyModel.Of(name, BasePrecision.AsStored);
        PackedBatch batch = TinyModel.Batch(5, widened.Config.VocabularySize);
        Assert.Equal(TinyModel.LossAndGradients(widened.Decoder, widened.Adapter(3), batch), TinyModel.LossAndGradients(stored.Decoder, stored.Adapter(3), batch));
    }

    /// <summary>Blocks of a GGUF file, rotary rows in llama.cpp's order, a head that is widened in several blocks; less memory held.</summary>
    [Fact]
    [Trait("Category", "Slow")]
    public void ForwardBackward_EmbeddedBaseAsStored_SameBits()
    {
        using BaseModel model = BaseModel.Open(Reference.EmbeddedBase);
        PackedBatch batch = TinyModel.Batch(3, model.Config.VocabularySize);
        float[][] results = [.. new[] { false, true }.Select(asStored =>
        {
            using Decoder decoder = DecoderLoader.Load(model, asStored);
            var modules = decoder.Projections.SelectMany(p => p.Modules.Select(m => (m.Name, Shape: new LoraModuleShape(p.In, m.Out, 4, 2.0)))).ToDictionary(m => m.Name, m => m.Shape);
            var adapter = new LoraAdapter(decoder.Projections, modules, trainable: true);
            adapter.Initialize(5);
            return TinyModel.LossAndGradients(decoder, adapter, batch);
        })];
        Assert.Equal(results[0], results[1]);
    }

    /// <summary>Embeddings of gemma 2 (256,000 × 2,304) and qwen 2.5 (152,064 × 3,584) have more than 2 GiB. One number is written alone, so the memory is not taken.</summary>
    [Theory]
    [InlineData(256_000, 2_304, false)]
    [InlineData(300_000, 4_096, true)]
    public unsafe void Bug_MatricesOfOver2GiB_CouldNotBeLoaded(int rows, int columns, bool brain)
    {
        using var weight = new FrozenWeight(columns, [new WeightPart("embedding", 0, rows)], Read, null, null, brain);
        foreach (Action load in weight.Loads.Reverse().Take(2))
            load();
        Assert.Equal(3, brain ? BFloat16(weight.Values().Brain!.Data[(long)rows * columns - 1]) : weight.Values().Values.Row(rows - 1)[^1]);

        void Read(string name, long start, Span<float> destination)
        {
            destination.Clear();
            if (start + destination.Length == (long)rows * columns)
                destination[^1] = 3;
        }

        static float BFloat16(ushort bits) => BitConverter.UInt32BitsToSingle((uint)bits << 16);
    }

    /// <summary>A matrix is loaded in shares: query and key rows too, which files of llama models may hold in another order.</summary>
    [Theory]
    [InlineData("float32")]
    [InlineData("bfloat16")]
    public void Bug_LlamaModelsWithQueriesOfOverAMillionValues_WereRefused(string precision)
    {
        const int Hidden = 1088, Keys = 64, Inner = 32, Vocabulary = 160;
        string folder = Directory.CreateTempSubdirectory("hone-test-").FullName;
        try
        {
            File.WriteAllText(Path.Combine(folder, "config.json"), $$"""
                {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": {{Vocabulary}}, "hidden_size": {{Hidden}}, "intermediate_size": {{Inner}}, "num_hidden_layers": 1,
                 "num_attention_heads": {{Hidden / Keys}}, "num_key_value_heads": 1, "max_position_embeddings": 64, "rms_norm_eps": 1e-05, "hidden_act": "silu", "tie_word_embeddings": true}
                """);
            var random = new SplitMix64(7);
            SafetensorsData Tensor(string name, params long[] shape) => new(name, shape, (float[])[.. Enumerable.Range(0, (int)shape.Aggregate(1L, (a, b) => a * b)).Select(_ => (float)(random.NextDouble() - 0.5) * 0.1f)]);
            const string Layer = "model.layers.0.";
            SafetensorsWriter.Write(Path.Combine(folder, "model.safetensors"), [
                Tensor("model.embed_tokens.weight", Vocabulary, Hidden), Tensor("model.norm.weight", Hidden), Tensor(Layer + "input_layernorm.weight", Hidden), Tensor(Layer + "post_attention_layernorm.weight", Hidden),
                Tensor(Layer + "self_attn.q_proj.weight", Hidden, Hidden), Tensor(Layer + "self_attn.k_proj.weight", Keys, Hidden), Tensor(Layer + "self_attn.v_proj.weight", Keys, Hidden),
                Tensor(Layer + "self_attn.o_proj.weight", Hidden, Hidden), Tensor(Layer + "mlp.gate_proj.weight", Inner, Hidden), Tensor(Layer + "mlp.up_proj.weight", Inner, Hidden), Tensor(Layer + "mlp.down_proj.weight", Hidden, Inner)]);
            using var loaded = new TinyModel(folder, BasePrecision.Of(precision));
            using var stored = new TinyModel(folder, BasePrecision.AsStored);
            PackedBatch batch = TinyModel.Batch(2, Vocabulary);
            float[] expected = TinyModel.LossAndGradients(stored.Decoder, stored.Adapter(3), batch), taken = TinyModel.LossAndGradients(loaded.Decoder, loaded.Adapter(3), batch);
            Assert.Equal(expected[0], taken[0], precision == "float32" ? 0 : 0.01f * expected[0]);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }
}
