using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json;
using Hone.Formats.ChatTemplates;

namespace Hone.Formats.TrainingData;

internal enum MessageRole
{
    /// <summary>A chat row's messages: must end with a trained answer.</summary>
    Conversation,

    /// <summary>What a preference row's answers follow: nothing in it is trained.</summary>
    Question,

    /// <summary>One of a preference row's outputs.</summary>
    Answer,
}

/// <summary>A list of messages in OpenAI's chat format.</summary>
internal sealed partial class MessageValidator(RowScope scope, RowFingerprint fingerprint)
{
    private static readonly string[] s_keys = ["role", "content", "name", "weight", "tool_calls", "tool_call_id", "function_call", "refusal", "audio", "reasoning_content"];
    private static readonly (string Theirs, string Ours)[] s_foreignRoles =
        [("human", "user"), ("customer", "user"), ("prompter", "user"), ("gpt", "assistant"), ("bot", "assistant"), ("model", "assistant"), ("chatbot", "assistant"), ("ai", "assistant"), ("agent", "assistant")];

    private struct Message
    {
        public JsonElement Self, Role, Content, Name, Weight, ToolCalls, ToolCallId, FunctionCall, Refusal, Audio, Reasoning;
    }

    /// <summary>Whether they are answered, oldest first.</summary>
    private readonly OrderedDictionary<string, bool> _calls = [];
    private int _openCalls;
    private string _list = "$";
    private int _index;
    private ToolSet? _tools;

    /// <returns>Is it a list of messages, whatever is wrong inside?</returns>
    public bool Validate(JsonElement messages, string path, MessageRole place, ToolSet? tools)
    {
        (_list, _index, _tools) = (path, -1, tools);
        _calls.Clear();
        _openCalls = 0;
        if (messages.ValueKind != JsonValueKind.Array)
        {
            string key = Key(path);
            scope.Error(messages, path, key + "_not_list", $"{key} must be a list, it is {RowValidator.Spoken(messages)}.", $"Write \"{key}\":[{{\"role\":…,\"content\":…}}].");
            return false;
        }
        if (messages.GetArrayLength() == 0)
        {
            scope.Error(messages, path, Key(path) + "_empty", $"{Key(path)} is empty.", "Give the conversation, or take the row out.");
            return false;
        }
        if (messages.GetArrayLength() > ChatTemplate.MaxMessages)
        {
            scope.Error(messages, path, "too_many_messages", $"{Key(path)} has {messages.GetArrayLength():N0} messages, at most {ChatTemplate.MaxMessages:N0} are taken.", "Make several rows of the conversation.");
            return false;
        }
        int assistants = 0, learnt = 0;
        bool lastIsAssistant = false, rolesSound = true;
        foreach (var element in messages.EnumerateArray())
        {
            _index++;
            lastIsAssistant = false;
            if (element.ValueKind != JsonValueKind.Object)
            {
                scope.Error(element, At(""), "message_not_object", $"a message must be an object with role and content, it is {RowValidator.Spoken(element)}.", "Write {\"role\":…,\"content\":…}.");
                rolesSound = false;
                continue;
            }
            var message = Read(element);
            string? role = Role(message, place);
            rolesSound &= role is not null;
            if (role == "assistant")
            {
                (assistants, lastIsAssistant) = (assistants + 1, true);
                if (place != MessageRole.Answer)
                    fingerprint.MarkAnswer();
            }
            fingerprint.Add('m');
            fingerprint.Add(message.Role);
            if (_openCalls > 0 && role is "user" or "assistant")
                Unanswered(message);
            bool trained = Weight(message, role, place);
            learnt += role == "assistant" && trained ? 1 : 0;
            Body(message, role, trained && place != MessageRole.Question);
        }
        if (place == MessageRole.Question)
        {
            if (lastIsAssistant && rolesSound)
                scope.Warn(messages[_index], At(""), "input_ends_with_answer", "input ends with an assistant message: the outputs would be a second answer in a row.", "End input with the user's message.");
        }
        else if (assistants == 0)
        {
            // A message whose role is unknown may have been the answer; its own error says enough.
            if (rolesSound)
                scope.TeachesNothing(messages, path, "assistant_missing", "no assistant message: there is nothing to learn.", "Add the assistant's answer, or take the row out.");
        }
        else if (!lastIsAssistant && rolesSound)
            scope.Error(messages[_index], At(""), "last_message_not_assistant", "the last message must be the assistant's: what follows the last answer teaches nothing.", "Add the answer, or take the last message out.");
        else if (learnt == 0)
            scope.TeachesNothing(messages, path, "all_weights_zero", "every weight is 0: nothing to learn from.", "Give one assistant message the weight 1, or take the row out.");
        return true;
    }

    public static bool NameIn(JsonProperty property, string[] names)
    {
        foreach (string name in names)
        {
            if (property.NameEquals(name))
                return true;
        }
        return false;
    }

    /// <summary>A string of nothing but white space.</summary>
    public static bool IsBlank(JsonElement text)
    {
        var raw = JsonMarshal.GetRawUtf8Value(text);
        return raw.Length == 2 || (raw[1] is (byte)'\\' ? raw.Length < 4096 && Blank.Is(Encoding.UTF8.GetBytes(text.GetString()!)) : Blank.Is(raw[1..^1])
            || raw.Length < 4096 && raw[1] <= ' ' && Blank.Is(Encoding.UTF8.GetBytes(text.GetString()!)));
    }

