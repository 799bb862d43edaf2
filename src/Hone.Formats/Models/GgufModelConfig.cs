using Hone.Formats.Gguf;

namespace Hone.Formats.Models;

/// <summary>
/// Reads a <see cref="ModelConfig"/> from GGUF metadata, and refuses by name whatever would change the model's numbers and is not supported. What a family's files
/// do not say is what llama.cpp takes for it.
/// </summary>
internal static class GgufModelConfig
{
    /// <summary>Tables of factors that divide the rotary frequencies.</summary>
    public const string Frequencies = "rope_freqs.weight";
    public const string LongFactors = "rope_factors_long.weight";
    public const string ShortFactors = "rope_factors_short.weight";

    private const string Embeddings = "embedding_scale", Residuals = "residual_scale", Logits = "logit_scale", AttentionScores = "attention.scale", AttentionCap = "attn_logit_softcapping", LogitCap = "final_logit_softcapping";

    /// <summary>What changes a family's numbers where its files state it, and means nothing in other families.</summary>
    private static readonly string[] s_factors = [Embeddings, Residuals, Logits, AttentionScores, AttentionCap, LogitCap, "attention.clamp_kqv", "attention.max_alibi_bias"];

    private static readonly string[] s_architectures = ["llama", "qwen2", "qwen3", "gemma", "gemma2", "gemma3", "phi3", "smollm3", "olmo2", "granite"];

    public static ModelConfig Read(GgufFile file)
    {
        string architecture = file.Metadata.RequiredString("general.architecture");
        return s_architectures.Contains(architecture)
            ? new Reader(file, architecture).Read()
            : throw Unsupported(file, $"the architecture '{architecture}'", $"Models of the architectures {string.Join(", ", s_architectures)} can be used as GGUF.");
    }

    private static InvalidFileException Unsupported(GgufFile file, string what, string hint) => new($"{file.Path}: the model uses {what}, which is not supported. {hint}");

    private sealed class Reader(GgufFile file, string architecture)
    {
        private readonly GgufMetadata _metadata = file.Metadata;

        private bool IsGemma => architecture is "gemma" or "gemma2" or "gemma3";

        private bool HasSoftcaps => architecture is "gemma2" or "gemma3";

