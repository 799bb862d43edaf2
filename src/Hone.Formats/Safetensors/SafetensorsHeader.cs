using System.Buffers.Binary;
using System.Text.Json;
using Hone.Formats.Files;

namespace Hone.Formats.Safetensors;

/// <summary>Reads and checks a header: 8 bytes of length, then a JSON object of <c>name: {dtype, shape, data_offsets}</c> and <c>__metadata__</c>.</summary>
internal sealed class SafetensorsHeader(MappedFile file, string shownName, int maxBytes)
{
    internal const int MaxBytes = 100_000_000;
    private const int MaxTensors = 200_000;
    private const int MaxMetadata = 100_000;
    private const int MaxDimensions = 16;

    public (Dictionary<string, string> Metadata, List<SafetensorsTensor> Tensors) Read()
    {
        if (file.Length < 8)
            throw Invalid($"it has {file.Length} bytes; the length of the header alone takes 8", 0, "The file is cut; fetch it again.");
        ulong length = BinaryPrimitives.ReadUInt64LittleEndian(file.Slice(0, 8));
        if (file.Length < 1024 && file.Slice(0, 8).SequenceEqual("version "u8))
            throw Invalid("it is a pointer of Git LFS, not the file itself", 0, "Fetch it with `git lfs pull`.");
        if (length > (ulong)maxBytes)
            throw Invalid($"its header claims {length} bytes; at most {maxBytes} are accepted", 0, "Give a file in safetensors format.");
        if (length > (ulong)(file.Length - 8))
            throw Invalid($"its header claims {length} bytes, but {file.Length - 8} bytes are left", 0, "The file is cut; fetch it again.");
        ReadOnlySpan<byte> json = file.Slice(8, (int)length);
        if (json.IsEmpty || json[0] != (byte)'{')
            throw Invalid("its header does not start with '{'", 8, "Give a file in safetensors format.");

        var metadata = new Dictionary<string, string>(StringComparer.Ordinal);
        var tensors = new List<SafetensorsTensor>();
        var reader = new Utf8JsonReader(json, new JsonReaderOptions { MaxDepth = 8 });
        try
        {
            Parse(ref reader, 8 + (long)length, metadata, tensors);
        }
        catch (JsonException e)
        {
            throw Invalid($"its header is not the JSON that it must be: {e.Message}", 8 + reader.BytesConsumed, inner: e);
        }
        catch (InvalidOperationException e) // a string with invalid UTF-8 or half a surrogate pair
        {
            throw Invalid("its header has a string that is not valid Unicode", 8 + reader.TokenStartIndex, inner: e);
        }
        CheckLayout(tensors, 8 + (long)length);
        return (metadata, tensors);
    }

