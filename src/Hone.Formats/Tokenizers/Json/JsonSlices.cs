using System.Text.Json;

namespace Hone.Formats.Tokenizers;

/// <summary>Where the members of an object stand in a file, so that those of great length are read where they lie.</summary>
internal sealed class JsonSlices
{
    private static readonly JsonDocumentOptions s_options = new() { AllowDuplicateProperties = false, MaxDepth = 64 };

    private readonly Dictionary<string, Range> _members = new(StringComparer.Ordinal);
    private readonly string _source;
    private readonly string _path;

    /// <exception cref="JsonException">The text is no JSON.</exception>
    public JsonSlices(ReadOnlySpan<byte> utf8, Range range, string source, string path)
    {
        (_source, _path) = (source, path);
        (int start, int length) = range.GetOffsetAndLength(utf8.Length);
        var reader = new Utf8JsonReader(utf8.Slice(start, length));
        reader.Read();
        if (reader.TokenType != JsonTokenType.StartObject)
            throw JsonFields.Invalid(source, path.Length == 0 ? "the file" : path, $"is of kind {reader.TokenType}; wanted is an object.");
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            string name = reader.GetString()!;
            reader.Read();
            int at = (int)reader.TokenStartIndex;
            reader.Skip();
            if (!_members.TryAdd(name, (start + at)..(start + (int)reader.BytesConsumed)))
                throw JsonFields.Invalid(source, PathOf(name), "stands there twice.");
        }
        if (path.Length == 0)
            reader.Read(); // what follows the object
    }

    public IEnumerable<string> Names => _members.Keys;

    public Range? Find(string name) => _members.TryGetValue(name, out Range range) ? range : null;

    public Range Required(string name) => Find(name) ?? throw JsonFields.Invalid(_source, PathOf(name), "is missing.");

    /// <summary>The member's value; null where it is absent or null.</summary>
    public JsonElement? Value(ReadOnlySpan<byte> utf8, string name) =>
        Find(name) is { } range && JsonElement.Parse(utf8[range], s_options) is { ValueKind: not JsonValueKind.Null } value ? value : null;

    public string PathOf(string name) => _path.Length == 0 ? JsonFields.Quote(name)[1..^1] : $"{_path}.{JsonFields.Quote(name)[1..^1]}";
}