        public ModelConfig Read()
        {
            if (_metadata.Int32(Key("expert_count")) is > 0)
                throw Unsupported(file, "a mixture of experts", "Use the model's Hugging Face folder, or a dense model.");
            RefuseFactors();
            int heads = Positive("attention.head_count"), hidden = Positive("embedding_length"), layers = Positive("block_count"), context = Positive("context_length");
            int keyValueHeads = _metadata.Contains(Key("attention.head_count_kv")) ? Positive("attention.head_count_kv") : heads;
            if (heads % keyValueHeads != 0)
                throw Wrong($"{heads} heads are no multiple of {keyValueHeads} key and value heads");
            int headDim = _metadata.Int32(Key("attention.key_length")) ?? (hidden % heads == 0 ? hidden / heads : throw Wrong($"{heads} heads do not divide the hidden size {hidden}"));
            if (headDim <= 0 || headDim % 2 != 0)
                throw Wrong($"a head has {headDim} dimensions; an even number is needed");
            if (_metadata.Int32(Key("attention.value_length")) is { } valueDim && valueDim != headDim)
                throw Unsupported(file, $"values of {valueDim} dimensions beside keys of {headDim}", "Use another model.");
            int rotary = _metadata.Int32(Key("rope.dimension_count")) ?? headDim;
            if (rotary != headDim && (architecture != "phi3" || rotary <= 0 || rotary > headDim || rotary % 2 != 0))
                throw Unsupported(file, $"rotary embeddings on {rotary} of {headDim} dimensions", "Use another model.");
            if ((long)heads * headDim > int.MaxValue)
                throw Wrong($"{heads} heads of {headDim} dimensions cannot be right");
            if (layers > file.Tensors.Count)
                throw Wrong($"the metadata key '{Key("block_count")}' is {layers}, but the file has {file.Tensors.Count} tensors");

            GgufTensor embedding = file.Find("token_embd.weight") ?? throw Wrong("the tensor 'token_embd.weight' is missing");
            if (embedding.Shape.Length != 2 || embedding.Shape[0] is <= 0 or > int.MaxValue)
                throw Wrong($"the tensor 'token_embd.weight' has the shape [{string.Join(", ", embedding.Shape)}]; wanted are [vocabulary, hidden size]");
            (int? window, IReadOnlyList<bool> sliding) = Windows(layers);
            return new ModelConfig
            {
                Architecture = architecture == "gemma3" ? "gemma3_text" : architecture,
                Layers = layers,
                HiddenSize = hidden,
                Heads = heads,
                KeyValueHeads = keyValueHeads,
                HeadDim = headDim,
                IntermediateSize = Positive("feed_forward_length"),
                VocabularySize = (int)embedding.Shape[0],
                RopeTheta = Number("rope.freq_base") ?? (architecture == "gemma3" ? 1_000_000 : 10_000),
                RopeScaling = Scaling(rotary / 2, context),
                LocalRope = architecture == "gemma3" ? new RopeConfig(Number("rope.freq_base_swa") ?? 10_000, null) : null,
                PartialRotaryFactor = (double)rotary / headDim,
                RotaryLayers = RotaryLayers(layers),
                NormEpsilon = Number("attention.layer_norm_rms_epsilon") ?? throw Wrong($"the metadata key '{Key("attention.layer_norm_rms_epsilon")}' is missing"),
                NormAddsOne = IsGemma,
                BlockNorms = architecture == "olmo2" ? BlockNorms.After : HasSoftcaps ? BlockNorms.Both : BlockNorms.Before,
                QueryKeyNorm = architecture == "olmo2" ? QueryKeyNorm.Width : architecture is "qwen3" or "gemma3" ? QueryKeyNorm.Head : QueryKeyNorm.None,
                ContextLength = context,
                TiedEmbeddings = file.Find("output.weight") is null,
                QueryKeyValueBias = file.Find("blk.0.attn_q.bias") is not null,
                OutputBias = file.Find("blk.0.attn_output.bias") is not null,
                MlpBias = file.Find("blk.0.ffn_down.bias") is not null,
                FusedProjections = architecture == "phi3",
                Activation = IsGemma ? Activation.GeluTanh : Activation.Silu,
                AttentionMultiplier = AttentionMultiplier(layers, hidden, heads, headDim),
                AttentionSoftcap = architecture == "gemma2" ? Number(AttentionCap) ?? 50 : null,
                LogitSoftcap = architecture == "gemma2" ? Number(LogitCap) ?? 30 : architecture == "gemma3" ? Number(LogitCap) : null,
                EmbeddingMultiplier = IsGemma ? Math.Sqrt(hidden) : Granite(Embeddings) ?? 1,
                ResidualMultiplier = Granite(Residuals) ?? 1,
                LogitMultiplier = 1 / (Granite(Logits) ?? 1),
                SlidingWindow = window,
                SlidingLayers = sliding,
            };
        }

        /// <summary>The files do not hold <c>query_pre_attn_scalar</c>: it is a head's width but in the largest gemma models.</summary>
        private double? AttentionMultiplier(int layers, int hidden, int heads, int headDim) => architecture switch
        {
            "gemma2" when layers == 46 => 1 / Math.Sqrt((double)hidden / heads),
            "gemma3" when layers == 62 => 1 / Math.Sqrt((double)hidden / heads),
            "gemma2" or "gemma3" => 1 / Math.Sqrt(headDim),
            _ => Granite(AttentionScores),
        };

        private void RefuseFactors()
        {
            if (_metadata.Bool(Key("attention.causal")) is false)
                throw Unsupported(file, $"tokens that see those behind them ({Key("attention.causal")})", "Use a model that writes text.");
            string[] own = architecture switch
            {
                "granite" => [Embeddings, Residuals, Logits, AttentionScores],
                "gemma2" => [AttentionCap, LogitCap],
                "gemma3" => [LogitCap],
                _ => [],
            };
            if (s_factors.Except(own).FirstOrDefault(f => _metadata.Number(Key(f)) is { } value && value != 0 && !(value == 1 && f.EndsWith("_scale", StringComparison.Ordinal))) is { } other)
                throw Unsupported(file, $"a factor that {architecture} models do not have ({Key(other)})", "Convert the model again with a current converter, or use its Hugging Face folder.");
        }

        private double? Granite(string name) => architecture == "granite" ? Number(name) : null;

        /// <summary>Every fourth layer of SmolLM3 knows no positions; in a Granite none does where the file says so.</summary>
        private IReadOnlyList<bool> RotaryLayers(int layers) => architecture switch
        {
            "smollm3" => [.. Enumerable.Range(0, layers).Select(i => (i + 1) % 4 != 0)],
            "granite" when _metadata.Bool(Key("rope.scaling.finetuned")) is false => [.. Enumerable.Repeat(false, layers)],
            _ => [],
        };

