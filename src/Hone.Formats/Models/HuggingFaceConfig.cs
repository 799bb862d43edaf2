using System.Text.Json;

namespace Hone.Formats.Models;

/// <summary>Reads a <see cref="ModelConfig"/> from Hugging Face's <c>config.json</c>, and refuses by name whatever is not supported or not understood.</summary>
internal static class HuggingFaceConfig
{
    public const string FileName = "config.json";
    private const int MaxBytes = 4 << 20;
    private const int MaxLayers = 4_096;
    private const int MaxExperts = 100_000;

    /// <summary>The families by <c>model_type</c>.</summary>
    public static readonly IReadOnlyList<string> Families =
    [
        "llama", "mistral", "ministral3", "mixtral", "gemma", "gemma2", "gemma3_text", "qwen2", "qwen3", "qwen3_moe", "phi3", "smollm3", "olmo2", "olmo3", "granite",
    ];

    /// <summary>Without effect on what the model computes when it answers: origin, training, tokens, and how programs run it.</summary>
    private static readonly string[] s_inert =
    [
        "_attn_implementation", "_attn_implementation_autoset", "_name_or_path", "add_cross_attention", "architectures", "attention_dropout", "auto_map", "begin_suppress_tokens", "bos_token_id",
        "cache_implementation", "chunk_size_feed_forward", "dtype", "embd_pdrop", "eos_token_id", "finetuning_task", "id2label", "initializer_range", "is_decoder", "is_llama_config", "label2id",
        "license", "max_length", "max_sequence_length", "model_name", "output_router_logits", "pad_token_id", "prefix", "pretraining_tp", "problem_type", "resid_pdrop", "router_aux_loss_coef", "router_jitter_noise", "sep_token_id",
        "task_specific_params", "tokenizer_class", "torch_dtype", "transformers.js_config", "transformers_version", "unsloth_fixed", "unsloth_version", "use_cache", "use_return_dict",
        "return_dict", "do_sample", "num_return_sequences", "top_k", "top_p", "temperature", "repetition_penalty", "length_penalty", "num_beams", "num_beam_groups", "diversity_penalty", "typical_p", "min_length",
    ];

    /// <exception cref="InvalidFileException">The file is no config of a supported model.</exception>
    public static ModelConfig Read(string path)
    {
        using JsonDocument document = ModelJsonFile.Parse(path, MaxBytes);
        return Read(path, document.RootElement);
    }

