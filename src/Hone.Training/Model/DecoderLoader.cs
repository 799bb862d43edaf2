using System.Runtime.InteropServices;
using Hone.Formats;
using Hone.Formats.Models;
using Hone.Training.Lora;
using TorchSharp;
using static TorchSharp.torch;

namespace Hone.Training.Model;

/// <summary>Reads a tensor by Hugging Face's name, widened to float32; called from many threads.</summary>
internal delegate void ReadTensor(string name, Span<float> destination);

/// <summary>Widens a base model's weights to float32, once, straight into the tensors that the decoder uses.</summary>
internal static class DecoderLoader
{
    public static Decoder Load(BaseModel model) => Load(model.Config, model.ReadFloat32);

    public static Decoder Load(ModelConfig config, ReadTensor read)
    {
        CheckSupported(config);
        var loads = new List<(string Name, Tensor Target, long Offset, long Length)>();
        Tensor embedding = Matrix("model.embed_tokens.weight", config.VocabularySize, config.HiddenSize);
        Tensor head = config.TiedEmbeddings ? embedding.alias().DetachFromDisposeScope() : Matrix("lm_head.weight", config.VocabularySize, config.HiddenSize);
        var finalNorm = new RmsNorm(Vector("model.norm.weight"), config.NormEpsilon);
        var layers = new DecoderLayer[config.Layers];
        AttentionShape shape = Decoder.ShapeOf(config);
        int queryWidth = config.Heads * config.HeadDim, keyWidth = config.KeyValueHeads * config.HeadDim;
        for (int l = 0; l < layers.Length; l++)
        {
            string prefix = $"model.layers.{l}.";
            layers[l] = new DecoderLayer(
                l, shape,
                new RmsNorm(Vector(prefix + "input_layernorm.weight"), config.NormEpsilon),
                Stack("qkv", config.HiddenSize, ("self_attn.q_proj", queryWidth), ("self_attn.k_proj", keyWidth), ("self_attn.v_proj", keyWidth)),
                Stack("o", queryWidth, ("self_attn.o_proj", config.HiddenSize)),
                new RmsNorm(Vector(prefix + "post_attention_layernorm.weight"), config.NormEpsilon),
                Stack("gate_up", config.HiddenSize, ("mlp.gate_proj", config.IntermediateSize), ("mlp.up_proj", config.IntermediateSize)),
                Stack("down", config.IntermediateSize, ("mlp.down_proj", config.HiddenSize)));

            LoraLinear Stack(string name, int width, params (string Name, int Out)[] parts)
            {
                var modules = new List<ProjectedModule>();
                int rows = parts.Sum(p => p.Out), row = 0;
                Tensor weight = empty(rows, width).DetachFromDisposeScope();
                foreach ((string part, int size) in parts)
                {
                    modules.Add(new ProjectedModule(prefix + part, row, size));
                    loads.Add((prefix + part + ".weight", weight, (long)row * width, (long)size * width));
                    row += size;
                }
                return new LoraLinear(new ProjectionShape(prefix + name, width, modules), weight);
            }
        }

        try
        {
            Parallel.ForEach(loads, load => Fill(read, load.Name, load.Target, load.Offset, load.Length));
        }
        catch (AggregateException e) when (e.InnerExceptions.OfType<InvalidFileException>().FirstOrDefault() is { } first)
        {
            throw new InvalidFileException(first.Message, e);
        }
        return new Decoder(config, embedding, head, finalNorm, layers);

        Tensor Matrix(string name, long rows, long columns) => Add(name, empty(rows, columns));
        Tensor Vector(string name) => Add(name, empty(config.HiddenSize));
        Tensor Add(string name, Tensor target)
        {
            target.DetachFromDisposeScope();
            loads.Add((name, target, 0, target.numel()));
            return target;
        }
    }

    /// <summary>What the decoder does not compute is refused, never left out.</summary>
    private static void CheckSupported(ModelConfig config)
    {
        var plain = new ModelConfig
        {
            Architecture = config.Architecture,
            Layers = config.Layers,
            HiddenSize = config.HiddenSize,
            Heads = config.Heads,
            KeyValueHeads = config.KeyValueHeads,
            HeadDim = config.HeadDim,
            IntermediateSize = config.IntermediateSize,
            VocabularySize = config.VocabularySize,
            RopeTheta = config.RopeTheta,
            NormEpsilon = config.NormEpsilon,
            ContextLength = config.ContextLength,
            TiedEmbeddings = config.TiedEmbeddings,
        };
        if (config != plain)
            throw new InvalidFileException($"This {config.Architecture} model differs from a plain llama in ways that cannot be computed. Use a llama model without scaled rotary embeddings and without biases.");
    }

    private static void Fill(ReadTensor read, string name, Tensor target, long offset, long length)
    {
        Span<float> values = MemoryMarshal.Cast<byte, float>(target.bytes).Slice(checked((int)offset), checked((int)length));
        read(name, values);
        int bad = FirstNotFinite(values);
        if (bad >= 0)
            throw new InvalidFileException($"The base model's tensor {name} holds {values[bad]} at index {bad}: every answer would be wrong. Get the model's file anew.");
    }

    private static int FirstNotFinite(ReadOnlySpan<float> values)
    {
        for (int i = 0; i < values.Length; i++)
        {
            if (!float.IsFinite(values[i]))
                return i;
        }
        return -1;
    }
}
