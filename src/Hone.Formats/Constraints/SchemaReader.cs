using System.Globalization;
using System.Runtime.InteropServices;
using System.Text.Json;
using Hone.Formats.Files;

namespace Hone.Formats.Constraints;

/// <summary>
/// Reads a JSON Schema (draft 2020-12, and <c>definitions</c>, lists of <c>items</c> and <c>additionalItems</c> of the drafts before it). A keyword that would not be enforced is an error with its
/// path, never passed over. What nothing refers to is not read.
/// </summary>
internal sealed class SchemaReader
{
    private const int MostSchemas = 10_000;
    private const int MostValues = 10_000;
    private const int MostMembers = 2_000; // of one object
    private const int MostValueBytes = 1 << 18;
    private const int DeepestSchema = 200;
    private const decimal MostNumber = 1e28m;

    private static readonly HashSet<string> s_annotations =
    [
        "$schema", "$id", "$comment", "$defs", "definitions", "title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly",
    ];

    private readonly JsonElement _root;
    private readonly Dictionary<int, Schema> _byPlace = []; // where it begins in the root's bytes: paths are for people, and cut
    private string? _resource; // the path of the $id below the root that references here would start at
    private int _values;
    private long _valueBytes;
    private int _depth;

    private SchemaReader(JsonElement root) => _root = root;

    /// <exception cref="SchemaException"/>
    public static Schema Read(JsonElement root)
    {
        if (root.ValueKind is JsonValueKind.Undefined || JsonText.FirstInvalid(JsonMarshal.GetRawUtf8Value(root)) >= 0)
            throw new SchemaException("$", "the schema holds a string that is no Unicode text");
        var reader = new SchemaReader(root);
        Schema schema = reader.At(root, "$");
        reader.RefuseCircles();
        reader.MarkFormats();
        return schema;
    }

    /// <summary>A schema that holds where it holds itself says nothing.</summary>
    private void RefuseCircles()
    {
        ILookup<Schema, Schema> users = _byPlace.Values.SelectMany(s => s.Together.Select(other => (Used: other, By: s))).ToLookup(u => u.Used, u => u.By);
        Dictionary<Schema, int> open = _byPlace.Values.ToDictionary(s => s, s => s.Together.Count()); // references that are not known to end
        var work = new Stack<Schema>(open.Where(s => s.Value == 0).Select(s => s.Key));
        while (work.TryPop(out Schema? ended))
        {
            foreach (Schema user in users[ended])
            {
                if (--open[user] == 0)
                    work.Push(user);
            }
        }
        if (open.FirstOrDefault(s => s.Value > 0).Key is { } circle)
            throw new SchemaException(circle.Path, "its references lead round in a circle");
    }

    private void MarkFormats()
    {
        ILookup<Schema, Schema> users = _byPlace.Values.SelectMany(s => s.Parts.Select(part => (Used: part, By: s))).ToLookup(u => u.Used, u => u.By);
        var work = new Stack<Schema>(_byPlace.Values.Where(s => s.Format is not null));
        while (work.TryPop(out Schema? schema))
        {
            if (schema.HasFormat)
                continue;
            schema.HasFormat = true;
            foreach (Schema user in users[schema])
                work.Push(user);
        }
    }

