using System.Text.Json;

namespace Hone.Formats.TrainingData;

internal sealed partial class MessageValidator
{
    private static readonly string[] s_media = ["image_url", "input_image", "image", "input_audio", "audio", "video", "video_url", "file", "input_file"];

    private void Content(Message message, string? role, bool calls, bool trained)
    {
        var content = message.Content;
        switch (content.ValueKind)
        {
            case JsonValueKind.String:
                fingerprint.Add(content);
                if (IsBlank(content))
                    Empty(content, role, calls, trained);
                break;
            case JsonValueKind.Array:
                Parts(content, role, calls, trained);
                break;
            case JsonValueKind.Undefined or JsonValueKind.Null:
                Absent(message, role, calls);
                break;
            default:
                scope.Error(content, At(".content"), "content_not_text", $"content must be text, it is {RowValidator.Spoken(content)}.",
                    content.ValueKind == JsonValueKind.Object ? "Write the object as a JSON string if the model shall read it so." : "Put it in double quotes.");
                break;
        }
        if (role == "assistant" && message.Refusal.ValueKind == JsonValueKind.String && content.ValueKind == JsonValueKind.String)
            scope.Warn(message.Refusal, At(".refusal"), "refusal_ignored", "refusal is ignored: chat templates show content alone.", "Put the refusal's text into content if it shall be learnt.");
        else if (IsGiven(message.Refusal) && message.Refusal.ValueKind != JsonValueKind.String)
            scope.Error(message.Refusal, At(".refusal"), "refusal_not_text", $"refusal must be text or null, it is {RowValidator.Spoken(message.Refusal)}.", "Leave it out.");
    }

    private void Absent(Message message, string? role, bool calls)
    {
        bool isNull = message.Content.ValueKind == JsonValueKind.Null;
        string what = isNull ? "content is null" : "content is missing";
        var at = isNull ? message.Content : message.Self;
        string code = isNull ? "content_null" : "content_missing";
        if (role == "assistant" && calls)
            return;
        if (role == "assistant" && message.Refusal.ValueKind == JsonValueKind.String)
            scope.Error(at, At(".content"), code, $"{what} and there are no tool calls; refusal alone would be learnt as an empty answer.", "Put the refusal's text into content.");
        else if (role == "assistant")
            scope.Error(at, At(".content"), code, $"{what} and there are no tool calls: an empty answer would be learnt.", "Write the answer, or take the message out.");
        else
            scope.Error(at, At(".content"), code, $"{what}.", "Give the message its text.");
    }

    private void Empty(JsonElement content, string? role, bool calls, bool trained)
    {
        if (role == "assistant" && !calls && trained)
            scope.Error(content, At(".content"), "empty_answer", "the answer is empty: nothing but the stop token would be learnt.", "Write the answer, take the row out, or give the message the weight 0.");
        else if (role == "user")
            scope.Warn(content, At(".content"), "empty_content", "the user's message is empty: the answer is learnt as an answer to nothing.", "Write the question, or take the row out.");
    }

    private void Parts(JsonElement content, string? role, bool calls, bool trained)
    {
        int index = -1, texts = 0;
        bool blank = true, sound = true;
        foreach (var part in content.EnumerateArray())
        {
            index++;
            if (part.ValueKind != JsonValueKind.Object || !part.TryGetProperty("type"u8, out var type) || type.ValueKind != JsonValueKind.String)
            {
                scope.Error(part, At($".content[{index}]"), "content_part_invalid", "a part of content must be an object with a type.", "Write {\"type\":\"text\",\"text\":…}, or content as one text.");
                sound = false;
            }
            else if (type.ValueEquals("text"u8))
            {
                if (!part.TryGetProperty("text"u8, out var text) || text.ValueKind != JsonValueKind.String)
                {
                    scope.Error(part, At($".content[{index}].text"), "content_part_invalid", "content must be text: a text part's text is missing or is no text.", "Write {\"type\":\"text\",\"text\":…}.");
                    sound = false;
                    continue;
                }
                fingerprint.Add(text);
                texts++;
                blank &= IsBlank(text);
            }
            else
            {
                string name = type.GetString()!;
                string spoken = name.Contains("image", StringComparison.Ordinal) ? "image part" : name.Contains("audio", StringComparison.Ordinal) ? "audio part"
                    : name.Contains("video", StringComparison.Ordinal) ? "video part" : name.Contains("file", StringComparison.Ordinal) ? "file part" : $"part of type {name}";
                scope.Error(part, At($".content[{index}]"), s_media.Contains(name) ? "content_part_not_text" : "content_part_unknown", $"{spoken}: the base model reads text only.", "Describe it in words, or take the row out.");
                sound = false;
            }
        }
        if (!sound)
            return;
        if (texts == 0 && (role != "assistant" || !calls) && (role != "assistant" || trained))
            scope.Error(content, At(".content"), role == "assistant" ? "empty_answer" : "content_missing", role == "assistant" ? "the answer is empty: content has no parts." : "content has no parts.", "Write the text.");
        else if (blank && texts > 0)
            Empty(content, role, calls, trained);
    }
}
