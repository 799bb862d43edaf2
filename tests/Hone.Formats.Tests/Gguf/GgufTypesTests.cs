using System.Runtime.InteropServices;
using Hone.Formats.Gguf;
using Hone.Formats.Safetensors;

namespace Hone.Formats.Tests.Gguf;

/// <summary>Every block type against the values that gguf-py reads, bit by bit.</summary>
[Trait("Category", "Reference")]
public sealed class GgufTypesTests
{
    public static TheoryData<string> Folders => [.. References.Folders("gguf").Where(f => File.Exists(Path.Combine(f, "types.gguf")))];

    [Theory]
    [MemberData(nameof(Folders))]
    public void ReadFloat32_EveryBlockType_IsBitEqual(string folder)
    {
        using GgufFile file = GgufFile.Open(Path.Combine(folder, "types.gguf"));
        using SafetensorsFile expected = SafetensorsFile.Open(Path.Combine(folder, "types.safetensors"));
        Assert.NotEmpty(expected.Tensors);
        Assert.Equal(expected.Tensors.Select(t => t.Name).Order(), file.Tensors.Select(t => t.Name).Order());
        foreach (SafetensorsTensor tensor in expected.Tensors)
        {
            var wanted = new float[tensor.Elements];
            expected.ReadFloat32(tensor.Name, wanted);
            Assert.Equal(tensor.Shape, file.Find(tensor.Name)!.Shape);
            var actual = new float[wanted.Length];
            file.ReadFloat32(tensor.Name, actual);
            ReadOnlySpan<int> wantedBits = MemoryMarshal.Cast<float, int>(wanted);
            ReadOnlySpan<int> actualBits = MemoryMarshal.Cast<float, int>(actual);
            int same = wantedBits.CommonPrefixLength(actualBits);
            Assert.True(same == wanted.Length, same == wanted.Length ? "" : $"{tensor.Name}[{same}]: {actual[same]:r} instead of {wanted[same]:r}");
        }
    }

    [Fact]
    public void Metadata_EveryValueType_IsRead()
    {
        using GgufFile file = GgufFile.Open(Path.Combine(References.Own("gguf"), "types.gguf"));
        GgufMetadata metadata = file.Metadata;
        Assert.Equal("llama", metadata.String("general.architecture"));
        Assert.Equal((byte)200, metadata.Values["test.uint8"].Value);
        Assert.Equal((sbyte)-100, metadata.Values["test.int8"].Value);
        Assert.Equal((ushort)60000, metadata.Values["test.uint16"].Value);
        Assert.Equal((short)-30000, metadata.Values["test.int16"].Value);
        Assert.Equal(4000000000u, metadata.Values["test.uint32"].Value);
        Assert.Equal(-2000000000, metadata.Values["test.int32"].Value);
        Assert.Equal((1ul << 63) + 5, metadata.Values["test.uint64"].Value);
        Assert.Equal(-(1L << 62), metadata.Values["test.int64"].Value);
        Assert.Equal(0.1f, metadata.Values["test.float32"].Value);
        Assert.Equal(0.1, metadata.Values["test.float64"].Value);
        Assert.True(metadata.Bool("test.bool"));
        Assert.Equal("grüße 🙂", metadata.String("test.string"));
        Assert.Equal([1, 2, 3], metadata.Int32s("test.array.int")!);
        Assert.Equal(["a", "", "ü"], metadata.Strings("test.array.string"));
        Assert.Equal([0.5f, -1.5f], metadata.Singles("test.array.float")!);
        Assert.Equal([true, false], metadata.Bools("test.array.bool")!);
        Assert.Equal(0.1, metadata.Number("test.float32")); // the decimal that the float names
        Assert.Null(metadata.String("test.absent"));
    }

    [Fact]
    public void Metadata_OtherKindThanAsked_IsRefusedByName()
    {
        using GgufFile file = GgufFile.Open(Path.Combine(References.Own("gguf"), "types.gguf"));
        Assert.Contains("'test.string' is String grüße 🙂; wanted is an integer", Assert.Throws<InvalidFileException>(() => file.Metadata.Integer("test.string")).Message, StringComparison.Ordinal);
        Assert.Contains("'test.uint64'", Assert.Throws<InvalidFileException>(() => file.Metadata.Integer("test.uint64")).Message, StringComparison.Ordinal);
        Assert.Contains("'test.absent' is missing", Assert.Throws<InvalidFileException>(() => file.Metadata.RequiredString("test.absent")).Message, StringComparison.Ordinal);
        Assert.Contains("array of 3 Int32", Assert.Throws<InvalidFileException>(() => file.Metadata.Strings("test.array.int")).Message, StringComparison.Ordinal);
    }
}
