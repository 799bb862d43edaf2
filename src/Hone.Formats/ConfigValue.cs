using System.Text.Json;

namespace Hone.Formats;

/// <summary>A value in a config that another program has written.</summary>
internal static class ConfigValue
{
    /// <summary>Null, false or empty: what a key holds that is not used.</summary>
    public static bool IsNeutral(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.Null or JsonValueKind.False => true,
        JsonValueKind.Array => value.GetArrayLength() == 0,
        JsonValueKind.Object => value.GetPropertyCount() == 0,
        JsonValueKind.String => value.ValueEquals(""),
        _ => false,
    };

    /// <summary>For error messages.</summary>
    public static string Describe(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.Object => "an object",
        JsonValueKind.Array => $"an array of {value.GetArrayLength()}",
        JsonValueKind.String => $"'{value.GetString().Shown(60)}'",
        _ => value.GetRawText().Shown(60),
    };
}
