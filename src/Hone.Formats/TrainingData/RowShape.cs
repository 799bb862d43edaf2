using System.Text.Json;

namespace Hone.Formats.TrainingData;

/// <summary>Groups of keys that a row has.</summary>
[Flags]
internal enum RowKeys
{
    None = 0,
    Messages = 1,
    Tools = 2,
    Pair = 4,
    Text = 8,
    Input = 16,
    OtherInput = 32,
    Outputs = 64,

    /// <summary>Carried along by many data sets, meant for people, and never for training: <c>metadata</c>, <c>id</c>.</summary>
    Notes = 128,
    Unknown = 256,
}

/// <summary>Which kind a row is, by its keys.</summary>
internal static class RowShape
{
    public static readonly string[] Preferred = ["preferred_output", "preferred_completion"];

    public static readonly string[] NonPreferred = ["non_preferred_output", "non_preferred_completion"];

    public static RowKeys KeysOf(JsonElement row)
    {
        var keys = RowKeys.None;
        foreach (var property in row.EnumerateObject())
        {
            keys |= property.NameEquals("messages"u8) ? RowKeys.Messages
                : property.NameEquals("tools"u8) || property.NameEquals("functions"u8) || property.NameEquals("parallel_tool_calls"u8) ? RowKeys.Tools
                : property.NameEquals("prompt"u8) || property.NameEquals("completion"u8) ? RowKeys.Pair
                : property.NameEquals("text"u8) ? RowKeys.Text
                : property.NameEquals("input"u8) ? (property.Value.ValueKind == JsonValueKind.Object ? RowKeys.Input : RowKeys.OtherInput)
                : property.NameEquals("preferred_output"u8) || property.NameEquals("non_preferred_output"u8)
                    || property.NameEquals("preferred_completion"u8) || property.NameEquals("non_preferred_completion"u8) ? RowKeys.Outputs
                : property.NameEquals("metadata"u8) || property.NameEquals("id"u8) ? RowKeys.Notes
                : RowKeys.Unknown;
        }
        return keys;
    }

    /// <summary>Keys that rows of other trainers' forms have, which no row here has.</summary>
    private static readonly string[] s_elsewhere = ["instruction", "conversations", "chosen"];

    /// <summary>Does the line hold a row, or at least what another trainer would take for one?</summary>
    public static bool LooksLikeRow(string line)
    {
        if (line.TrimStart('\uFEFF', ' ', '\t').StartsWith('['))
            return true;
        try
        {
            using JsonDocument json = JsonDocument.Parse(line);
            return KindOf(json.RootElement) is not null || json.RootElement.ValueKind == JsonValueKind.Object && s_elsewhere.Any(key => json.RootElement.TryGetProperty(key, out _));
        }
        catch (JsonException)
        {
            return false;
        }
    }

    public static RowKind? KindOf(JsonElement row) => row.ValueKind == JsonValueKind.Object ? KindOf(KeysOf(row)) : null;

    public static RowKind? KindOf(RowKeys keys)
        => (keys & RowKeys.Messages) != 0 ? RowKind.Chat
        : (keys & (RowKeys.Outputs | RowKeys.Input)) != 0 ? RowKind.Preference
        : (keys & RowKeys.Pair) != 0 ? RowKind.PromptCompletion
        : (keys & RowKeys.Text) != 0 ? RowKind.Text : null;

    public static string Name(RowKind kind) => kind switch
    {
        RowKind.Chat => "chat",
        RowKind.PromptCompletion => "prompt_completion",
        RowKind.Text => "text",
        _ => "preference",
    };

    public static string Spoken(RowKind kind) => kind == RowKind.PromptCompletion ? "prompt/completion" : Name(kind);

    /// <summary>The first of the spellings that the object has.</summary>
    public static JsonElement? Find(JsonElement row, string[] spellings, out string name)
    {
        foreach (string spelling in spellings)
        {
            name = spelling;
            if (row.TryGetProperty(spelling, out var value))
                return value;
        }
        name = spellings[0];
        return null;
    }
}