    private Schema At(JsonElement element, string path)
    {
        JsonMarshal.GetRawUtf8Value(_root).Overlaps(JsonMarshal.GetRawUtf8Value(element), out int place);
        if (_byPlace.TryGetValue(place, out Schema? known))
            return known;
        if (_byPlace.Count >= MostSchemas)
            throw new SchemaException(path, $"the schema has more than {MostSchemas:N0} subschemas; make it smaller");
        if (_depth >= DeepestSchema)
            throw new SchemaException(path, $"the schema is nested deeper than {DeepestSchema} levels of schemas within or referring to each other; make it flatter");
        var schema = new Schema(_byPlace.Count, path);
        _byPlace.Add(place, schema); // before its parts, which may refer to it
        string? outer = _resource;
        if (place > 0 && IsResource(element))
            _resource = Below(path, "$id");
        _depth++;
        switch (element.ValueKind)
        {
            case JsonValueKind.True:
                break;
            case JsonValueKind.False:
                schema.Never = true;
                break;
            case JsonValueKind.Object:
                var seen = new HashSet<string>();
                foreach (JsonProperty keyword in element.EnumerateObject())
                {
                    if (!seen.Add(keyword.Name))
                        throw new SchemaException(Below(path, keyword.Name), "the keyword is there twice");
                    Keyword(schema, element, keyword.Name, keyword.Value, Below(path, keyword.Name));
                }
                break;
            default:
                throw Wrong(element, path, "a schema: an object, true or false");
        }
        _depth--;
        _resource = outer;
        return schema;
    }

    private static bool IsResource(JsonElement element) => element.ValueKind is JsonValueKind.Object && element.TryGetProperty("$id", out _);

    private void Keyword(Schema schema, JsonElement written, string name, JsonElement value, string path)
    {
        switch (name)
        {
            case "type": schema.Types = Types(value, path); break;
            case "enum": AddValues(schema, Items(value, path), path); break;
            case "const": AddValues(schema, [value], path); break;
            case "properties": schema.Properties = [.. Members(value, path).Select(p => (p.Name, At(p.Value, Below(path, p.Name))))]; break;
            case "required": schema.Required = [.. Items(value, path).Select((item, i) => Text(item, $"{path}[{i}]"))]; break;
            case "additionalProperties": schema.AdditionalProperties = At(value, path); break;
            case "propertyNames": schema.Names = Names(value, path); break;
            case "prefixItems": schema.PrefixItems = Schemas(value, path); break;
            case "items" when value.ValueKind is JsonValueKind.Array:
                schema.PrefixItems = written.TryGetProperty("prefixItems", out _) ? throw new SchemaException(path, "a list of schemas stands beside prefixItems, which says the same since draft 2020-12; keep one of them") : Schemas(value, path);
                break;
            case "additionalItems":
                schema.Items = written.TryGetProperty("items", out JsonElement first) && first.ValueKind is JsonValueKind.Array ? At(value, path) : throw new SchemaException(path, "it has a meaning beside a list of items alone; use items");
                break;
            case "items": schema.Items = At(value, path); break;
            case "minItems": schema.MinItems = Count(value, path); break;
            case "maxItems": schema.MaxItems = Count(value, path); break;
            case "minLength": schema.MinLength = Count(value, path); break;
            case "maxLength": schema.MaxLength = Count(value, path); break;
            case "pattern": schema.Pattern = Text(value, path); break;
            // With these names a pattern says what it is called.
            case "format" when value.ValueKind is JsonValueKind.String && StringFormats.SaidByPattern.Contains(Text(value, path)) && HasPattern(written): break;
            case "format": schema.Format = Format(value, path); break;
            case "minimum": schema.Minimum = Tighter(schema.Minimum, new Bound(Number(value, path), false), upper: false); break;
            case "maximum": schema.Maximum = Tighter(schema.Maximum, new Bound(Number(value, path), false), upper: true); break;
            case "exclusiveMinimum": schema.Minimum = Tighter(schema.Minimum, new Bound(Number(value, path), true), upper: false); break;
            case "exclusiveMaximum": schema.Maximum = Tighter(schema.Maximum, new Bound(Number(value, path), true), upper: true); break;
            case "anyOf": schema.AnyOf = Branches(value, path); break;
            case "oneOf": schema.OneOf = Branches(value, path); break;
            case "allOf": schema.AllOf = Branches(value, path); break;
            case "$ref": schema.Target = Refer(Text(value, path), path); break;
            default:
                if (!s_annotations.Contains(name))
                    throw new SchemaException(path, $"the keyword '{name.Shown(60)}' is not enforced here, so it is refused; take it out, or say the same with other keywords");
                break;
        }
    }

