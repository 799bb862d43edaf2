using System.Buffers;
using System.Buffers.Binary;
using System.IO.Hashing;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json;

namespace Hone.Formats.TrainingData;

/// <summary>What a row says, apart from how its JSON is written: white space, escapes, absent or null keys.</summary>
internal sealed class RowFingerprint
{
    private readonly ArrayBufferWriter<byte> _bytes = new(1 << 12);
    private int _answer = -1;

    public void Begin()
    {
        _bytes.ResetWrittenCount();
        _answer = -1;
    }

    /// <summary>What follows is the answer to what came before; the last mark counts.</summary>
    public void MarkAnswer() => _answer = _bytes.WrittenCount;

    /// <summary>The texts of the row so far, escapes resolved, among length fields.</summary>
    public ReadOnlySpan<byte> Written => _bytes.WrittenSpan;

    public RowHash Row() => RowHash.Of(_bytes.WrittenSpan);

    /// <summary>The row before its last answer; null when it has none, or nothing before it.</summary>
    public RowHash? Question() => _answer > 0 ? RowHash.Of(_bytes.WrittenSpan[.._answer]) : null;

    public void Add(char tag)
    {
        _bytes.GetSpan(1)[0] = (byte)tag;
        _bytes.Advance(1);
    }

    public void Add(ReadOnlySpan<byte> text)
    {
        BinaryPrimitives.WriteInt32LittleEndian(_bytes.GetSpan(4), text.Length);
        _bytes.Advance(4);
        _bytes.Write(text);
    }

    public void Add(JsonElement value)
    {
        switch (value.ValueKind)
        {
            case JsonValueKind.String:
                AddString(value);
                break;
            case JsonValueKind.Object:
                Add('{');
                foreach (var property in value.EnumerateObject())
                {
                    Add(Encoding.UTF8.GetBytes(property.Name));
                    Add(property.Value);
                }
                Add('}');
                break;
            case JsonValueKind.Array:
                Add('[');
                foreach (var item in value.EnumerateArray())
                    Add(item);
                Add(']');
                break;
            case JsonValueKind.Undefined:
                Add('u');
                break;
            default:
                Add(JsonMarshal.GetRawUtf8Value(value));
                break;
        }
    }

    private void AddString(JsonElement value)
    {
        var raw = JsonMarshal.GetRawUtf8Value(value);
        raw = raw[1..^1];
        if (raw.IndexOf((byte)'\\') < 0)
        {
            Add(raw);
            return;
        }
        var reader = new Utf8JsonReader(JsonMarshal.GetRawUtf8Value(value));
        reader.Read();
        var target = _bytes.GetSpan(raw.Length + 4);
        int length = reader.CopyString(target[4..]);
        BinaryPrimitives.WriteInt32LittleEndian(target, length);
        _bytes.Advance(length + 4);
    }
}

/// <summary>128 bits of XXH3: two of ten million different rows have the same with a chance of 10⁻²⁵.</summary>
internal readonly record struct RowHash(ulong High, ulong Low)
{
    public static RowHash Of(ReadOnlySpan<byte> bytes)
    {
        var hash = XxHash128.HashToUInt128(bytes);
        return new((ulong)(hash >> 64), (ulong)hash);
    }

    public override int GetHashCode() => (int)Low;
}