    internal static ModelConfig Read(string path, JsonElement root)
    {
        var keys = new ConfigKeys(path, "$", root);
        string family = keys.RequiredText("model_type");
        if (!Families.Contains(family))
            throw keys.Refused("model_type", $"but the families that can be used are {string.Join(", ", Families)}{(family == "gemma3" ? "; of a gemma 3 with images take the text model's GGUF file" : "")}");
        if (keys.Object("quantization_config") is not null)
            throw keys.Refused("quantization_config", "but weights are read as F32, F16 and BF16: get the model as it was before it was quantised, and train with precision nf4 where memory is short");
        keys.Ignore(s_inert);
        ModelConfig config = new FamilyReader(keys, family).Read();
        keys.RefuseOthers();
        return config;
    }

    private sealed class FamilyReader(ConfigKeys keys, string family)
    {
        private bool IsGemma => family is "gemma" or "gemma2" or "gemma3_text";

        private bool IsOlmo => family is "olmo2" or "olmo3";

        public ModelConfig Read()
        {
            int layers = keys.RequiredCount("num_hidden_layers");
            if (layers > MaxLayers)
                throw keys.Refused("num_hidden_layers", $"but at most {MaxLayers} are possible");
            int hidden = keys.RequiredCount("hidden_size"), heads = keys.RequiredCount("num_attention_heads");
            int keyValueHeads = keys.Count("num_key_value_heads") ?? heads;
            if (heads % keyValueHeads != 0)
                throw keys.Invalid($"$.num_attention_heads is {heads}, which is no multiple of $.num_key_value_heads, {keyValueHeads}");
            int headDim = HeadDim(hidden, heads);
            int context = keys.RequiredCount("max_position_embeddings");
            RopeSettings rope = new HuggingFaceRope(keys, family, headDim, context).Read();
            bool attentionBias = family is "llama" or "gemma" or "gemma2" or "gemma3_text" or "qwen3" or "qwen3_moe" or "smollm3" or "olmo2" or "olmo3" or "granite" && keys.Flag("attention_bias");
            IReadOnlyList<bool> rotary = family == "smollm3" ? RotaryLayers(layers) : [];
            (int? window, IReadOnlyList<bool> sliding) = Windows(layers, rotary);
            ExpertConfig? experts = family is "mixtral" or "qwen3_moe" ? Experts(layers) : null;
            if (family == "llama")
                keys.Only("activation", "\"swiglu\"", "another activation");
            if (IsGemma)
                keys.Only("use_bidirectional_attention", "false", "so that tokens see those behind them");
            if (family == "phi3")
            {
                keys.Only("lm_head_bias", "false", "a bias on the output matrix");
                keys.Only("full_attn_mod", "1", "another pattern of windows");
                keys.Only("interpolate_factor", "1", "another rotary scaling");
            }
            return new ModelConfig
            {
                Architecture = family,
                Layers = layers,
                HiddenSize = hidden,
                Heads = heads,
                KeyValueHeads = keyValueHeads,
                HeadDim = headDim,
                IntermediateSize = keys.RequiredCount("intermediate_size"),
                VocabularySize = keys.RequiredCount("vocab_size"),
                RopeTheta = rope.Rope.Theta,
                RopeScaling = rope.Rope.Scaling,
                LocalRope = rope.Local,
                PartialRotaryFactor = rope.PartialFactor,
                RotaryLayers = rotary,
                NormEpsilon = keys.RequiredPositive("rms_norm_eps"),
                NormAddsOne = IsGemma,
                BlockNorms = IsOlmo ? BlockNorms.After : family is "gemma2" or "gemma3_text" ? BlockNorms.Both : BlockNorms.Before,
                QueryKeyNorm = IsOlmo ? QueryKeyNorm.Width : family is "qwen3" or "qwen3_moe" or "gemma3_text" ? QueryKeyNorm.Head : QueryKeyNorm.None,
                ContextLength = context,
                TiedEmbeddings = keys.Flag("tie_word_embeddings", IsGemma || family == "smollm3"),
                QueryKeyValueBias = attentionBias || family == "qwen2",
                OutputBias = attentionBias,
                MlpBias = family is "llama" or "smollm3" or "granite" && keys.Flag("mlp_bias"),
                FusedProjections = family == "phi3",
                Activation = Activation(),
                AttentionMultiplier = family is "gemma2" or "gemma3_text" ? 1 / Math.Sqrt(keys.RequiredPositive("query_pre_attn_scalar")) : family == "granite" ? keys.Number("attention_multiplier") ?? 1 : null,
                AttentionSoftcap = family is "gemma2" or "gemma3_text" ? keys.Positive("attn_logit_softcapping") : null,
                LogitSoftcap = family is "gemma2" or "gemma3_text" ? keys.Positive("final_logit_softcapping") : null,
                EmbeddingMultiplier = IsGemma ? Math.Sqrt(hidden) : family == "granite" ? keys.Number("embedding_multiplier") ?? 1 : 1,
                ResidualMultiplier = family == "granite" ? keys.Number("residual_multiplier") ?? 1 : 1,
                LogitMultiplier = family == "granite" ? 1 / (keys.Positive("logits_scaling") ?? 1) : 1,
                SlidingWindow = window,
                SlidingLayers = sliding,
                QueryGrowth = rope.Growth,
                Experts = experts,
            };
        }

        private int HeadDim(int hidden, int heads)
        {
            int? given = keys.Count("head_dim");
            int headDim = given ?? family switch
            {
                "gemma" or "gemma2" or "gemma3_text" => 256,
                "qwen3" or "ministral3" => 128,
                _ => hidden % heads == 0 ? hidden / heads : throw keys.Invalid($"$.num_attention_heads, {heads}, does not divide $.hidden_size, {hidden}"),
            };
            if (headDim % 2 != 0 || (long)headDim * heads > int.MaxValue)
                throw keys.Invalid($"a head has {headDim} dimensions; an even number is needed");
            return headDim;
        }

        private Activation Activation()
        {
            string key = IsGemma ? "hidden_activation" : "hidden_act";
            if (IsGemma)
                keys.Ignore("hidden_act"); // the family's code looks at the other one
            return keys.Text(key) switch
            {
                "silu" or "swish" => Models.Activation.Silu,
                "gelu" => Models.Activation.Gelu,
                "gelu_pytorch_tanh" or "gelu_new" => Models.Activation.GeluTanh,
                null when IsGemma => Models.Activation.GeluTanh,
                null => Models.Activation.Silu,
                _ => throw keys.Refused(key, "but silu, gelu and gelu_pytorch_tanh can be computed"),
            };
        }

        /// <summary>Which layers turn their queries and keys.</summary>
        private bool[] RotaryLayers(int layers)
        {
            int interval = keys.Count("no_rope_layer_interval") ?? 4;
            return keys.Array("no_rope_layers", layers) is { } given
                ? [.. given.Select((v, i) => v.ValueKind == JsonValueKind.Number && v.TryGetInt32(out int flag) && flag is 0 or 1 ? flag == 1 : throw keys.Wrong($"no_rope_layers[{i}]", v, "0 or 1"))]
                : [.. Enumerable.Range(0, layers).Select(i => (i + 1) % interval != 0)];
        }

        /// <summary>The window's width, and the layers that have it.</summary>
        private (int? Window, IReadOnlyList<bool> Layers) Windows(int layers, IReadOnlyList<bool> rotary)
        {
            bool[]? given = LayerTypes(layers);
            if (family is "llama" or "gemma" or "olmo2" or "granite")
                return given?.Contains(true) is true ? throw keys.Refused("layer_types", $"but a {family} model has no window layers") : (null, []);

            bool switched = family is "qwen2" or "qwen3" or "qwen3_moe" or "smollm3";
            int? window = family is "mistral" or "gemma2" or "gemma3_text" or "olmo3" && !keys.Has("sliding_window") ? Absent() : keys.Count("sliding_window");
            if (switched && !keys.Flag("use_sliding_window"))
                window = null;
            double windowLayers = switched ? keys.Number("max_window_layers") ?? 28 : 0;
            int pattern = family == "gemma3_text" ? keys.Count("sliding_window_pattern") ?? keys.Count("_sliding_window_pattern") ?? 6 : 0;
            bool[]? sliding = given ?? family switch
            {
                "gemma2" => Layers(i => i % 2 == 0),
                "gemma3_text" => Layers(i => (i + 1) % pattern != 0),
                "olmo3" => Layers(i => (i + 1) % 4 != 0),
                "qwen2" or "qwen3" => Layers(i => window is not null && i >= windowLayers),
                "smollm3" => Layers(i => window is not null && !rotary[i]),
                _ => null,
            };
            if (window is null)
                return sliding?.Contains(true) is true ? throw keys.Refused(given is null ? "sliding_window" : "layer_types", "but the window has no width (sliding_window)") : (null, []);
            if (sliding is null || Array.TrueForAll(sliding, s => s))
                return (window, []);
            if (family is "mistral" or "ministral3" or "mixtral" or "phi3" or "qwen3_moe")
                throw keys.Refused("layer_types", $"but all layers of a {family} model have the window");
            return sliding.Contains(true) ? (window, sliding) : (null, []);

            bool[] Layers(Func<int, bool> choose) => [.. Enumerable.Range(0, layers).Select(choose)];

            // Absent, not null: the family's code has a default.
            int? Absent() => keys.IsNull("sliding_window") ? null : 4096;
        }

        private bool[]? LayerTypes(int layers) => keys.Array("layer_types", layers) is { } types
            ? [.. types.Select((t, i) => (t.ValueKind == JsonValueKind.String ? t.GetString() : null) switch
            {
                "full_attention" => false,
                "sliding_attention" => true,
                _ => throw keys.Refused($"layer_types[{i}]", t, "a kind of layer that is not known"),
            })]
            : null;

        private ExpertConfig Experts(int layers)
        {
            bool mixtral = family == "mixtral";
            string count = mixtral ? "num_local_experts" : "num_experts";
            int experts = keys.RequiredCount(count), perToken = keys.RequiredCount("num_experts_per_tok");
            if (perToken > experts)
                throw keys.Refused(count, $"of which {perToken} serve a token");
            if ((long)experts * layers > MaxExperts)
                throw keys.Refused(count, $"in {layers} layers, but at most {MaxExperts} together are possible");
            return new ExpertConfig
            {
                Count = experts,
                PerToken = perToken,
                IntermediateSize = mixtral ? keys.RequiredCount("intermediate_size") : keys.RequiredCount("moe_intermediate_size"),
                Normalize = mixtral || keys.Flag("norm_topk_prob"),
                Module = mixtral ? "block_sparse_moe" : "mlp",
                Names = mixtral ? ["w1", "w3", "w2"] : ["gate_proj", "up_proj", "down_proj"],
                Layers = mixtral ? [] : ExpertLayers(layers),
            };
        }

        private bool[] ExpertLayers(int layers)
        {
            int step = keys.Count("decoder_sparse_step") ?? 1;
            var dense = new HashSet<int>();
            foreach (JsonElement layer in keys.Array("mlp_only_layers") ?? [])
                dense.Add(layer.ValueKind == JsonValueKind.Number && layer.TryGetInt32(out int index) && index >= 0 && index < layers ? index : throw keys.Wrong("mlp_only_layers", layer, $"layers from 0 to {layers - 1}"));
            return [.. Enumerable.Range(0, layers).Select(i => !dense.Contains(i) && (i + 1) % step == 0)];
        }
    }
}