    private Message Read(JsonElement element)
    {
        var message = new Message { Self = element };
        foreach (var property in element.EnumerateObject())
        {
            if (property.NameEquals("role"u8))
                message.Role = property.Value;
            else if (property.NameEquals("content"u8))
                message.Content = property.Value;
            else if (property.NameEquals("weight"u8))
                message.Weight = property.Value;
            else if (property.NameEquals("name"u8))
                message.Name = property.Value;
            else if (property.NameEquals("tool_calls"u8))
                message.ToolCalls = property.Value;
            else if (property.NameEquals("tool_call_id"u8))
                message.ToolCallId = property.Value;
            else if (property.NameEquals("function_call"u8))
                message.FunctionCall = property.Value;
            else if (property.NameEquals("refusal"u8))
                message.Refusal = property.Value;
            else if (property.NameEquals("audio"u8))
                message.Audio = property.Value;
            else if (property.NameEquals("reasoning_content"u8))
                message.Reasoning = property.Value;
            else
                scope.UnknownKey(property, At(""), "message", s_keys);
        }
        return message;
    }

    private string? Role(Message message, MessageRole place)
    {
        if (message.Role.ValueKind == JsonValueKind.Undefined)
        {
            scope.Error(message.Self, At(".role"), "role_missing", "role is missing.", "Say who speaks: system, user, assistant or tool.");
            return null;
        }
        if (message.Role.ValueKind != JsonValueKind.String)
        {
            scope.Error(message.Role, At(".role"), "role_not_text", $"role must be text, it is {RowValidator.Spoken(message.Role)}.", "Say who speaks: system, user, assistant or tool.");
            return null;
        }
        if (KnownRole(message.Role) is { } known)
        {
            if (known is "system" or "developer" && _index > 0 && place != MessageRole.Answer)
                scope.Error(message.Self, At(".role"), "system_not_first", $"a {known} message must come first: templates drop or move it elsewhere.", "Put it at the start, joined with any other.");
            if (place == MessageRole.Answer && known is not ("assistant" or "tool" or "function"))
                scope.Error(message.Role, At(".role"), "role_not_allowed", $"an output holds the assistant's messages, not the {known}'s.", "Put this message into input.");
            return known;
        }
        string role = message.Role.GetString()!;
        string? near = s_foreignRoles.FirstOrDefault(r => r.Theirs.Equals(role, StringComparison.OrdinalIgnoreCase)).Ours ?? NearestName.Meant(role, ChatRoles.All);
        scope.Error(message.Role, At(".role"), "unknown_role", role.Length == 0 ? "unknown role: it is empty." : $"unknown role {role.Shown(40)}.",
            near is null ? "Roles are system, user, assistant and tool." : $"Did you mean {near}? Roles are system, user, assistant and tool.");
        return null;
    }

    /// <returns>Is the message learnt?</returns>
    private bool Weight(Message message, string? role, MessageRole place)
    {
        var weight = message.Weight;
        if (weight.ValueKind is JsonValueKind.Undefined or JsonValueKind.Null)
            return true;
        if (weight.ValueKind != JsonValueKind.Number || !weight.TryGetDouble(out double value) || value is not (0 or 1))
        {
            scope.Error(weight, At(".weight"), "weight_invalid", $"weight must be 0 or 1, it is {weight.GetRawText().Shown(40)}.", "Write 1 to learn this answer, 0 to only read it.");
            return true;
        }
        if (role is not (null or "assistant") || place != MessageRole.Conversation)
            scope.Warn(weight, At(".weight"), "weight_ignored", role == "assistant" ? "weight has no effect in preference rows." : $"weight has no effect on a {role} message: only assistant messages are learnt.", "Take it out.");
        if (value == 0)
            fingerprint.Add('0');
        return value != 0 || place != MessageRole.Conversation;
    }

    private void Body(Message message, string? role, bool trained)
    {
        if (IsGiven(message.Name) && message.Name.ValueKind != JsonValueKind.String)
            scope.Error(message.Name, At(".name"), "name_not_text", $"name must be text, it is {RowValidator.Spoken(message.Name)}.", "Write the name as text or leave it out.");
        else if (IsGiven(message.Name))
            fingerprint.Add(message.Name);
        if (IsGiven(message.Audio))
            scope.Error(message.Audio, At(".audio"), "audio_not_supported", "audio: the base model reads text only.", "Put the transcript into content.");
        if (IsGiven(message.Reasoning) && message.Reasoning.ValueKind != JsonValueKind.String)
            scope.Error(message.Reasoning, At(".reasoning_content"), "reasoning_not_text", $"reasoning_content must be text, it is {RowValidator.Spoken(message.Reasoning)}.", "Write the thinking as text or leave it out.");
        else if (IsGiven(message.Reasoning))
            fingerprint.Add(message.Reasoning);
        bool calls = Calls(message, role);
        ToolAnswer(message, role);
        Content(message, role, calls, trained);
    }

    private static string? KnownRole(JsonElement role)
        => role.ValueEquals("user"u8) ? "user" : role.ValueEquals("assistant"u8) ? "assistant" : role.ValueEquals("system"u8) ? "system"
        : role.ValueEquals("tool"u8) ? "tool" : role.ValueEquals("developer"u8) ? "developer" : role.ValueEquals("function"u8) ? "function" : null;

    private static string Key(string path) => path[(path.LastIndexOf('.') + 1)..];

    private static bool IsGiven(JsonElement value) => value.ValueKind is not (JsonValueKind.Undefined or JsonValueKind.Null);

    private string At(string key) => $"{_list}[{_index}]{key}";
}
