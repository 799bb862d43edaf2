using Hone.Formats.Models;
using Hone.Formats.TrainingData;
using Hone.Training.Kernels;
using Hone.Training.Lora;
using Hone.Training.Model;
using Hone.Training.Training;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

#pragma warning disable RS0030 // The library as it comes: its optimizer does the same.

namespace Hone.Training.Benchmarks;

/// <summary>
/// LoRA training in its plainest form, as PEFT with transformers does it: one operation of libtorch after the other on all cores, gradients from the tape, rows
/// padded to the longest, logits of every token. The same loss as <see cref="Trainer"/>, so that the two can be measured beside each other.
/// </summary>
internal sealed class PlainTrainer : IDisposable
{
    private const long Ignored = -100;

    private readonly DisposeScope _scope;
    private readonly ModelConfig _config;
    private readonly TrainSettings _settings;
    private readonly Tensor _embedding, _head, _finalNorm, _frequencies;
    private readonly Layer[] _layers;
    private readonly Parameter[] _parameters;
    private readonly optim.Optimizer _optimizer;

    /// <param name="adapter">Its matrices are copied: the plain trainer begins where the adapter stands.</param>
    public PlainTrainer(ModelConfig config, ReadTensor read, LoraAdapter adapter, TrainSettings settings)
    {
        if (!Takes(config))
            throw new ArgumentException($"{config.Architecture} has no plain form.", nameof(config));
        (_config, _settings) = (config, settings);
        _scope = NewDisposeScope();
        Dictionary<string, LoraMatrices> matrices = adapter.Matrices().ToDictionary(m => m.Name);
        var parameters = new List<Parameter>();
        _embedding = Weight("model.embed_tokens", config.VocabularySize, config.HiddenSize);
        _head = config.TiedEmbeddings ? _embedding : Weight("lm_head", config.VocabularySize, config.HiddenSize);
        _finalNorm = Weight("model.norm", config.HiddenSize);
        _frequencies = tensor(config.RopeOf(0)!.Frequencies(config.RotaryDim, config.ContextLength, 1)); // [d / 2]
        int keys = config.KeyValueHeads * config.HeadDim, queries = config.Heads * config.HeadDim;
        _layers = [.. Enumerable.Range(0, config.Layers).Select(l =>
        {
            string prefix = $"model.layers.{l}.";
            return new Layer(
                Weight(prefix + "input_layernorm", config.HiddenSize), Weight(prefix + "post_attention_layernorm", config.HiddenSize),
                Adapted(prefix + "self_attn.q_proj", queries, config.HiddenSize), Adapted(prefix + "self_attn.k_proj", keys, config.HiddenSize),
                Adapted(prefix + "self_attn.v_proj", keys, config.HiddenSize), Adapted(prefix + "self_attn.o_proj", config.HiddenSize, queries),
                Adapted(prefix + "mlp.gate_proj", config.IntermediateSize, config.HiddenSize), Adapted(prefix + "mlp.up_proj", config.IntermediateSize, config.HiddenSize),
                Adapted(prefix + "mlp.down_proj", config.HiddenSize, config.IntermediateSize));
        })];
        _parameters = [.. parameters];
        _optimizer = optim.AdamW(_parameters, settings.LearningRate, weight_decay: settings.WeightDecay);
        _scope.Detach(_parameters);

        Tensor Weight(string name, params long[] shape)
        {
            Tensor weight = empty(shape);
            read(name + ".weight", 0, Matrix.Of(weight).All());
            return weight;
        }

        Linear Adapted(string module, int rows, int columns)
        {
            Tensor weight = Weight(module, rows, columns);
            if (!matrices.TryGetValue(module, out LoraMatrices? own))
                return new Linear(weight, null, null, 0);
            var linear = new Linear(weight, new Parameter(own.A.clone()), new Parameter(own.B.clone()), adapter.Modules[module].Scale);
            parameters.AddRange([linear.A!, linear.B!]);
            return linear;
        }
    }

    /// <summary>Whether the model is built as llama is.</summary>
    public static bool Takes(ModelConfig config) => config is
    {
        BlockNorms: BlockNorms.Before, QueryKeyNorm: QueryKeyNorm.None, NormAddsOne: false, Activation: Activation.Silu, FusedProjections: false, QueryKeyValueBias: false,
        OutputBias: false, MlpBias: false, AttentionMultiplier: null, AttentionSoftcap: null, LogitSoftcap: null, EmbeddingMultiplier: 1, ResidualMultiplier: 1, LogitMultiplier: 1,
        SlidingWindow: null, QueryGrowth: null, Experts: null, RopeScaling: null, LocalRope: null, PartialRotaryFactor: 1, RotaryLayers.Count: 0,
    };

