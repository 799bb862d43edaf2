using System.Text.Json;

namespace Hone.Formats.TrainingData;

/// <summary>Which kind a row is, by its keys.</summary>
internal static class RowShape
{
    public static readonly string[] Preferred = ["preferred_output", "preferred_completion"];

    public static readonly string[] NonPreferred = ["non_preferred_output", "non_preferred_completion"];

    public static RowKind? KindOf(JsonElement row)
    {
        if (row.ValueKind != JsonValueKind.Object)
            return null;
        bool messages = false, preference = false, input = false, pair = false, text = false;
        foreach (var property in row.EnumerateObject())
        {
            if (property.NameEquals("messages"u8))
                messages = true;
            else if (property.NameEquals("preferred_output"u8) || property.NameEquals("non_preferred_output"u8)
                || property.NameEquals("preferred_completion"u8) || property.NameEquals("non_preferred_completion"u8))
                preference = true;
            else if (property.NameEquals("input"u8))
                input = property.Value.ValueKind == JsonValueKind.Object;
            else if (property.NameEquals("prompt"u8) || property.NameEquals("completion"u8))
                pair = true;
            else if (property.NameEquals("text"u8))
                text = true;
        }
        return messages ? RowKind.Chat : preference || input ? RowKind.Preference : pair ? RowKind.PromptCompletion : text ? RowKind.Text : null;
    }

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
