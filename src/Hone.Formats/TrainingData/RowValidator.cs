using System.Text.Json;

namespace Hone.Formats.TrainingData;

/// <summary>One row's shape, apart from any model. Writes what the row says into the fingerprint.</summary>
internal sealed class RowValidator(RowScope scope, RowFingerprint fingerprint)
{
    private static readonly string[] s_chatKeys = ["messages", "tools", "parallel_tool_calls", "functions"];
    private static readonly string[] s_pairKeys = ["prompt", "completion"];
    private static readonly string[] s_textKeys = ["text"];
    private static readonly string[] s_preferenceKeys = ["input", .. RowShape.Preferred, .. RowShape.NonPreferred];

    /// <summary>The two answers of a pair as TRL calls them.</summary>
    private static readonly string[] s_otherOutputs = ["chosen", "rejected"];

    private static readonly string[] s_allKeys = [.. s_chatKeys, .. s_pairKeys, .. s_textKeys, .. s_preferenceKeys];

    private static readonly string[] s_notes = ["metadata", "id"];

    private readonly MessageValidator _messages = new(scope, fingerprint);
    private readonly ToolValidator _tools = new(scope, fingerprint);

    /// <returns>The row's kind, also when it has errors; null when it cannot be told.</returns>
    public RowKind? Validate(JsonElement row)
    {
        fingerprint.Begin();
        if (row.ValueKind != JsonValueKind.Object)
        {
            scope.Error(row, "$", "row_not_object", $"the line holds {Spoken(row)}, it must be a JSON object.", "Write one object a line, such as {\"messages\":[…]}.");
            return null;
        }
        var keys = RowShape.KeysOf(row);
        if ((keys & ~(RowKeys.Pair | RowKeys.Tools | RowKeys.Notes | RowKeys.Unknown)) == 0 && !row.TryGetProperty("completion", out _) && s_otherOutputs.Any(key => row.TryGetProperty(key, out _)))
        {
            scope.Error(row, "$", "preference_spelling", "the row is a preference pair, which the method dpo learns from, in a spelling that is not read (prompt, chosen, rejected).",
                "Write {\"input\":{\"messages\":[…]},\"preferred_output\":[…],\"non_preferred_output\":[…]}, or preferred_completion and non_preferred_completion for the two, each a list of messages; leave method out, or set it to dpo.");
            return null;
        }
        var kind = RowShape.KindOf(keys);
        switch (kind)
        {
            case RowKind.Chat:
                Chat(row, keys);
                break;
            case RowKind.Preference:
                Preference(row, keys);
                break;
            case RowKind.PromptCompletion:
                Pair(row, keys);
                break;
            case RowKind.Text:
                Text(row, keys);
                break;
            default:
                Unknown(row);
                break;
        }
        return kind;
    }

    public static string Spoken(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.String => "a text",
        JsonValueKind.Number => "a number",
        JsonValueKind.True or JsonValueKind.False => "a boolean",
        JsonValueKind.Array => "a list",
        JsonValueKind.Object => "an object",
        _ => "null",
    };

    private void Unknown(JsonElement row)
    {
        string[] keys = [.. row.EnumerateObject().Take(8).Select(p => p.Name)];
        if (keys.Length == 0)
        {
            scope.Error(row, "$", "row_empty", "the row is empty: messages is missing.", "Fill the row or take it out.");
            return;
        }
        string hint = keys.Contains("conversations") ? "The row looks like ShareGPT's: rename conversations to messages, from to role (human → user, gpt → assistant), value to content."
            : keys.Contains("instruction") ? "The row looks like Alpaca's: put instruction and input into a user message, output into an assistant message."
            : keys.Contains("role") && keys.Contains("content") ? "The row is a single message; wrap a whole conversation: {\"messages\":[…]}."
            : NearestName.Meant(keys[0], s_allKeys) is { } near ? $"Did you mean {near} instead of {keys[0]}?"
            : "A row is {\"messages\":[…]}, {\"prompt\":…,\"completion\":…}, {\"text\":…} or {\"input\":…,\"preferred_output\":…,\"non_preferred_output\":…}.";
        scope.Error(row, "$", "messages_missing", $"messages is missing; the row has {string.Join(", ", keys)}.", hint);
    }

    private void Chat(JsonElement row, RowKeys keys)
    {
        if ((keys & (RowKeys.Pair | RowKeys.Outputs)) != 0)
            Ambiguous(row, [.. s_pairKeys, .. RowShape.Preferred, .. RowShape.NonPreferred], "messages");
        var tools = (keys & RowKeys.Tools) == 0 ? null : _tools.Validate(row, "$");
        _messages.Validate(row.GetProperty("messages"), "$.messages", MessageRole.Conversation, tools);
        UnknownKeys(row, keys, RowKeys.Messages | RowKeys.Tools, "$", s_chatKeys);
    }

