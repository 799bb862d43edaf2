using System.Text;
using Hone.Formats.Safetensors;

namespace Hone.Formats.Tests.Safetensors;

/// <summary>Files that are cut or lie, and those at the edge of what is allowed.</summary>
public sealed class SafetensorsDamageTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}""", 8, "'a' occurs twice")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}""", 12, "the tensor 'b' overlaps 'a'")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}""", 8, "the tensor 'b' overlaps 'a'")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[1,9]}}""", 9, "1 bytes before the tensor 'a' belong to no tensor")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}""", 12, "4 bytes at its end belong to no tensor")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}""", 7, "the tensor 'a' ends at byte 8 of the data, but the file has 7")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}""", 8, "the data_offsets of the tensor 'a' are [8, 0]")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0]}}""", 8, "the data_offsets of the tensor 'a' are [0]")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8,8]}}""", 8, "has more than 2 elements")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[-8,0]}}""", 8, "whole numbers from 0")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2.5],"data_offsets":[0,8]}}""", 8, "the shape of the tensor 'a' holds something else")]
    [InlineData("""{"a":{"dtype":"F32","shape":[9223372036854775808],"data_offsets":[0,8]}}""", 8, "the shape of the tensor 'a' holds something else")]
    [InlineData("""{"a":{"dtype":"F32","shape":[4611686018427387904,4611686018427387904,4611686018427387904],"data_offsets":[0,8]}}""", 8, "its data_offsets give it 8")]
    [InlineData("""{"a":{"dtype":"F16","shape":[2],"data_offsets":[0,8]}}""", 8, "the tensor 'a' of F16 [2] needs 4 bytes; its data_offsets give it 8")]
    [InlineData("""{"a":{"dtype":"Q4","shape":[2],"data_offsets":[0,8]}}""", 8, "the tensor 'a' has the dtype 'Q4', which cannot be read")]
    [InlineData("""{"a":{"dtype":32,"shape":[2],"data_offsets":[0,8]}}""", 8, "the dtype that is no string")]
    [InlineData("""{"a":{"shape":[2],"data_offsets":[0,8]}}""", 8, "the entry of the tensor 'a' lacks dtype")]
    [InlineData("""{"a":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}}""", 8, "has the key 'dtype' twice")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"x":1}}""", 8, "has the key 'x' which the format does not know")]
    [InlineData("""{"a":[]}""", 0, "the entry of the tensor 'a' is not an object")]
    [InlineData("""{"__metadata__":{"a":1}}""", 0, "the value of '__metadata__.a' is not a string")]
    [InlineData("""{"__metadata__":[]}""", 0, "'__metadata__' is not an object")]
    [InlineData("""{"__metadata__":{"a":"\ud800"}}""", 0, "not valid Unicode")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}""", 8, "not the JSON that it must be")]
    [InlineData("""{}{}""", 0, "not the JSON that it must be")]
    [InlineData("""[]""", 0, "does not start with '{'")]
    public void Open_WrongHeader_SaysWhatAndWhere(string header, int data, string message)
    {
        string path = _folder.Write("a.safetensors", File(header, data));
        InvalidFileException e = Assert.Throws<InvalidFileException>(() => SafetensorsFile.Open(path));
        Assert.Contains(message, e.Message, StringComparison.Ordinal);
        Assert.StartsWith(path, e.Message, StringComparison.Ordinal);
        Assert.Contains("(byte ", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Open_InvalidBytesOrDepth_IsRefused()
    {
        byte[] invalid = File("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}""", 8);
        invalid[10] = 0xFF;
        Assert.Contains("not valid Unicode", Assert.Throws<InvalidFileException>(() => SafetensorsFile.Open(_folder.Write("a", invalid))).Message, StringComparison.Ordinal);
        byte[] deep = File(string.Concat(Enumerable.Repeat("{\"a\":", 1_000_000)), 0);
        Assert.Throws<InvalidFileException>(() => SafetensorsFile.Open(_folder.Write("b", deep)));
    }

    [Theory]
    [InlineData(2_000_000_000, 2_100_000_000, "its header claims 2000000000 bytes; at most 100000000 are accepted")]
    [InlineData(-1, 64, "its header claims 18446744073709551615 bytes")]
    [InlineData(57, 64, "its header claims 57 bytes, but 56 bytes are left")]
    [InlineData(0, 64, "does not start with '{'")]
    [InlineData(0x206e6f6973726576, 134, "a pointer of Git LFS")] // "version "
    public void Open_HeaderLength_IsNotBelieved(long claimed, long length, string message)
    {
        string path = _folder.File("a.safetensors");
        using (FileStream stream = System.IO.File.Create(path))
        {
            stream.Write(BitConverter.GetBytes(claimed));
            stream.SetLength(length); // sparse: takes no space
        }
        long before = GC.GetAllocatedBytesForCurrentThread();
        InvalidFileException e = Assert.Throws<InvalidFileException>(() => SafetensorsFile.Open(path));
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 1 << 20);
        Assert.Contains(message, e.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(7)]
    public void Open_ShorterThanItsLength_IsRefused(int length) =>
        Assert.Contains($"it has {length} bytes", Assert.Throws<InvalidFileException>(() => SafetensorsFile.Open(_folder.Write("a", new byte[length]))).Message, StringComparison.Ordinal);

    [Fact]
    public void ReadFloat32_EveryType_GivesItsValues()
    {
        (string Type, byte[] Data, float[] Values)[] cases =
        [
            ("F64", [.. BitConverter.GetBytes(0.1), .. BitConverter.GetBytes(-2.0)], [0.1f, -2]),
            ("F32", [.. BitConverter.GetBytes(0.1f), .. BitConverter.GetBytes(float.NegativeInfinity)], [0.1f, float.NegativeInfinity]),
            ("F16", [0x00, 0x3C, 0x01, 0x00, 0x00, 0xFC, 0xFF, 0x7B, 0x00, 0x80, 0xFF, 0x03, 0x00, 0x04, 0x55, 0x35, 0x00, 0xC0], [1, 5.9604645e-8f, float.NegativeInfinity, 65504, -0f, 6.097555e-5f, 6.1035156e-5f, 0.33325195f, -2]),
            ("BF16", [0x80, 0x3F, 0x80, 0xFF], [1, float.NegativeInfinity]),
            ("I64", [.. BitConverter.GetBytes(-5L)], [-5]),
            ("I32", [.. BitConverter.GetBytes(-70_000)], [-70_000]),
            ("I16", [0xFE, 0xFF], [-2]),
            ("I8", [0x80, 0x7F], [-128, 127]),
            ("U64", [.. BitConverter.GetBytes(ulong.MaxValue)], [18446744073709551615f]),
            ("U32", [.. BitConverter.GetBytes(uint.MaxValue)], [4294967295f]),
            ("U16", [0xFF, 0xFF], [65535]),
            ("U8", [0xFF], [255]),
            ("BOOL", [0, 1], [0, 1]),
            ("F32", [], []),
        ];
        foreach ((string type, byte[] data, float[] values) in cases)
        {
            string header = $$$"""{"a":{"dtype":"{{{type}}}","shape":[{{{values.Length}}}],"data_offsets":[0,{{{data.Length}}}]}}""";
            using SafetensorsFile file = SafetensorsFile.Open(_folder.Write("a", [.. File(header, 0), .. data]));
            var actual = new float[values.Length];
            file.ReadFloat32("a", actual);
            Assert.Equal(values.Select(BitConverter.SingleToInt32Bits), actual.Select(BitConverter.SingleToInt32Bits));
            Assert.Equal(data, file.ReadBytes("a"));
            if (values.Length > 1)
            {
                file.ReadFloat32(file.Find("a")!, 1, actual.AsSpan(0, values.Length - 1));
                Assert.Equal(values[1..], actual[..^1]);
            }
            Assert.Throws<ArgumentOutOfRangeException>(() => file.ReadFloat32(file.Find("a")!, 1, new float[values.Length]));
        }
    }

    [Fact]
    public void Half_AllBits_EqualTheScalarConversion()
    {
        byte[] data = [.. Enumerable.Range(0, 65536).SelectMany(i => BitConverter.GetBytes((ushort)i))];
        using SafetensorsFile file = SafetensorsFile.Open(_folder.Write("a", [.. File("""{"a":{"dtype":"F16","shape":[65536],"data_offsets":[0,131072]}}""", 0), .. data]));
        var values = new float[65536];
        file.ReadFloat32("a", values);
        for (int i = 0; i < values.Length; i++)
        {
            float expected = (float)BitConverter.UInt16BitsToHalf((ushort)i);
            Assert.True(float.IsNaN(expected) ? float.IsNaN(values[i]) : BitConverter.SingleToInt32Bits(expected) == BitConverter.SingleToInt32Bits(values[i]), $"{i:x4}");
        }
    }

    [Fact]
    public void Write_SameContentInAnyOrder_GivesTheSameBytes()
    {
        SafetensorsData[] tensors = [new("b.\"quote\"", [2, 1], new float[] { 1, 2 }), new("a", [3], new float[] { float.NaN, -0f, 3 }), new("é", [], new float[] { 7 }), new("empty", [0, 4], default)];
        using var first = new MemoryStream();
        using var second = new MemoryStream();
        SafetensorsWriter.Write(first, tensors, new Dictionary<string, string> { ["z"] = "1", ["format"] = "pt" });
        SafetensorsWriter.Write(second, Enumerable.Reverse(tensors), new Dictionary<string, string> { ["format"] = "pt", ["z"] = "1" });
        Assert.Equal(first.ToArray(), second.ToArray());
        using SafetensorsFile file = SafetensorsFile.Open(_folder.Write("a", first.ToArray()));
        Assert.Equal("1", file.Metadata["z"]);
        Assert.Equal(0, file.Tensors[0].Offset % 8);
        foreach (SafetensorsData tensor in tensors)
        {
            Assert.Equal(tensor.Shape, file.Find(tensor.Name)!.Shape);
            Assert.True(file.ReadBytes(tensor.Name).SequenceEqual(System.Runtime.InteropServices.MemoryMarshal.AsBytes(tensor.Values.Span)), tensor.Name);
        }
    }

    [Fact]
    public void Write_WrongTensors_LeavesNothing()
    {
        string path = _folder.File("a.safetensors");
        Assert.Throws<ArgumentException>(() => SafetensorsWriter.Write(path, [new("a", [2], new float[3])]));
        Assert.Throws<ArgumentException>(() => SafetensorsWriter.Write(path, [new("a", [1], new float[1]), new("a", [1], new float[1])]));
        Assert.Throws<ArgumentException>(() => SafetensorsWriter.Write(path, [new("__metadata__", [1], new float[1])]));
        Assert.Empty(Directory.GetFiles(_folder.Path));
    }

    private static byte[] File(string header, int data)
    {
        byte[] json = Encoding.UTF8.GetBytes(header);
        return [.. BitConverter.GetBytes((ulong)json.Length), .. json, .. new byte[data]];
    }
}
