using Hone.Formats.Gguf;
using Hone.Formats.Models;

namespace Hone.Formats.Tests.Gguf;

/// <summary>Files that are cut or lie: the error says what and where, and nothing is believed before the file has been seen to hold it.</summary>
public sealed class GgufDamageTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    public static TheoryData<string, string> Damages => new()
    {
        { "version 1", "GGUF version is 1; 2 and 3 can be read" },
        { "big endian", "big-endian" },
        { "tensor count", "claims 18446744073709551615 tensors" },
        { "key count", "claims 9223372036854775808 metadata keys" },
        { "one key too many", "not a readable GGUF file" },
        { "duplicate key", "the metadata key 'general.name' occurs twice" },
        { "unknown value type", "'x' has the unknown type 13" },
        { "unknown element type", "'x' is an array of the unknown type 99" },
        { "array of arrays", "'x' is an array of arrays" },
        { "array length", "'x' claims 1152921504606846976 elements" },
        { "string array length", "'x' claims 4611686018427387904 elements" },
        { "string length", "'x' claims 18446744073709551615 bytes" },
        { "key length", "claims 281474976710656 bytes" },
        { "invalid text", "'x' is not valid UTF-8" },
        { "bool of 2", "'x' holds the byte 2" },
        { "alignment 0", "'general.alignment' is UInt32 0" },
        { "alignment 48", "'general.alignment' is UInt32 48" },
        { "duplicate tensor", "the tensor 'output_norm.weight' occurs twice" },
        { "five dimensions", "has 5 dimensions" },
        { "dimensions overflow", "which cannot be right" },
        { "unknown type", "the type number 4000" },
        { "known but unreadable type", "the type IQ2_XXS, which cannot be read" },
        { "part of a block", "have 33 values; Q4_0 stores blocks of 32" },
        { "misaligned offset", "the offset 8 of the tensor 'output_norm.weight' is no multiple of the alignment 32" },
        { "offset behind the end", "the tensor 'output_norm.weight' needs 128 bytes at byte" },
        { "offset overflow", "the tensor 'output_norm.weight' needs 128 bytes at offset 18446744073709551584" },
        { "overlap", "overlap" },
    };

    [Theory]
    [MemberData(nameof(Damages))]
    public void Open_LyingFile_SaysWhatAndWhere(string damage, string message)
    {
        byte[] bytes = Damage(damage);
        string path = _folder.Write("model.gguf", bytes);
        long before = GC.GetAllocatedBytesForCurrentThread();
        InvalidFileException e = Assert.Throws<InvalidFileException>(() => GgufFile.Open(path));
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 4L * bytes.Length + (1 << 20));
        Assert.Contains(message, e.Message, StringComparison.Ordinal);
        Assert.StartsWith(path, e.Message, StringComparison.Ordinal);
        Assert.Contains("(byte ", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Open_CutAtEveryPlace_IsRefused()
    {
        byte[] bytes = GgufBuilder.TinyLlama().Build();
        using (GgufFile whole = GgufFile.Open(_folder.Write("whole.gguf", bytes)))
            Assert.Equal(11, whole.Tensors.Count);
        for (int length = 0; length < bytes.Length; length += length < 6_000 ? 97 : 1_009)
            Assert.Throws<InvalidFileException>(() => GgufFile.Open(_folder.Write("cut.gguf", bytes.AsSpan(0, length))));
        Assert.Throws<InvalidFileException>(() => GgufFile.Open(_folder.Write("cut.gguf", bytes.AsSpan(0, bytes.Length - 1))));
    }

    [Theory]
    [InlineData("general.architecture", "gpt2", "the architecture 'gpt2'")]
    [InlineData("llama.rope.scaling.type", "spiral", "rotary scaling 'spiral'")]
    [InlineData("llama.rope.scaling.type", "yarn", "the metadata key 'llama.rope.scaling.factor' is missing")]
    [InlineData("llama.expert_count", 8u, "a mixture of experts")]
    [InlineData("llama.block_count", 4_000_000_000u, "'llama.block_count' is 4000000000")]
    [InlineData("llama.block_count", 2_000_000_000u, "is 2000000000, but the file has 11 tensors")]
    [InlineData("llama.block_count", 2u, "'blk.1.attn_norm.weight' is missing")]
    [InlineData("llama.block_count", 0u, "a number above 0 is needed")]
    [InlineData("llama.embedding_length", 48u, "'token_embd.weight' has the shape [259, 32] where the config demands [259, 48]")]
    [InlineData("llama.attention.head_count", 0u, "'llama.attention.head_count' is 0")]
    [InlineData("llama.attention.head_count", 2_000_000_000u, "do not divide")]
    [InlineData("llama.attention.head_count_kv", 3u, "4 heads are no multiple of 3")]
    [InlineData("llama.attention.key_length", 2_000_000_000u, "cannot be right")]
    [InlineData("llama.attention.value_length", 16u, "values of 16 dimensions")]
    [InlineData("llama.rope.dimension_count", 4u, "rotary embeddings on 4 of 8")]
    [InlineData("llama.attention.layer_norm_rms_epsilon", float.NaN, "a finite number above 0")]
    [InlineData("llama.rope.freq_base", "much", "wanted is a number")]
    [InlineData("tokenizer.ggml.eos_token_id", 259u, "")]
    public void BaseModel_WhatItCannotBe_IsRefusedByName(string key, object value, string message)
    {
        using (BaseModel.Open(_folder.Write("whole.gguf", GgufBuilder.TinyLlama().Build())))
        {
        }
        string path = _folder.Write("model.gguf", GgufBuilder.TinyLlama().Set(key, value).Build());
        InvalidFileException e = Assert.Throws<InvalidFileException>(() => BaseModel.Open(path));
        Assert.Contains(message, e.Message, StringComparison.Ordinal);
        Assert.Contains(path, e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void BaseModel_TensorsThatDoNotFit_AreNamedTogether()
    {
        byte[] bytes = GgufBuilder.TinyLlama().Without("blk.0.ffn_up.weight").Without("output_norm.weight")
            .Tensor("output_norm.weight", GgmlType.F32, 16).Tensor("blk.0.attn_norm.bias", GgmlType.F32, 32)
            .Without("blk.0.ffn_norm.weight").Tensor("blk.0.ffn_norm.weight", GgmlType.Q8_0, 32).Build();
        InvalidFileException e = Assert.Throws<InvalidFileException>(() => BaseModel.Open(_folder.Write("model.gguf", bytes)));
        Assert.Contains("4 tensors do not fit", e.Message, StringComparison.Ordinal);
        Assert.Contains("'blk.0.ffn_up.weight' is missing", e.Message, StringComparison.Ordinal);
        Assert.Contains("'output_norm.weight' has the shape [16] where the config demands [32]", e.Message, StringComparison.Ordinal);
        Assert.Contains("'blk.0.ffn_norm.weight' is a vector stored as Q8_0; F32, F16 and BF16 can be used", e.Message, StringComparison.Ordinal);
        Assert.Contains("'blk.0.attn_norm.bias' has no place in a llama model", e.Message, StringComparison.Ordinal);
    }

    private static byte[] Damage(string damage)
    {
        GgufBuilder good = GgufBuilder.TinyLlama();
        byte[] Array(int element, ulong count) => GgufBuilder.Bytes(w => { w.Write(9); w.Write(element); w.Write(count); });
        byte[] Flat(uint type, params byte[] value) => [.. BitConverter.GetBytes(type), .. value];
        switch (damage)
        {
            case "version 1": good.Version = 1; return good.Build();
            case "big endian": good.Version = 3u << 24; return good.Build();
            case "tensor count": good.TensorCount = ulong.MaxValue; return good.Build();
            case "key count": good.KeyCount = 1ul << 63; return good.Build();
            case "one key too many": good.KeyCount = 19; return good.Build();
            case "duplicate key": return good.Raw("general.name", Flat(0, 1)).Build();
            case "unknown value type": return good.Raw("x", Flat(13, 1)).Build();
            case "unknown element type": return good.Raw("x", Array(99, 1)).Build();
            case "array of arrays": return good.Raw("x", Array(9, 1)).Build();
            case "array length": return good.Raw("x", Array(10, 1ul << 60)).Build();
            case "string array length": return good.Raw("x", Array(8, 1ul << 62)).Build();
            case "string length": return good.Raw("x", GgufBuilder.Bytes(w => { w.Write(8); GgufBuilder.WriteString(w, [65], ulong.MaxValue); })).Build();
            case "key length":
                byte[] bytes = good.Build();
                BitConverter.TryWriteBytes(bytes.AsSpan(24), 1ul << 48);
                return bytes;
            case "invalid text": return good.Raw("x", GgufBuilder.Bytes(w => { w.Write(8); GgufBuilder.WriteString(w, [65, 0xC3, 0x28]); })).Build();
            case "bool of 2": return good.Raw("x", Flat(7, 2)).Build();
            case "alignment 0": return good.Set("general.alignment", 0u).Build();
            case "alignment 48": return good.Set("general.alignment", 48u).Build();
            case "duplicate tensor": return good.Tensor("output_norm.weight", GgmlType.F32, 32).Build();
            case "five dimensions": return good.Tensor("x", 0, [1, 1, 1, 1, 1], new byte[4]).Build();
            case "dimensions overflow": return good.Tensor("x", 0, [1ul << 40, 1ul << 40, 1ul << 40], new byte[4]).Build();
            case "unknown type": return good.Tensor("x", 4000, [32], new byte[4]).Build();
            case "known but unreadable type": return good.Tensor("x", 16, [256], new byte[66]).Build();
            case "part of a block": return good.Tensor("x", (uint)GgmlType.Q4_0, [33], new byte[18]).Build();
            case "misaligned offset": good.Offsets["output_norm.weight"] = 8; return good.Build();
            case "offset behind the end": good.Offsets["output_norm.weight"] = 1 << 20; return good.Build();
            case "offset overflow": good.Offsets["output_norm.weight"] = ulong.MaxValue - 31; return good.Build();
            case "overlap": good.Offsets["output_norm.weight"] = 0; return good.Build();
            default: throw new ArgumentException(damage);
        }
    }
}
