using System.Buffers.Binary;
using System.Text;

namespace Hone.Tests.Crash;

/// <summary>
/// A GGUF file with the embedded model's tokenizer and chat template and one small layer of random weights: everything is as real as with a large one, but
/// a job on it takes seconds.
/// </summary>
internal static class SmallModel
{
    private const int Hidden = 64, Inner = 128, Vocabulary = 49_152;
    private const uint UInt32Type = 4, StringType = 8, ArrayType = 9;
    private const int Alignment = 32;

    private static readonly Dictionary<string, uint> Shape = new()
    {
        ["llama.block_count"] = 1,
        ["llama.embedding_length"] = Hidden,
        ["llama.feed_forward_length"] = Inner,
        ["llama.attention.head_count"] = 2,
        ["llama.attention.head_count_kv"] = 1,
        ["llama.rope.dimension_count"] = 32,
        ["general.file_type"] = 0,
    };

    private static readonly (string Name, int[] Size)[] Tensors =
    [
        ("token_embd.weight", [Hidden, Vocabulary]), ("output_norm.weight", [Hidden]),
        ("blk.0.attn_norm.weight", [Hidden]), ("blk.0.attn_q.weight", [Hidden, Hidden]), ("blk.0.attn_k.weight", [Hidden, 32]), ("blk.0.attn_v.weight", [Hidden, 32]),
        ("blk.0.attn_output.weight", [Hidden, Hidden]), ("blk.0.ffn_norm.weight", [Hidden]), ("blk.0.ffn_gate.weight", [Hidden, Inner]),
        ("blk.0.ffn_up.weight", [Hidden, Inner]), ("blk.0.ffn_down.weight", [Inner, Hidden]),
    ];

    public static void Write(string embedded, string path)
    {
        using var source = new BinaryReader(File.OpenRead(embedded));
        using var target = new BinaryWriter(File.Create(path));
        // Magic and version, then the counts.
        target.Write(source.ReadBytes(8));
        _ = source.ReadUInt64();
        ulong keys = source.ReadUInt64();
        target.Write((ulong)Tensors.Length);
        target.Write(keys);
        for (ulong i = 0; i < keys; i++)
            CopyKey(source, target);
        long offset = 0;
        foreach ((string name, int[] size) in Tensors)
        {
            target.Write((ulong)name.Length);
            target.Write(Encoding.UTF8.GetBytes(name));
            target.Write(size.Length);
            foreach (int dimension in size)
                target.Write((ulong)dimension);
            target.Write(0);
            target.Write((ulong)offset);
            offset += Padded(Elements(size) * 4L);
        }
        target.Write(new byte[Padded(target.BaseStream.Position) - target.BaseStream.Position]);
        var random = new Random(1);
        foreach ((string name, int[] size) in Tensors)
        {
            // The norms' scales are about 1, the rest is small.
            bool norm = name.Contains("norm", StringComparison.Ordinal);
            for (int i = 0; i < Elements(size); i++)
                target.Write((float)(norm ? 1 : (random.NextDouble() - 0.5) * 0.3));
            target.Write(new byte[Padded(Elements(size) * 4L) - Elements(size) * 4L]);
        }
    }

    private static void CopyKey(BinaryReader source, BinaryWriter target)
    {
        byte[] name = source.ReadBytes((int)source.ReadUInt64());
        uint type = source.ReadUInt32();
        byte[] value = Value(source, type);
        if (Shape.TryGetValue(Encoding.UTF8.GetString(name), out uint small))
        {
            Assert.Equal(UInt32Type, type);
            BinaryPrimitives.WriteUInt32LittleEndian(value, small);
        }
        target.Write((ulong)name.Length);
        target.Write(name);
        target.Write(type);
        target.Write(value);
    }

    private static byte[] Value(BinaryReader source, uint type)
    {
        if (type is not (StringType or ArrayType))
            return source.ReadBytes(Width(type));
        using var copy = new MemoryStream();
        using var writer = new BinaryWriter(copy);
        if (type == StringType)
        {
            ulong length = source.ReadUInt64();
            writer.Write(length);
            writer.Write(source.ReadBytes((int)length));
        }
        else
        {
            uint element = source.ReadUInt32();
            ulong count = source.ReadUInt64();
            writer.Write(element);
            writer.Write(count);
            for (ulong i = 0; i < count; i++)
                writer.Write(Value(source, element));
        }
        return copy.ToArray();
    }

    private static int Width(uint type) => type switch
    {
        0 or 1 or 7 => 1,
        2 or 3 => 2,
        10 or 11 or 12 => 8,
        _ => 4,
    };

    private static int Elements(int[] size) => size.Aggregate(1, (product, dimension) => product * dimension);

    private static long Padded(long length) => (length + Alignment - 1) / Alignment * Alignment;
}
