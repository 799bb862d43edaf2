using System.Globalization;

namespace Hone.Formats.Gguf;

/// <summary>Types of metadata values; the numbers are GGUF's.</summary>
public enum GgufValueType
{
    UInt8 = 0,
    Int8 = 1,
    UInt16 = 2,
    Int16 = 3,
    UInt32 = 4,
    Int32 = 5,
    Float32 = 6,
    Bool = 7,
    String = 8,
    Array = 9,
    UInt64 = 10,
    Int64 = 11,
    Float64 = 12,
}

/// <summary>A metadata value in its own type: <see cref="byte"/> … <see cref="double"/>, <see cref="bool"/>, <see cref="string"/>, or an array of one of these.</summary>
/// <param name="ElementType">Of an array; else null.</param>
public sealed record GgufValue(GgufValueType Type, GgufValueType? ElementType, object Value)
{
    public override string ToString() => ElementType is { } element ? $"array of {((Array)Value).Length} {element}" : $"{Type} {Convert.ToString(Value, CultureInfo.InvariantCulture)}";
}

/// <summary>
/// The keys and values at the head of a GGUF file. The typed getters answer null for an absent key and throw <see cref="InvalidFileException"/> for a value
/// of another kind; <c>Required…</c> throws for an absent key too.
/// </summary>
public sealed class GgufMetadata
{
    private readonly string _path;
    private readonly Dictionary<string, GgufValue> _values;

    internal GgufMetadata(string path, Dictionary<string, GgufValue> values)
    {
        _path = path;
        _values = values;
    }

    public IReadOnlyDictionary<string, GgufValue> Values => _values;

    public bool Contains(string key) => _values.ContainsKey(key);

    public string? String(string key) => Find(key) switch
    {
        null => null,
        { Value: string text } => text,
        var other => throw WrongKind(key, "a string", other),
    };

    public bool? Bool(string key) => Find(key) switch
    {
        null => null,
        { Value: bool value } => value,
        var other => throw WrongKind(key, "a bool", other),
    };

    /// <summary>Any integer type.</summary>
    public long? Integer(string key) => Find(key) switch
    {
        null => null,
        { Value: byte value } => value,
        { Value: sbyte value } => value,
        { Value: ushort value } => value,
        { Value: short value } => value,
        { Value: uint value } => value,
        { Value: int value } => value,
        { Value: long value } => value,
        { Value: ulong value } when value <= long.MaxValue => (long)value,
        var other => throw WrongKind(key, "an integer", other),
    };

    /// <summary>An integer that fits 32 bits.</summary>
    public int? Int32(string key)
    {
        long? value = Integer(key);
        if (value is < int.MinValue or > int.MaxValue)
            throw Invalid(key, $"is {value}, which cannot be right");
        return (int?)value;
    }

    /// <summary>Floating point or integer. A float32 is taken as the shortest decimal that names it: 1e-5 stays 1e-5.</summary>
    public double? Number(string key) => Find(key) switch
    {
        null => null,
        { Value: float value } => double.Parse(value.ToString("R", CultureInfo.InvariantCulture), CultureInfo.InvariantCulture),
        { Value: double value } => value,
        { Value: bool or string or Array } other => throw WrongKind(key, "a number", other),
        { Value: ulong value } => value,
        _ => Integer(key),
    };

    public IReadOnlyList<string>? Strings(string key) => Find(key) switch
    {
        null => null,
        { Value: string[] values } => values,
        var other => throw WrongKind(key, "an array of strings", other),
    };

    /// <summary>An array of any integer type, each value in 32 bits.</summary>
    public int[]? Int32s(string key) => Find(key) switch
    {
        null => null,
        { Value: byte[] values, ElementType: GgufValueType.UInt8 } => Array.ConvertAll(values, v => (int)v),
        { Value: sbyte[] values, ElementType: GgufValueType.Int8 } => Array.ConvertAll(values, v => (int)v),
        { Value: ushort[] values, ElementType: GgufValueType.UInt16 } => Array.ConvertAll(values, v => (int)v),
        { Value: short[] values, ElementType: GgufValueType.Int16 } => Array.ConvertAll(values, v => (int)v),
        { Value: uint[] values, ElementType: GgufValueType.UInt32 } => Array.ConvertAll(values, v => v <= int.MaxValue ? (int)v : throw Invalid(key, $"holds {v}, which cannot be right")),
        { Value: int[] values, ElementType: GgufValueType.Int32 } => values,
        { Value: ulong[] values, ElementType: GgufValueType.UInt64 } => Array.ConvertAll(values, v => v <= int.MaxValue ? (int)v : throw Invalid(key, $"holds {v}, which cannot be right")),
        { Value: long[] values, ElementType: GgufValueType.Int64 } => Array.ConvertAll(values, v => v is >= int.MinValue and <= int.MaxValue ? (int)v : throw Invalid(key, $"holds {v}, which cannot be right")),
        var other => throw WrongKind(key, "an array of integers", other),
    };

    public float[]? Singles(string key) => Find(key) switch
    {
        null => null,
        { Value: float[] values } => values,
        { Value: double[] values } => Array.ConvertAll(values, v => (float)v),
        var other => throw WrongKind(key, "an array of floats", other),
    };

    public bool[]? Bools(string key) => Find(key) switch
    {
        null => null,
        { Value: bool[] values } => values,
        var other => throw WrongKind(key, "an array of bools", other),
    };

    public string RequiredString(string key) => String(key) ?? throw Missing(key);

    public int RequiredInt32(string key) => Int32(key) ?? throw Missing(key);

    public double RequiredNumber(string key) => Number(key) ?? throw Missing(key);

    public IReadOnlyList<string> RequiredStrings(string key) => Strings(key) ?? throw Missing(key);

    public int[] RequiredInt32s(string key) => Int32s(key) ?? throw Missing(key);

    private GgufValue? Find(string key) => _values.GetValueOrDefault(key);

    private InvalidFileException WrongKind(string key, string wanted, GgufValue value) => Invalid(key, $"is {value}; wanted is {wanted}");

    private InvalidFileException Missing(string key) => Invalid(key, "is missing");

    private InvalidFileException Invalid(string key, string what) =>
        new($"{_path}: the metadata key '{key}' {what}. Convert the model again with a current converter.");
}