    /// <summary>The tighter of two limits.</summary>
    public static Bound? Tighter(Bound? a, Bound? b, bool upper)
    {
        if (a is not { } x || b is not { } y)
            return a ?? b;
        if (x.Value == y.Value)
            return x.Exclusive ? x : y;
        return upper == x.Value < y.Value ? x : y;
    }

    private void AddValues(Schema schema, List<JsonElement> values, string path)
    {
        if (schema.Values is not null)
            throw new SchemaException(path, "enum and const stand side by side; keep one of them");
        if (values.Count == 0)
            throw new SchemaException(path, "it lists no value, so nothing satisfies it");
        if ((_values += values.Count) > MostValues)
            throw new SchemaException(path, $"the schema lists more than {MostValues:N0} values");
        if ((_valueBytes += values.Sum(v => (long)JsonMarshal.GetRawUtf8Value(v).Length)) > MostValueBytes)
            throw new SchemaException(path, $"the schema's values take more than {MostValueBytes >> 10} KiB");
        schema.Values = values;
    }

    private static JsonTypes Types(JsonElement value, string path)
    {
        if (value.ValueKind is not JsonValueKind.Array)
            return OneType(value, path);
        JsonTypes types = JsonTypes.None;
        foreach (JsonElement item in Items(value, path))
            types |= OneType(item, path);
        return types;
    }

    private static JsonTypes OneType(JsonElement value, string path) => Text(value, path) switch
    {
        "null" => JsonTypes.Null,
        "boolean" => JsonTypes.Boolean,
        "integer" => JsonTypes.Integer,
        "number" => JsonTypes.Number,
        "string" => JsonTypes.String,
        "array" => JsonTypes.Array,
        "object" => JsonTypes.Object,
        var other => throw new SchemaException(path, $"there is no type '{other.Shown(60)}'; there are string, number, integer, boolean, null, array, object"),
    };

    /// <returns>Null: any.</returns>
    private List<string>? Names(JsonElement value, string path)
    {
        Schema names = At(value, path);
        if (value.ValueKind is JsonValueKind.Object && value.EnumerateObject().FirstOrDefault(k => k.Name is not ("type" or "enum" or "const") && !s_annotations.Contains(k.Name)) is { Value.ValueKind: not JsonValueKind.Undefined } other)
            throw new SchemaException(Below(path, other.Name), "of names only type, enum and const are enforced; list them as properties, or take it out");
        if (names.Values?.Count > MostMembers)
            throw new SchemaException(path, $"it lists {names.Values.Count:N0} names, at most {MostMembers:N0} are taken");
        return names.Never || !names.Types.HasFlag(JsonTypes.String) ? [] : names.Values?.FindAll(v => v.ValueKind is JsonValueKind.String).ConvertAll(v => v.GetString()!);
    }

    private static bool HasPattern(JsonElement schema) => schema.ValueKind is JsonValueKind.Object
        && (schema.TryGetProperty("pattern", out _) || (schema.TryGetProperty("allOf", out JsonElement all) && all.ValueKind is JsonValueKind.Array && all.EnumerateArray().Any(HasPattern)));

    private static string Format(JsonElement value, string path)
    {
        string format = Text(value, path);
        return StringFormats.Names.Contains(format)
            ? format
            : throw new SchemaException(path, $"the format '{format.Shown(60)}' is not enforced here, so it is refused; there are {string.Join(", ", StringFormats.Names)}");
    }

    private List<Schema> Schemas(JsonElement value, string path) => [.. Items(value, path).Select((item, i) => At(item, $"{path}[{i}]"))];

    private List<Schema> Branches(JsonElement value, string path) =>
        Schemas(value, path) is { Count: > 0 } branches ? branches : throw new SchemaException(path, "it must list at least one schema");

