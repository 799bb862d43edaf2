using System.Text.Encodings.Web;
using System.Text.Json;

namespace Hone.Formats.Tokenizers;

/// <summary>An object of a tokenizer.json. Every member has to be asked for: <see cref="Done"/> refuses what is left, so that nothing is ignored.</summary>
internal sealed class JsonFields
{
    private const int LongestQuote = 200;

    private readonly JsonElement _object;
    private readonly HashSet<string> _asked = new(StringComparer.Ordinal);

    /// <param name="source">The file.</param>
    /// <param name="path">Where in it the value stands, such as <c>normalizer.normalizers[1]</c>.</param>
    /// <param name="value">An object, or else an error.</param>
    public JsonFields(string source, string path, JsonElement value)
    {
        (Source, Path, _object) = (source, path, value);
        if (value.ValueKind != JsonValueKind.Object)
            throw Invalid(source, path, $"is {Quote(value)}; wanted is an object.");
    }

    public string Source { get; }

    public string Path { get; }

    public static InvalidFileException Invalid(string source, string path, string what, Exception? inner = null) => new($"{source}: {path} {what}", inner);

    /// <summary>A text as errors show it: short, on one line.</summary>
    public static string Quote(string text) =>
        $"\"{JsonEncodedText.Encode(CodePoints.Valid(text.Length > LongestQuote ? text[..LongestQuote] + "…" : text), JavaScriptEncoder.UnsafeRelaxedJsonEscaping)}\"";

    /// <summary>The member's value; null where it is absent or null.</summary>
    public JsonElement? Optional(string name)
    {
        _asked.Add(name);
        return _object.TryGetProperty(name, out JsonElement value) && value.ValueKind != JsonValueKind.Null ? value : null;
    }

    public JsonElement Required(string name) => Optional(name) ?? throw Error(name, "is missing.");

    public string? OptionalText(string name) => Optional(name) is { } value ? TextOf(name, value) : null;

    public string Text(string name) => TextOf(name, Required(name));

    public bool Flag(string name, bool? otherwise = null) => (otherwise is null ? Required(name) : Optional(name)) switch
    {
        null => otherwise!.Value,
        { ValueKind: JsonValueKind.True } => true,
        { ValueKind: JsonValueKind.False } => false,
        { } value => throw Error(name, $"is {Quote(value)}; wanted is true or false."),
    };

    public int Number(string name) => NumberOf(name, Required(name));

    public int? OptionalNumber(string name) => Optional(name) is { } value ? NumberOf(name, value) : null;

    /// <summary>A text of exactly one character.</summary>
    public string Character(string name)
    {
        string text = Text(name);
        return text.Length > 0 && CodePoints.RuneAt(text, 0, out int length).Value >= 0 && length == text.Length ? text
            : throw Error(name, $"is {Quote(text)}; wanted is one character.");
    }

    public JsonFields Object(string name) => new(Source, PathOf(name), Required(name));

    public JsonFields? OptionalObject(string name) => Optional(name) is { } value ? new JsonFields(Source, PathOf(name), value) : null;

    public JsonFields[] Objects(string name)
    {
        JsonElement value = Required(name);
        if (value.ValueKind != JsonValueKind.Array)
            throw Error(name, $"is {Quote(value)}; wanted is an array.");
        return [.. value.EnumerateArray().Select((item, i) => new JsonFields(Source, $"{PathOf(name)}[{i}]", item))];
    }

    /// <summary>The members by name, all of them then asked for.</summary>
    public IEnumerable<(string Name, JsonElement Value)> All()
    {
        foreach (JsonProperty member in _object.EnumerateObject())
        {
            _asked.Add(member.Name);
            yield return (member.Name, member.Value);
        }
    }

    /// <summary>Refuses a member that nothing has asked for.</summary>
    public void Done()
    {
        foreach (JsonProperty member in _object.EnumerateObject())
        {
            if (!_asked.Contains(member.Name))
                throw Error(Quote(member.Name)[1..^1], $"({Quote(member.Value)}) is not known{(_asked.Count == 0 ? "" : $". Known here are {string.Join(", ", _asked)}")}.");
        }
    }

    public InvalidFileException Error(string name, string what) => Invalid(Source, PathOf(name), what);

    public string PathOf(string name) => Path.Length == 0 ? name : $"{Path}.{name}";

    public static string Quote(JsonElement value) => value.GetRawText().Shown(LongestQuote);

    private string TextOf(string name, JsonElement value)
    {
        if (value.ValueKind != JsonValueKind.String)
            throw Error(name, $"is {Quote(value)}; wanted is a text.");
        try
        {
            return value.GetString()!;
        }
        catch (InvalidOperationException e)
        {
            throw Invalid(Source, PathOf(name), "is no valid Unicode text.", e);
        }
    }

    private int NumberOf(string name, JsonElement value) => value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out int number) ? number
        : throw Error(name, $"is {Quote(value)}; wanted is a whole number.");
}
