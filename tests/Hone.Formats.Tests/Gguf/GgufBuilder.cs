using System.Text;
using Hone.Formats.Gguf;

namespace Hone.Formats.Tests.Gguf;

/// <summary>Writes GGUF files as they should be, or with any count, length or offset that a test asks for.</summary>
internal sealed class GgufBuilder
{
    private readonly List<(string Key, byte[] Value)> _metadata = [];
    private readonly List<(string Name, uint Type, ulong[] Dimensions, byte[] Data)> _tensors = [];

    public uint Version { get; set; } = 3;
    public ulong? TensorCount { get; set; }
    public ulong? KeyCount { get; set; }

    /// <summary>Takes the place of a tensor's own offset.</summary>
    public Dictionary<string, ulong> Offsets { get; } = [];

    public GgufBuilder Set(string key, object value)
    {
        _metadata.RemoveAll(m => m.Key == key);
        return Raw(key, Bytes(w => Write(w, value)));
    }

    /// <summary>A value in its own bytes, with its type before it.</summary>
    public GgufBuilder Raw(string key, byte[] value)
    {
        _metadata.Add((key, value));
        return this;
    }

    public GgufBuilder Tensor(string name, GgmlType type, params long[] shape)
    {
        (int values, int bytes) = GgmlTypes.Block(type)!.Value;
        long elements = shape.Aggregate(1L, (a, b) => a * b);
        var data = new byte[elements / values * bytes];
        if (type == GgmlType.F32)
        {
            for (int i = 0; i < elements; i++)
                BitConverter.TryWriteBytes(data.AsSpan(i * 4), (i % 17 - 8) * 0.125f);
        }
        return Tensor(name, (uint)type, [.. shape.Reverse().Select(s => (ulong)s)], data);
    }

    /// <param name="dimensions">In the file's order: fastest first.</param>
    public GgufBuilder Tensor(string name, uint type, ulong[] dimensions, byte[] data)
    {
        _tensors.Add((name, type, dimensions, data));
        return this;
    }

    public GgufBuilder Without(string name)
    {
        _tensors.RemoveAll(t => t.Name == name);
        _metadata.RemoveAll(m => m.Key == name);
        return this;
    }

    public byte[] Build() => Bytes(w =>
    {
        w.Write("GGUF"u8);
        w.Write(Version);
        w.Write(TensorCount ?? (ulong)_tensors.Count);
        w.Write(KeyCount ?? (ulong)_metadata.Count);
        foreach ((string key, byte[] value) in _metadata)
        {
            Write(w, key);
            w.Write(value);
        }
        ulong offset = 0;
        foreach ((string name, uint type, ulong[] dimensions, byte[] data) in _tensors)
        {
            Write(w, name);
            w.Write(dimensions.Length);
            foreach (ulong dimension in dimensions)
                w.Write(dimension);
            w.Write(type);
            w.Write(Offsets.GetValueOrDefault(name, offset));
            offset += (ulong)(data.Length + 31) / 32 * 32;
        }
        foreach ((_, _, _, byte[] data) in _tensors)
        {
            w.Write(new byte[(32 - w.BaseStream.Position % 32) % 32]);
            w.Write(data);
        }
    });

    /// <summary>A whole llama model of one layer with a byte-level tokenizer of 256 bytes and three special tokens.</summary>
    public static GgufBuilder TinyLlama()
    {
        // The byte alphabet of byte-level vocabularies: printable bytes stand for themselves, the others for code points from 256 on.
        int moved = 0;
        string[] bytes = [.. Enumerable.Range(0, 256).Select(b => b is >= '!' and <= '~' or >= 0xA1 and <= 0xAC or >= 0xAE ? (char)b : (char)(256 + moved++)).Select(c => c.ToString())];
        string[] tokens = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", .. bytes];
        const int Hidden = 32, Vocabulary = 259, Intermediate = 64;
        GgufBuilder builder = new GgufBuilder()
            .Set("general.architecture", "llama")
            .Set("general.name", "Tiny")
            .Set("llama.block_count", 1u)
            .Set("llama.context_length", 128u)
            .Set("llama.embedding_length", (uint)Hidden)
            .Set("llama.feed_forward_length", (uint)Intermediate)
            .Set("llama.attention.head_count", 4u)
            .Set("llama.attention.head_count_kv", 2u)
            .Set("llama.rope.freq_base", 10_000f)
            .Set("llama.attention.layer_norm_rms_epsilon", 1e-5f)
            .Set("tokenizer.ggml.model", "gpt2")
            .Set("tokenizer.ggml.pre", "smollm")
            .Set("tokenizer.ggml.tokens", tokens)
            .Set("tokenizer.ggml.token_type", tokens.Select((_, i) => i < 3 ? 3 : 1).ToArray())
            .Set("tokenizer.ggml.merges", Array.Empty<string>())
            .Set("tokenizer.ggml.bos_token_id", 1u)
            .Set("tokenizer.ggml.eos_token_id", 2u)
            .Set("tokenizer.chat_template", "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}");
        return builder
            .Tensor("token_embd.weight", GgmlType.Q8_0, Vocabulary, Hidden)
            .Tensor("blk.0.attn_norm.weight", GgmlType.F32, Hidden)
            .Tensor("blk.0.attn_q.weight", GgmlType.F32, Hidden, Hidden)
            .Tensor("blk.0.attn_k.weight", GgmlType.F32, Hidden / 2, Hidden)
            .Tensor("blk.0.attn_v.weight", GgmlType.Q4_0, Hidden / 2, Hidden)
            .Tensor("blk.0.attn_output.weight", GgmlType.Q5_1, Hidden, Hidden)
            .Tensor("blk.0.ffn_norm.weight", GgmlType.F32, Hidden)
            .Tensor("blk.0.ffn_gate.weight", GgmlType.Q4_1, Intermediate, Hidden)
            .Tensor("blk.0.ffn_up.weight", GgmlType.F16, Intermediate, Hidden)
            .Tensor("blk.0.ffn_down.weight", GgmlType.BF16, Hidden, Intermediate)
            .Tensor("output_norm.weight", GgmlType.F32, Hidden);
    }

    public static byte[] Bytes(Action<BinaryWriter> write)
    {
        using var stream = new MemoryStream();
        using var writer = new BinaryWriter(stream);
        write(writer);
        return stream.ToArray();
    }

    public static void WriteString(BinaryWriter writer, byte[] text, ulong? length = null)
    {
        writer.Write(length ?? (ulong)text.Length);
        writer.Write(text);
    }

    private static void Write(BinaryWriter writer, string text) => WriteString(writer, Encoding.UTF8.GetBytes(text));

    private static void Write(BinaryWriter writer, object value)
    {
        switch (value)
        {
            case uint number: writer.Write(4); writer.Write(number); break;
            case int number: writer.Write(5); writer.Write(number); break;
            case float number: writer.Write(6); writer.Write(number); break;
            case bool flag: writer.Write(7); writer.Write(flag); break;
            case string text: writer.Write(8); Write(writer, text); break;
            case string[] texts:
                writer.Write(9);
                writer.Write(8);
                writer.Write((ulong)texts.Length);
                foreach (string text in texts)
                    Write(writer, text);
                break;
            case int[] numbers:
                writer.Write(9);
                writer.Write(5);
                writer.Write((ulong)numbers.Length);
                foreach (int number in numbers)
                    writer.Write(number);
                break;
            default: throw new ArgumentException($"No GGUF type for {value.GetType()}.");
        }
    }
}
