using System.Globalization;
using System.Text.Json;

namespace Hone.Formats.Constraints;

/// <summary>Equality of JSON values as <c>enum</c> means it: numbers by what they are, members in any order.</summary>
internal sealed class SameJson : IEqualityComparer<JsonElement>
{
    public static SameJson Instance { get; } = new();

    public bool Equals(JsonElement x, JsonElement y) => JsonElement.DeepEquals(x, y);

    public int GetHashCode(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.Number => double.Parse(value.GetRawText(), CultureInfo.InvariantCulture).GetHashCode(),
        JsonValueKind.String => value.GetString()!.GetHashCode(StringComparison.Ordinal),
        JsonValueKind.Array => value.EnumerateArray().Aggregate(0, (hash, item) => HashCode.Combine(hash, GetHashCode(item))),
        JsonValueKind.Object => value.EnumerateObject().Aggregate(0, (hash, member) => hash ^ HashCode.Combine(member.Name, GetHashCode(member.Value))),
        _ => (int)value.ValueKind,
    };
}