    private Schema Refer(string reference, string path)
    {
        if (reference != "#" && !reference.StartsWith("#/", StringComparison.Ordinal))
            throw new SchemaException(path, $"'{reference.Shown(60)}' cannot be followed: only references within the schema, such as #/$defs/item, are");
        if (_resource is not null)
            throw new SchemaException(path, $"'{reference.Shown(60)}' is a place within {_resource}'s part of the schema, which is not told apart here; take that $id out");
        (JsonElement target, string place) = (_root, "$");
        foreach (string part in reference.Split('/').Skip(1))
        {
            string name = Uri.UnescapeDataString(part).Replace("~1", "/", StringComparison.Ordinal).Replace("~0", "~", StringComparison.Ordinal);
            if (target.ValueKind is JsonValueKind.Object && target.TryGetProperty(name, out JsonElement member))
                (target, place) = (member, Below(place, name));
            else if (target.ValueKind is JsonValueKind.Array && int.TryParse(name, NumberStyles.None, CultureInfo.InvariantCulture, out int index) && index < target.GetArrayLength())
                (target, place) = (target[index], $"{place}[{index}]");
            else
                throw new SchemaException(path, $"'{reference.Shown(60)}' leads nowhere");
            if (IsResource(target))
                _resource = Below(place, "$id");
        }
        Schema schema = At(target, place);
        _resource = null;
        return schema;
    }

    private static decimal Number(JsonElement value, string path) =>
        value.ValueKind is not JsonValueKind.Number ? throw Wrong(value, path, "a number")
        : Exact(value) is { } number && Math.Abs(number) < MostNumber ? number : throw Wrong(value, path, "one of at most 28 digits, those behind the point included");

    /// <summary>The number as it is written; null where it has too many digits.</summary>
    public static decimal? Exact(JsonElement number) =>
        number.TryGetDecimal(out decimal value) && JsonElement.DeepEquals(number, JsonElement.Parse(value.ToString(CultureInfo.InvariantCulture))) ? value : null;

    private static int Count(JsonElement value, string path) =>
        value.ValueKind is JsonValueKind.Number && value.TryGetDecimal(out decimal count) && count >= 0 && count <= int.MaxValue && count == decimal.Truncate(count) ? (int)count
        : throw Wrong(value, path, $"an integer from 0 to {int.MaxValue:N0}");

    private static string Text(JsonElement value, string path)
    {
        if (value.ValueKind is not JsonValueKind.String)
            throw Wrong(value, path, "a string");
        try
        {
            return value.GetString()!;
        }
        catch (InvalidOperationException)
        {
            throw new SchemaException(path, "the string is no Unicode text");
        }
    }

    private static List<JsonElement> Items(JsonElement value, string path) => value.ValueKind is JsonValueKind.Array ? [.. value.EnumerateArray()] : throw Wrong(value, path, "a list");

    private static List<JsonProperty> Members(JsonElement value, string path)
    {
        if (value.ValueKind is not JsonValueKind.Object)
            throw Wrong(value, path, "an object");
        List<JsonProperty> members = [.. value.EnumerateObject()];
        if (members.Count > MostMembers)
            throw new SchemaException(path, $"it has {members.Count:N0} members, at most {MostMembers:N0} are taken");
        return members.DistinctBy(m => m.Name).Count() == members.Count ? members : throw new SchemaException(path, "a name is there twice");
    }

    private static SchemaException Wrong(JsonElement value, string path, string wanted) =>
        new(path, $"it is {value.ValueKind switch { JsonValueKind.Object => "an object", JsonValueKind.Array => "a list", JsonValueKind.String => "a string", JsonValueKind.Number => value.GetRawText().Shown(40), JsonValueKind.Null => "null", _ => "a boolean" }}, it must be {wanted}");

    private static string Below(string path, string name) =>
        name.Length is > 0 and < 60 && name.All(c => char.IsAsciiLetterOrDigit(c) || c is '_' or '$' or '-') ? $"{path}.{name}" : $"{path}['{name.Shown(60)}']";
}
