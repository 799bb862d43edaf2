using System.Buffers;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace Hone.Formats.Adapters;

/// <summary>Writes the keys in PEFT's order (alphabetical) with its indentation. What has no effect here stands with PEFT's default.</summary>
internal static class AdapterConfigWriter
{
    /// <summary>PEFT 0.21's keys without effect, or refused unless they have this value, as JSON.</summary>
    internal static readonly SortedDictionary<string, string> Defaults = new(StringComparer.Ordinal)
    {
        ["alora_invocation_tokens"] = "null",
        ["arrow_config"] = "null",
        ["auto_mapping"] = "null",
        ["bias"] = "\"none\"",
        ["corda_config"] = "null",
        ["ensure_weight_tying"] = "false",
        ["eva_config"] = "null",
        ["fan_in_fan_out"] = "false",
        ["inference_mode"] = "true",
        ["init_lora_weights"] = "true",
        ["kasa_config"] = "null",
        ["layer_replication"] = "null",
        ["loftq_config"] = "{}",
        ["lora_ga_config"] = "null",
        ["megatron_config"] = "null",
        ["megatron_core"] = "\"megatron.core\"",
        ["monteclora_config"] = "null",
        ["peft_type"] = "\"LORA\"",
        ["peft_version"] = "\"0.21.2\"",
        ["qalora_group_size"] = "16",
        ["revision"] = "null",
        ["target_parameters"] = "null",
        ["task_type"] = "\"CAUSAL_LM\"",
        ["trainable_token_indices"] = "null",
        ["use_bdlora"] = "null",
        ["use_qalora"] = "false",
        ["velora_config"] = "null",
    };

    public static byte[] Write(AdapterConfig config)
    {
        var buffer = new ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(buffer, new JsonWriterOptions { Indented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping }))
        {
            var values = new SortedDictionary<string, Action>(StringComparer.Ordinal)
            {
                ["base_model_name_or_path"] = () => json.WriteStringValue(config.BaseModel),
                ["r"] = () => json.WriteNumberValue(config.Rank),
                ["lora_alpha"] = () => json.WriteNumberValue(config.Alpha),
                ["lora_dropout"] = () => json.WriteNumberValue(config.Dropout),
                ["lora_bias"] = () => json.WriteBooleanValue(config.LoraBias),
                ["modules_to_save"] = () => Names(json, config.ModulesToSave, null),
                ["use_dora"] = () => json.WriteBooleanValue(config.UseDora),
                ["use_rslora"] = () => json.WriteBooleanValue(config.UseRslora),
                ["target_modules"] = () => Names(json, config.TargetModules, config.TargetPattern),
                ["exclude_modules"] = () => Names(json, config.ExcludeModules, config.ExcludePattern),
                ["layers_pattern"] = () => Names(json, config.LayersPattern, null),
                ["layers_to_transform"] = () => Layers(json, config.LayersToTransform),
                ["rank_pattern"] = () => Pattern(json, config.RankPattern, (value) => json.WriteNumberValue(value)),
                ["alpha_pattern"] = () => Pattern(json, config.AlphaPattern, (value) => json.WriteNumberValue(value)),
            };
            foreach ((string key, string value) in Defaults)
                values[key] = () => json.WriteRawValue(value);
            foreach ((string key, JsonElement value) in config.Others)
                values[key] = () => value.WriteTo(json);
            if (config.ModelType is not null)
                values["model_type"] = () => json.WriteStringValue(config.ModelType);

            json.WriteStartObject();
            foreach ((string key, Action write) in values)
            {
                json.WritePropertyName(key);
                write();
            }
            json.WriteEndObject();
        }
        return buffer.WrittenSpan.ToArray();
    }

    private static void Names(Utf8JsonWriter json, IReadOnlyList<string> names, string? pattern)
    {
        if (pattern is not null || names.Count == 0)
        {
            json.WriteStringValue(pattern);
            return;
        }
        json.WriteStartArray();
        foreach (string name in names)
            json.WriteStringValue(name);
        json.WriteEndArray();
    }

    private static void Layers(Utf8JsonWriter json, IReadOnlyList<int>? layers)
    {
        if (layers is null)
        {
            json.WriteNullValue();
            return;
        }
        json.WriteStartArray();
        foreach (int layer in layers)
            json.WriteNumberValue(layer);
        json.WriteEndArray();
    }

    private static void Pattern<T>(Utf8JsonWriter json, IReadOnlyList<KeyValuePair<string, T>> pattern, Action<T> write)
    {
        json.WriteStartObject();
        foreach ((string key, T value) in pattern)
        {
            json.WritePropertyName(key);
            write(value);
        }
        json.WriteEndObject();
    }
}