        private (int? Window, IReadOnlyList<bool> Layers) Windows(int layers)
        {
            int? window = _metadata.Int32(Key("attention.sliding_window"));
            if (_metadata.Contains(Key("attention.sliding_window_pattern")))
                throw Unsupported(file, $"windows by a pattern ({Key("attention.sliding_window_pattern")})", "Use the model's Hugging Face folder.");
            if (window is null or <= 0)
                return architecture is "gemma2" or "gemma3" ? throw Wrong($"the metadata key '{Key("attention.sliding_window")}' is missing or not above 0") : (null, []);
            return architecture switch
            {
                "gemma2" => (window, [.. Enumerable.Range(0, layers).Select(i => i % 2 == 0)]),
                "gemma3" => (window, [.. Enumerable.Range(0, layers).Select(i => (i + 1) % 6 != 0)]),
                "phi3" => (window, []),
                _ => throw Unsupported(file, $"a sliding window ({Key("attention.sliding_window")})", "Use the model's Hugging Face folder."),
            };
        }

        private RopeScaling? Scaling(int pairs, int context)
        {
            string? kind = _metadata.String(Key("rope.scaling.type"));
            double factor = Number("rope.scaling.factor") ?? 1;
            int original = _metadata.Contains(Key("rope.scaling.original_context_length")) ? Positive("rope.scaling.original_context_length") : context;
            bool table = file.Find(Frequencies) is not null, lists = file.Find(LongFactors) is not null || file.Find(ShortFactors) is not null;
            if (lists)
            {
                double growth = (double)context / original;
                return new RopeScaling
                {
                    Kind = RopeKind.LongRope,
                    Factor = growth,
                    OriginalContext = original,
                    Magnitude = Number("rope.scaling.attn_factor") ?? (growth <= 1 || original < 2 ? 1 : Math.Sqrt(1 + Math.Log(growth) / Math.Log(original))),
                    ShortFactors = Factors(ShortFactors, pairs),
                    LongFactors = Factors(LongFactors, pairs),
                };
            }
            if (table && (kind is null or "none" || (kind == "linear" && factor == 1)))
                return new RopeScaling { Kind = RopeKind.Table, LongFactors = Factors(Frequencies, pairs) };
            if (table)
                throw Unsupported(file, $"rotary scaling '{kind}' ({Key("rope.scaling.type")}) beside the tensor '{Frequencies}'", "Use a model with one of them.");
            if (kind is "linear" or "yarn" && !_metadata.Contains(Key("rope.scaling.factor")))
                throw Wrong($"the metadata key '{Key("rope.scaling.factor")}' is missing");
            return kind switch
            {
                null or "none" => null,
                "linear" => factor == 1 ? null : new RopeScaling { Kind = RopeKind.Linear, Factor = factor },
                "yarn" => new RopeScaling
                {
                    Kind = RopeKind.Yarn,
                    Factor = factor,
                    OriginalContext = original,
                    BetaFast = Number("rope.scaling.yarn_beta_fast") ?? 32,
                    BetaSlow = Number("rope.scaling.yarn_beta_slow") ?? 1,
                    Magnitude = (Number("rope.scaling.attn_factor") ?? 1) * (factor <= 1 ? 1 : 0.1 * Math.Log(factor) + 1),
                },
                _ => throw Unsupported(file, $"rotary scaling '{kind}' ({Key("rope.scaling.type")})", "Use a model without it."),
            };
        }

        private float[] Factors(string name, int pairs)
        {
            GgufTensor tensor = file.Find(name) ?? throw Wrong($"the tensor '{name}' is missing");
            if (tensor.Shape.Length != 1 || tensor.Shape[0] != pairs)
                throw Wrong($"the tensor '{name}' has the shape [{string.Join(", ", tensor.Shape)}] where [{pairs}] is needed");
            var factors = new float[pairs];
            file.ReadFloat32(name, factors);
            return Array.TrueForAll(factors, f => float.IsFinite(f) && f > 0) ? factors : throw Wrong($"the tensor '{name}' holds values that are not above 0");
        }

        private string Key(string name) => $"{architecture}.{name}";

        private int Positive(string name)
        {
            int value = _metadata.RequiredInt32(Key(name));
            return value > 0 ? value : throw Wrong($"the metadata key '{Key(name)}' is {value}; a number above 0 is needed");
        }

        private double? Number(string name) =>
            _metadata.Number(Key(name)) is not { } value ? null
            : double.IsFinite(value) && value > 0 ? value
            : throw Wrong($"the metadata key '{Key(name)}' is {value}; a finite number above 0 is needed");

        private InvalidFileException Wrong(string what) => new($"{file.Path}: {what}. Convert the model again with a current converter.");
    }
}