    private void Parse(ref Utf8JsonReader reader, long data, Dictionary<string, string> metadata, List<SafetensorsTensor> tensors)
    {
        var names = new HashSet<string>(StringComparer.Ordinal);
        reader.Read();
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            long at = 8 + reader.TokenStartIndex;
            string name = reader.GetString()!;
            if (!names.Add(name))
                throw Invalid($"'{name}' occurs twice in its header", at);
            if (names.Count > MaxTensors)
                throw Invalid($"its header lists more than {MaxTensors} tensors", at);
            reader.Read();
            if (name == "__metadata__")
                ParseMetadata(ref reader, metadata);
            else
                tensors.Add(ParseTensor(ref reader, name, data, at));
        }
        if (reader.TokenType != JsonTokenType.EndObject || reader.Read())
            throw Invalid("its header is not one JSON object", 8 + reader.TokenStartIndex);
    }

    private void ParseMetadata(ref Utf8JsonReader reader, Dictionary<string, string> metadata)
    {
        if (reader.TokenType != JsonTokenType.StartObject)
            throw Invalid("'__metadata__' is not an object", 8 + reader.TokenStartIndex);
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            string key = reader.GetString()!;
            reader.Read();
            if (reader.TokenType != JsonTokenType.String)
                throw Invalid($"the value of '__metadata__.{key}' is not a string", 8 + reader.TokenStartIndex);
            if (metadata.Count == MaxMetadata)
                throw Invalid($"'__metadata__' has more than {MaxMetadata} keys", 8 + reader.TokenStartIndex);
            if (!metadata.TryAdd(key, reader.GetString()!))
                throw Invalid($"'__metadata__.{key}' occurs twice", 8 + reader.TokenStartIndex);
        }
    }

    private SafetensorsTensor ParseTensor(ref Utf8JsonReader reader, string name, long data, long at)
    {
        if (reader.TokenType != JsonTokenType.StartObject)
            throw Invalid($"the entry of the tensor '{name}' is not an object", at);
        SafetensorsType? type = null;
        List<long>? shape = null, offsets = null;
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            string key = reader.GetString()!;
            reader.Read();
            switch (key)
            {
                case "dtype" when type is null:
                    type = Type(ref reader, name, at);
                    break;
                case "shape" when shape is null:
                    shape = Integers(ref reader, $"the shape of the tensor '{name}'", MaxDimensions);
                    break;
                case "data_offsets" when offsets is null:
                    offsets = Integers(ref reader, $"the data_offsets of the tensor '{name}'", 2);
                    break;
                default:
                    throw Invalid($"the entry of the tensor '{name}' has the key '{key}' {(key is "dtype" or "shape" or "data_offsets" ? "twice" : "which the format does not know")}", at);
            }
        }
        if (type is null || shape is null || offsets is null)
            throw Invalid($"the entry of the tensor '{name}' lacks {(type is null ? "dtype" : shape is null ? "shape" : "data_offsets")}", at);
        if (offsets.Count != 2 || offsets[0] > offsets[1])
            throw Invalid($"the data_offsets of the tensor '{name}' are [{string.Join(", ", offsets)}]; wanted are a first byte and an end", at);
        if (offsets[1] > file.Length - data)
            throw Invalid($"the tensor '{name}' ends at byte {offsets[1]} of the data, but the file has {file.Length - data} bytes of data", at, "The file is cut; fetch it again.");

        UInt128 bytes = (UInt128)SafetensorsTensor.SizeOf(type.Value);
        foreach (long size in shape)
        {
            bytes *= (ulong)size;
            if (bytes > long.MaxValue) // before the next factor could overflow
                bytes = long.MaxValue;
        }
        if (shape.Contains(0))
            bytes = 0;
        if (bytes != (ulong)(offsets[1] - offsets[0]))
            throw Invalid($"the tensor '{name}' of {type} [{string.Join(", ", shape)}] needs {bytes} bytes; its data_offsets give it {offsets[1] - offsets[0]}", at);
        return new SafetensorsTensor(name, type.Value, [.. shape], data + offsets[0], offsets[1] - offsets[0]);
    }

    private SafetensorsType Type(ref Utf8JsonReader reader, string name, long at)
    {
        string? text = reader.TokenType == JsonTokenType.String ? reader.GetString() : null;
        return text switch
        {
            "BOOL" => SafetensorsType.Bool,
            "U8" => SafetensorsType.U8,
            "I8" => SafetensorsType.I8,
            "U16" => SafetensorsType.U16,
            "I16" => SafetensorsType.I16,
            "U32" => SafetensorsType.U32,
            "I32" => SafetensorsType.I32,
            "U64" => SafetensorsType.U64,
            "I64" => SafetensorsType.I64,
            "F16" => SafetensorsType.F16,
            "BF16" => SafetensorsType.BF16,
            "F32" => SafetensorsType.F32,
            "F64" => SafetensorsType.F64,
            _ => throw Invalid($"the tensor '{name}' has the dtype {(text is null ? "that is no string" : $"'{text}'")}, which cannot be read", at, "Save the tensors as F32, F16 or BF16."),
        };
    }

    private List<long> Integers(ref Utf8JsonReader reader, string what, int limit)
    {
        if (reader.TokenType != JsonTokenType.StartArray)
            throw Invalid($"{what} is not an array", 8 + reader.TokenStartIndex);
        var values = new List<long>();
        while (reader.Read() && reader.TokenType != JsonTokenType.EndArray)
        {
            if (reader.TokenType != JsonTokenType.Number || !reader.TryGetInt64(out long value) || value < 0)
                throw Invalid($"{what} holds something else than whole numbers from 0 to 2^63 - 1", 8 + reader.TokenStartIndex);
            if (values.Count == limit)
                throw Invalid($"{what} has more than {limit} elements", 8 + reader.TokenStartIndex);
            values.Add(value);
        }
        return values;
    }

    /// <summary>The data is covered once: hidden bytes and shared bytes are refused, as the format's own reader does.</summary>
    private void CheckLayout(List<SafetensorsTensor> tensors, long data)
    {
        tensors.Sort((a, b) => (a.Offset, a.Length, 0).CompareTo((b.Offset, b.Length, 0)) is var order and not 0 ? order : string.CompareOrdinal(a.Name, b.Name));
        long end = data;
        string before = "the header";
        foreach (SafetensorsTensor tensor in tensors)
        {
            if (tensor.Offset < end)
                throw Invalid($"the tensor '{tensor.Name}' overlaps '{before}'", tensor.Offset);
            if (tensor.Offset > end)
                throw Invalid($"{tensor.Offset - end} bytes before the tensor '{tensor.Name}' belong to no tensor", end);
            end = tensor.Offset + tensor.Length;
            before = tensor.Name;
        }
        if (end != file.Length)
            throw Invalid($"{file.Length - end} bytes at its end belong to no tensor", end);
    }

    private InvalidFileException Invalid(string what, long at, string hint = "The file is damaged; save or fetch it again.", Exception? inner = null) =>
        new($"{shownName}: not a readable safetensors file: {what} (byte {at}). {hint}", inner);
}
