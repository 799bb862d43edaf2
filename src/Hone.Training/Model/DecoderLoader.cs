using Hone.Formats;
using Hone.Formats.Models;
using Hone.Training.Kernels;
using Hone.Training.Lora;
using static TorchSharp.torch;
using TensorPrimitives = System.Numerics.Tensors.TensorPrimitives;

namespace Hone.Training.Model;

/// <summary>Reads a tensor by Hugging Face's name, widened to float32: whole, or some of its rows from element <paramref name="start"/> on. Called from many threads.</summary>
internal delegate void ReadTensor(string name, long start, Span<float> destination);

/// <summary>
/// Builds the decoder of a base model. Its matrices are widened to float32, once, straight into the tensors that the decoder uses; or they stay as the file
/// stores them, memory-mapped, and a matrix is widened when its turn comes; or its linear weights are rounded, see <see cref="WeightForm"/>.
/// </summary>
internal static class DecoderLoader
{
    /// <param name="asStored">The matrices stay as they are stored: less memory, the same numbers, more time.</param>
    public static Decoder Load(BaseModel model, bool asStored = false) => Load(model.Weights, asStored ? BasePrecision.AsStored : BasePrecision.Float32);

    public static Decoder Load(ModelWeights weights, BasePrecision precision)
    {
        // Where the matrices are loaded they are looked at on the way.
        if (precision.Form is not (WeightForm.Float32 or WeightForm.BFloat16) && weights.FindNotFinite(CancellationToken.None) is [string first, ..])
            throw new InvalidFileException(first);
        if (precision.IsFourBit)
        {
            var rounded = new FourBitWeights(weights, precision);
            return Load(weights.Config, rounded.Read, rounded.Stored);
        }
        return Load(weights.Config, weights.ReadFloat32, precision.Form == WeightForm.AsStored ? weights.Stored : null, brain: precision.Form == WeightForm.BFloat16);
    }

    /// <param name="stored">Where the matrices stay as they are stored: gives those that can be widened in parts.</param>
    /// <param name="brain">The linear weights are rounded to bfloat16.</param>
    public static Decoder Load(ModelConfig config, ReadTensor read, Func<string, StoredMatrix?>? stored = null, bool brain = false) =>
        new Loading(config, read, stored, stored is null && !brain ? null : new WidenBuffer(), brain).Load();

    /// <param name="start">Where the values stand in the tensor.</param>
    public static void RefuseNotFinite(string name, long start, ReadOnlySpan<float> values)
    {
        if (TensorPrimitives.IsFiniteAll(values))
            return;
        int bad = 0;
        while (float.IsFinite(values[bad]))
            bad++;
        throw new InvalidFileException($"The base model's tensor {name} holds {values[bad]} at index {start + bad}: every answer would be wrong. Get the model's file anew.");
    }

    private sealed class Loading(ModelConfig config, ReadTensor read, Func<string, StoredMatrix?>? stored, WidenBuffer? buffer, bool brain)
    {
        private readonly List<Action> _loads = [];
        private readonly List<Tensor> _norms = [];
        private readonly AttentionShape _shape = Decoder.ShapeOf(config);
        private readonly GatedUnit _unit = new(config.Activation);

        public Decoder Load()
        {
            FrozenWeight embedding = Matrix("model.embed_tokens.weight", config.VocabularySize, config.HiddenSize);
            FrozenWeight head = config.TiedEmbeddings ? embedding : Matrix("lm_head.weight", config.VocabularySize, config.HiddenSize);
            RmsNorm finalNorm = Norm("model.norm");
            DecoderLayer[] layers = [.. Enumerable.Range(0, config.Layers).Select(Layer)];
            try
            {
                Parallel.ForEach(_loads, load => load());
            }
            catch (AggregateException e) when (e.InnerExceptions.OfType<InvalidFileException>().FirstOrDefault() is { } first)
            {
                throw new InvalidFileException(first.Message, e);
            }
            foreach (Tensor norm in _norms)
            {
                if (config.NormAddsOne)
                    norm.PlusInPlace(1);
            }
            return new Decoder(config, embedding, head, finalNorm, layers, buffer);
        }