    private void Pair(JsonElement row, RowKeys keys)
    {
        if ((keys & RowKeys.Text) != 0)
            Ambiguous(row, s_textKeys, "prompt and completion");
        fingerprint.Add('p');
        RequiredText(row, "prompt", "Give the prompt that the completion answers.");
        fingerprint.MarkAnswer();
        if (RequiredText(row, "completion", "Give the completion to be learnt.") is { } completion && MessageValidator.IsBlank(completion))
            scope.Error(completion, "$.completion", "empty_answer", "completion is empty: nothing but the stop token would be learnt.", "Write the answer, or take the row out.");
        if (row.TryGetProperty("prompt", out var prompt) && prompt.ValueKind == JsonValueKind.String && MessageValidator.IsBlank(prompt))
            scope.Warn(prompt, "$.prompt", "empty_content", "prompt is empty: the completion is learnt as an answer to nothing.", "Write the prompt, or use {\"text\":…} rows.");
        UnknownKeys(row, keys, RowKeys.Pair, "$", s_pairKeys);
    }

    private void Text(JsonElement row, RowKeys keys)
    {
        fingerprint.Add('t');
        if (RequiredText(row, "text", "Give the text to be learnt.") is { } text && MessageValidator.IsBlank(text))
            scope.Error(text, "$.text", "row_empty", "text is empty: the row is empty.", "Write the text, or take the row out.");
        UnknownKeys(row, keys, RowKeys.Text, "$", s_textKeys);
    }

    private void Preference(JsonElement row, RowKeys keys)
    {
        fingerprint.Add('d');
        ToolSet? tools = null;
        if (!row.TryGetProperty("input", out var input))
            scope.Error(row, "$", "input_missing", "input is missing.", "Give the conversation that both answers follow: \"input\":{\"messages\":[…]}.");
        else if (input.ValueKind != JsonValueKind.Object)
            scope.Error(input, "$.input", "input_not_object", $"input must be an object with messages, it is {Spoken(input)}.", "Write \"input\":{\"messages\":[…]}.");
        else
        {
            tools = _tools.Validate(input, "$.input");
            if (!input.TryGetProperty("messages", out var messages))
                scope.Error(input, "$.input", "messages_missing", "messages is missing in input.", "Write \"input\":{\"messages\":[…]}.");
            else
                _messages.Validate(messages, "$.input.messages", MessageRole.Question, tools);
            UnknownKeys(input, RowShape.KeysOf(input), RowKeys.Messages | RowKeys.Tools, "$.input", s_chatKeys);
        }
        fingerprint.MarkAnswer();
        int start = fingerprint.Written.Length;
        bool preferred = Output(row, RowShape.Preferred, tools);
        int middle = fingerprint.Written.Length;
        bool other = Output(row, RowShape.NonPreferred, tools);
        if (preferred && other && fingerprint.Written[start..middle].SequenceEqual(fingerprint.Written[middle..]))
        {
            var at = RowShape.Find(row, RowShape.NonPreferred, out string name);
            scope.Error(at, "$." + name, "equal_answers", "the preferred and the non-preferred output are equal: there is nothing to prefer.", "Change one of the two, or take the row out.");
        }
        if ((keys & RowKeys.Pair) != 0)
            Ambiguous(row, s_pairKeys, "preference outputs");
        UnknownKeys(row, keys, RowKeys.Input | RowKeys.OtherInput | RowKeys.Outputs, "$", s_preferenceKeys);
    }

    private bool Output(JsonElement row, string[] spellings, ToolSet? tools)
    {
        var value = RowShape.Find(row, spellings, out string name);
        if (value is not { } output)
        {
            scope.Error(row, "$", name + "_missing", $"{name} is missing.", "A preference row needs both answers.");
            return false;
        }
        if (spellings.Count(s => row.TryGetProperty(s, out _)) > 1)
            scope.Error(output, "$." + name, "row_ambiguous", $"{spellings[0]} and {spellings[1]} are two spellings of one thing, the row has both.", $"Keep {spellings[0]}.");
        return _messages.Validate(output, "$." + name, MessageRole.Answer, tools);
    }

    private JsonElement? RequiredText(JsonElement row, string key, string hint)
    {
        if (!row.TryGetProperty(key, out var value))
            scope.Error(row, "$", key + "_missing", $"{key} is missing.", hint);
        else if (value.ValueKind != JsonValueKind.String)
            scope.Error(value, "$." + key, key + "_not_text", $"{key} must be text, it is {Spoken(value)}.",
                value.ValueKind is JsonValueKind.Array or JsonValueKind.Object ? "Conversations go into {\"messages\":[…]} rows." : hint);
        else
        {
            fingerprint.Add(value);
            return value;
        }
        return null;
    }

    private void Ambiguous(JsonElement row, string[] foreign, string beside)
    {
        foreach (string key in foreign)
        {
            if (row.TryGetProperty(key, out var value))
            {
                scope.Error(value, "$." + key, "row_ambiguous", $"the row has both {key} and {beside}: it is unclear what to learn.", "Keep one form a row.");
                return;
            }
        }
    }

    private void UnknownKeys(JsonElement owner, RowKeys keys, RowKeys own, string path, string[] known)
    {
        if ((keys & ~(own | RowKeys.Notes)) == 0)
            return;
        foreach (var property in owner.EnumerateObject())
        {
            // A key of another kind of row has its own error, unless it is one that could be a note.
            bool error = MessageValidator.NameIn(property, s_pairKeys) || MessageValidator.NameIn(property, RowShape.Preferred) || MessageValidator.NameIn(property, RowShape.NonPreferred);
            if (!error && !MessageValidator.NameIn(property, known) && !MessageValidator.NameIn(property, s_notes))
                scope.UnknownKey(property, path, path, known);
        }
    }
}
