using System.Text.Json;

namespace Hone.Formats.Constraints;

[Flags]
internal enum JsonTypes
{
    None = 0,
    Null = 1,
    Boolean = 2,
    Integer = 4,

    /// <summary>Numbers that are no integers.</summary>
    Fraction = 8,
    Number = Integer | Fraction,
    String = 16,
    Array = 32,
    Object = 64,
    All = 127,
}

/// <summary>One subschema as it is written: its own keywords, each null where it is absent.</summary>
internal sealed class Schema(int id, string path)
{
    public int Id => id;

    private HashSet<JsonElement>? _values;

    /// <summary>Where it stands in the document.</summary>
    public string Path => path;

    /// <summary><c>false</c>: nothing satisfies it.</summary>
    public bool Never { get; set; }
    public JsonTypes Types { get; set; } = JsonTypes.All;

    /// <summary>Of <c>enum</c> or <c>const</c>.</summary>
    public List<JsonElement>? Values { get; set; }
    public List<(string Name, Schema Schema)>? Properties { get; set; }
    public List<string>? Required { get; set; }
    public Schema? AdditionalProperties { get; set; }

    /// <summary>Of <c>propertyNames</c>: the names that members may have.</summary>
    public List<string>? Names { get; set; }
    public List<Schema>? PrefixItems { get; set; }
    public Schema? Items { get; set; }
    public int MinItems { get; set; }
    public int? MaxItems { get; set; }
    public int MinLength { get; set; }
    public int? MaxLength { get; set; }
    public string? Pattern { get; set; }
    public string? Format { get; set; }
    public Bound? Minimum { get; set; }
    public Bound? Maximum { get; set; }
    public List<Schema>? AnyOf { get; set; }
    public List<Schema>? OneOf { get; set; }
    public List<Schema>? AllOf { get; set; }

    /// <summary>What <c>$ref</c> refers to.</summary>
    public Schema? Target { get; set; }

    /// <summary>Whether <see cref="Values"/>, where there are any, have the value.</summary>
    public bool Lists(JsonElement value) => Values is null || (_values ??= new HashSet<JsonElement>(Values, SameJson.Instance)).Contains(value);

    /// <summary>A format is enforced in it, or somewhere within.</summary>
    public bool HasFormat { get; set; }

    /// <summary>All that it is made of, directly.</summary>
    public IEnumerable<Schema> Parts => Together.Concat(AnyOf ?? []).Concat(OneOf ?? []).Concat(PrefixItems ?? []).Concat((Properties ?? []).Select(p => p.Schema))
        .Concat(new[] { Items, AdditionalProperties }.OfType<Schema>());

    /// <summary>Those that hold wherever this one does.</summary>
    public IEnumerable<Schema> Together => Target is null ? AllOf ?? [] : [Target, .. AllOf ?? []];
}

/// <summary>A limit of numbers.</summary>
internal readonly record struct Bound(decimal Value, bool Exclusive);