        private DecoderLayer Layer(int index)
        {
            string prefix = $"model.layers.{index}.";
            int keyWidth = config.KeyValueHeads * config.HeadDim;
            bool before = config.BlockNorms != BlockNorms.After, after = config.BlockNorms != BlockNorms.Before;
            var norms = new LayerNorms(
                before ? Norm(prefix + "input_layernorm") : null,
                config.QueryKeyNorm == QueryKeyNorm.None ? null : new HeadNorm(
                    NormWeight(prefix + "self_attn.q_norm", config.QueryKeyNorm == QueryKeyNorm.Head ? config.HeadDim : _shape.QueryWidth),
                    NormWeight(prefix + "self_attn.k_norm", config.QueryKeyNorm == QueryKeyNorm.Head ? config.HeadDim : keyWidth), config.NormEpsilon, _shape),
                after ? Norm(prefix + "post_attention_layernorm") : null,
                before ? Norm(prefix + (after ? "pre_feedforward_layernorm" : "post_attention_layernorm")) : null,
                after ? Norm(prefix + "post_feedforward_layernorm") : null);
            LoraLinear qkv = config.FusedProjections
                ? Stack(prefix, "qkv", config.HiddenSize, config.QueryKeyValueBias, ("self_attn.qkv_proj", _shape.Width))
                : Stack(prefix, "qkv", config.HiddenSize, config.QueryKeyValueBias, ("self_attn.q_proj", _shape.QueryWidth), ("self_attn.k_proj", keyWidth), ("self_attn.v_proj", keyWidth));
            LoraLinear output = Stack(prefix, "o", _shape.QueryWidth, config.OutputBias, ("self_attn.o_proj", config.HiddenSize));
            return new DecoderLayer(index, _shape, config.ResidualMultiplier, norms, qkv, output, config.HasExperts(index) ? Experts(prefix, config.Experts!) : Dense(prefix));
        }

        private DenseFeedForward Dense(string prefix) => new(
            config.FusedProjections
                ? Stack(prefix, "gate_up", config.HiddenSize, config.MlpBias, ("mlp.gate_up_proj", 2 * config.IntermediateSize))
                : Stack(prefix, "gate_up", config.HiddenSize, config.MlpBias, ("mlp.gate_proj", config.IntermediateSize), ("mlp.up_proj", config.IntermediateSize)),
            _unit,
            Stack(prefix, "down", config.IntermediateSize, config.MlpBias, ("mlp.down_proj", config.HiddenSize)));

        private ExpertFeedForward Experts(string prefix, ExpertConfig experts)
        {
            string module = prefix + experts.Module;
            Tensor router = Add(module + ".gate.weight", empty(experts.Count, config.HiddenSize));
            var gateUp = new FrozenWeight[experts.Count];
            var down = new FrozenWeight[experts.Count];
            int width = experts.IntermediateSize;
            for (int e = 0; e < experts.Count; e++)
            {
                string expert = $"{module}.experts.{e}.";
                gateUp[e] = Frozen(config.HiddenSize, new($"{expert}{experts.Names[0]}.weight", 0, width), new($"{expert}{experts.Names[1]}.weight", width, width));
                down[e] = Frozen(experts.IntermediateSize, new WeightPart($"{expert}{experts.Names[2]}.weight", 0, config.HiddenSize));
            }
            return new ExpertFeedForward(experts, router, gateUp, down, _unit);
        }

        private LoraLinear Stack(string prefix, string name, int width, bool biased, params (string Name, int Out)[] parts)
        {
            var modules = new List<ProjectedModule>();
            int rows = parts.Sum(p => p.Out), row = 0;
            var weights = new List<WeightPart>();
            Tensor? bias = biased ? empty(rows).DetachFromDisposeScope() : null;
            foreach ((string part, int size) in parts)
            {
                modules.Add(new ProjectedModule(prefix + part, row, size));
                weights.Add(new WeightPart(prefix + part + ".weight", row, size));
                if (bias is not null)
                    Add(prefix + part + ".bias", bias, row, size);
                row += size;
            }
            return new LoraLinear(new ProjectionShape(prefix + name, width, modules), Frozen(width, [.. weights]), bias);
        }

        private RmsNorm Norm(string name) => new(NormWeight(name, config.HiddenSize), config.NormEpsilon);

        private Tensor NormWeight(string name, int width)
        {
            Tensor weight = Add(name + ".weight", empty(width));
            _norms.Add(weight);
            return weight;
        }

        /// <summary>Embedding or output matrix: never rounded.</summary>
        private FrozenWeight Matrix(string name, int rows, int columns) => Loaded(new FrozenWeight(columns, [new WeightPart(name, 0, rows)], read, stored, brain ? null : buffer));

        private FrozenWeight Frozen(int columns, params WeightPart[] parts) => Loaded(new FrozenWeight(columns, parts, read, stored, buffer, brain));

        private FrozenWeight Loaded(FrozenWeight weight)
        {
            _loads.AddRange(weight.Loads);
            return weight;
        }

        private Tensor Add(string name, Tensor target)
        {
            Add(name, target.DetachFromDisposeScope(), 0, (int)target.numel());
            return target;
        }

        private void Add(string name, Tensor target, int offset, int length) => _loads.Add(() =>
        {
            Span<float> values = Kernels.Matrix.Of(target).All().Slice(offset, length);
            read(name, 0, values);
            RefuseNotFinite(name, 0, values);
        });
    }
}
