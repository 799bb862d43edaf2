using System.Text.Json;

namespace Hone.Formats.Adapters;

/// <summary>
/// What an adapter was trained with, in its weights' own metadata. No shape shows alpha or rsLoRA: a config that was changed since would scale the adapter wrongly
/// and pass for right.
/// </summary>
public static class TrainedWith
{
    /// <summary>The key of the metadata; its value is JSON with keys of <c>adapter_config.json</c>.</summary>
    public const string Key = "trained_with";

    private static readonly string[] s_keys = ["r", "lora_alpha", "use_rslora", "use_dora", "lora_bias", "rank_pattern", "alpha_pattern"];

    public static string Of(AdapterConfig config) => JsonSerializer.Serialize(Values(config), TrainedWithJson.Default.DictionaryStringJsonElement);

    /// <summary>An error for each key of the config that differs from what the metadata tell; none where they tell nothing.</summary>
    public static IReadOnlyList<string> Differences(AdapterConfig config, IReadOnlyDictionary<string, string> metadata)
    {
        if (!metadata.TryGetValue(Key, out string? json))
            return [];
        Dictionary<string, JsonElement>? used;
        try
        {
            used = JsonSerializer.Deserialize(json, TrainedWithJson.Default.DictionaryStringJsonElement);
        }
        catch (JsonException e)
        {
            return [$"{AdapterConfig.WeightsFileName}: '{Key}' of its metadata is no JSON object: {e.Message} Save the adapter again."];
        }
        Dictionary<string, JsonElement> given = Values(config);
        return
        [
            .. (used ?? []).Where(u => given.TryGetValue(u.Key, out JsonElement value) && !JsonElement.DeepEquals(value, u.Value)).Select(u =>
                $"{AdapterConfig.FileName}: $.{u.Key} is {given[u.Key].GetRawText()}, but the adapter was trained with {u.Value.GetRawText()}, as '{Key}' in the metadata of {AdapterConfig.WeightsFileName} says. Give that value again."),
        ];
    }

    private static Dictionary<string, JsonElement> Values(AdapterConfig config)
    {
        using JsonDocument document = JsonDocument.Parse(config.Write());
        return s_keys.ToDictionary(key => key, key => document.RootElement.GetProperty(key).Clone());
    }
}

[System.Text.Json.Serialization.JsonSerializable(typeof(Dictionary<string, JsonElement>))]
internal sealed partial class TrainedWithJson : System.Text.Json.Serialization.JsonSerializerContext;