    /// <summary>One step; the loss before the update.</summary>
    public double Step(int step, IReadOnlyList<EncodedRow> rows)
    {
        using var scope = NewDisposeScope();
        int length = rows.Max(r => r.Tokens.Length);
        long[] ids = new long[rows.Count * length], labels = new long[rows.Count * length];
        Array.Fill(labels, Ignored);
        for (int r = 0; r < rows.Count; r++)
        {
            for (int t = 0; t < rows[r].Tokens.Length; t++)
            {
                ids[r * length + t] = rows[r].Tokens[t];
                if (t > 0 && rows[r].Trained[t])
                    labels[r * length + t - 1] = rows[r].Tokens[t];
            }
        }
        foreach (var group in _optimizer.ParamGroups)
            group.LearningRate = _settings.LearningRateAt(step);
        _optimizer.zero_grad();
        Tensor logits = Logits(tensor(ids, [rows.Count, length]));                                                    // [R, T, V]
        Tensor loss = nn.functional.cross_entropy(logits.view(-1, _config.VocabularySize), tensor(labels), ignore_index: Ignored);
        loss.backward();
        if (_settings.MaxGradNorm > 0)
            nn.utils.clip_grad_norm_(_parameters, _settings.MaxGradNorm);
        _optimizer.step();
        return loss.item<float>();
    }

    /// <summary>Padding stands behind a row's tokens, so the causal mask alone hides it from them.</summary>
    private Tensor Logits(Tensor ids)
    {
        Tensor x = _embedding.index_select(0, ids.view(-1)).view(ids.shape[0], ids.shape[1], -1);                     // [R, T, D]
        Tensor angles = outer(arange(ids.shape[1], dtype: float32), _frequencies);
        angles = cat([angles, angles], 1);                                                                            // [T, d]
        Tensor cos = angles.cos(), sin = angles.sin();
        foreach (Layer layer in _layers)
        {
            Tensor normed = Norm(x, layer.InputNorm);
            Tensor q = Turned(Heads(Product(normed, layer.Query)), cos, sin), k = Turned(Heads(Product(normed, layer.Key)), cos, sin), v = Heads(Product(normed, layer.Value));
            int group = _config.Heads / _config.KeyValueHeads;
            (k, v) = (k.repeat_interleave(group, 1), v.repeat_interleave(group, 1));                                  // [R, H, T, d]
            Tensor attended = nn.functional.scaled_dot_product_attention(q, k, v, null, 0, true).transpose(1, 2).reshape(x.shape[0], x.shape[1], -1);
            x = x + Product(attended, layer.Output);
            normed = Norm(x, layer.MiddleNorm);
            x = x + Product(nn.functional.silu(Product(normed, layer.Gate)) * Product(normed, layer.Up), layer.Down);
        }
        return nn.functional.linear(Norm(x, _finalNorm), _head);
    }

    private static Tensor Product(Tensor x, Linear linear)
    {
        Tensor y = nn.functional.linear(x, linear.Weight);
        return linear.A is null ? y : y + nn.functional.linear(nn.functional.linear(x, linear.A), linear.B!) * linear.Scale;
    }

    private Tensor Norm(Tensor x, Tensor weight) => weight * (x * rsqrt(x.pow(2).mean([-1], true) + _config.NormEpsilon));

    private Tensor Heads(Tensor x) => x.view(x.shape[0], x.shape[1], -1, _config.HeadDim).transpose(1, 2);

    private static Tensor Turned(Tensor x, Tensor cos, Tensor sin)
    {
        Tensor[] halves = x.chunk(2, -1);
        return x * cos + cat([-halves[1], halves[0]], -1) * sin;
    }

    public void Dispose()
    {
        _optimizer.Dispose();
        foreach (Parameter parameter in _parameters)
            parameter.Dispose();
        _scope.Dispose();
    }

    private sealed record Linear(Tensor Weight, Parameter? A, Parameter? B, double Scale);

    private sealed record Layer(
        Tensor InputNorm, Tensor MiddleNorm, Linear Query, Linear Key, Linear Value, Linear Output, Linear Gate, Linear Up, Linear Down);
}
