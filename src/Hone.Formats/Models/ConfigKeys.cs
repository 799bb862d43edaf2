using System.Text.Json;

namespace Hone.Formats.Models;

/// <summary>
/// The keys of an object in a model's <c>config.json</c>. Each key that is asked for counts as understood; what is left over and is neither known to have no effect
/// nor null, false or empty, is refused by name: a key that is not understood may change every number.
/// </summary>
internal sealed class ConfigKeys(string file, string path, JsonElement element)
{
    private readonly HashSet<string> _understood = new(StringComparer.Ordinal);

    public bool Has(string key) => Find(key) is not null;

    /// <summary>Given, and null: not the same as absent where the family's code has a default.</summary>
    public bool IsNull(string key) => element.TryGetProperty(key, out JsonElement value) && value.ValueKind == JsonValueKind.Null;

    public string? Text(string key) => Find(key) switch
    {
        null => null,
        { ValueKind: JsonValueKind.String } value => value.GetString(),
        { } value => throw Wrong(key, value, "a string"),
    };

    public string RequiredText(string key) => Text(key) ?? throw Missing(key);

    public bool Flag(string key, bool otherwise = false) => Find(key) switch
    {
        null => otherwise,
        { ValueKind: JsonValueKind.True } => true,
        { ValueKind: JsonValueKind.False } => false,
        { } value => throw Wrong(key, value, "true or false"),
    };

    /// <summary>A whole number above 0; null where the key is absent or null.</summary>
    public int? Count(string key) => Find(key) switch
    {
        null => null,
        { ValueKind: JsonValueKind.Number } value when Whole(value) is > 0 and <= int.MaxValue and var whole => (int)whole,
        { } value => throw Wrong(key, value, "a whole number above 0"),
    };

    public int RequiredCount(string key) => Count(key) ?? throw Missing(key);

    /// <summary>A finite number; null where the key is absent or null.</summary>
    public double? Number(string key) => Find(key) switch
    {
        null => null,
        { ValueKind: JsonValueKind.Number } value when value.TryGetDouble(out double number) && double.IsFinite(number) => number,
        { } value => throw Wrong(key, value, "a finite number"),
    };

    public double? Positive(string key) => Number(key) switch
    {
        null => null,
        > 0 and var number => number,
        _ => throw Wrong(key, Find(key)!.Value, "a number above 0"),
    };

    public double RequiredPositive(string key) => Positive(key) ?? throw Missing(key);

    public IReadOnlyList<JsonElement>? Array(string key, int? length = null)
    {
        if (Find(key) is not { } value)
            return null;
        if (value.ValueKind != JsonValueKind.Array)
            throw Wrong(key, value, "an array");
        if (length is { } wanted && value.GetArrayLength() != wanted)
            throw Wrong(key, value, $"an array of {wanted}");
        return [.. value.EnumerateArray()];
    }

    public IReadOnlyList<float> Factors(string key, int length)
    {
        IReadOnlyList<JsonElement> values = Array(key, length) ?? throw Missing(key);
        return [.. values.Select((v, i) => v.ValueKind == JsonValueKind.Number && v.TryGetSingle(out float f) && float.IsFinite(f) && f > 0 ? f : throw Wrong($"{key}[{i}]", v, "a number above 0"))];
    }

    public ConfigKeys? Object(string key) => Find(key) switch
    {
        null => null,
        { ValueKind: JsonValueKind.Object } value => new ConfigKeys(file, $"{path}.{key}", value),
        { } value => throw Wrong(key, value, "an object"),
    };

    /// <summary>The names of the keys that hold objects.</summary>
    public bool HoldsObjects => element.EnumerateObject().Any(p => p.Value.ValueKind == JsonValueKind.Object);

    public void Ignore(params IEnumerable<string> keys) => _understood.UnionWith(keys);

    /// <summary>Understood with this value alone.</summary>
    public void Only(string key, string json, string otherwise)
    {
        if (Find(key) is { } value && value.GetRawText() != json)
            throw Refused(key, value, otherwise);
    }

    public void RefuseOthers()
    {
        foreach (JsonProperty property in element.EnumerateObject())
        {
            if (!_understood.Contains(property.Name) && !ConfigValue.IsNeutral(property.Value))
                throw Refused(property.Name, property.Value, "which is not understood and may change the model's numbers");
        }
    }

    public InvalidFileException Refused(string key, JsonElement value, string why) => new($"{file}: {path}.{key} is {ConfigValue.Describe(value)}, {why}. Such a model is not supported.");

    public InvalidFileException Refused(string key, string why) => Find(key) is { } value ? Refused(key, value, why) : new InvalidFileException($"{file}: {path}.{key} is missing: {why}.");

    public InvalidFileException Missing(string key) => new($"{file}: {path}.{key} is missing. Get the model's config.json anew.");

    public InvalidFileException Wrong(string key, JsonElement value, string wanted) => new($"{file}: {path}.{key} is {ConfigValue.Describe(value)}; wanted is {wanted}. Correct the model's config.json.");

    public InvalidFileException Invalid(string what) => new($"{file}: {what}. Correct the model's config.json.");

    private JsonElement? Find(string key)
    {
        _understood.Add(key);
        return element.TryGetProperty(key, out JsonElement value) && value.ValueKind != JsonValueKind.Null ? value : null;
    }

    private static double? Whole(JsonElement value) => value.TryGetDouble(out double number) && Math.Floor(number) == number ? number : null;
}
