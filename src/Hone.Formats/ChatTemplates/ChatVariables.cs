using Hone.Formats.ChatTemplates.Jinja;

namespace Hone.Formats.ChatTemplates;

/// <summary>The variables transformers gives a chat template.</summary>
internal static class ChatVariables
{
    private static readonly string[] ReasoningKeys = ["reasoning_content", "thinking", "reasoning"];

    public static Dictionary<string, object?> Of(ChatTemplateInput input)
    {
        var variables = new Dictionary<string, object?>(StringComparer.Ordinal)
        {
            ["messages"] = Messages(input),
            ["tools"] = input.Tools is { } tools ? JsonValues.From(tools) : null,
            ["documents"] = null,
            ["add_generation_prompt"] = input.AddGenerationPrompt,
        };
        if (input.BosToken is not null)
        {
            variables["bos_token"] = input.BosToken;
        }

        if (input.EosToken is not null)
        {
            variables["eos_token"] = input.EosToken;
        }

        foreach (var (name, value) in input.Extra ?? new Dictionary<string, System.Text.Json.JsonElement>())
        {
            variables[name] = JsonValues.From(value);
        }

        return variables;
    }

    private static object? Messages(ChatTemplateInput input)
    {
        var value = JsonValues.From(input.Messages);
        if (value is not PyList messages)
        {
            return value;
        }

        return new PyList(messages.Items.ConvertAll(message => message is PyDict dict ? Message(dict, input.KeepNulls) : message));
    }

    /// <summary>
    /// Drops keys without a value, and copies the message's reasoning to both keys templates read it from:
    /// <c>reasoning_content</c>, and <c>thinking</c> unless it is there.
    /// </summary>
    private static PyDict Message(PyDict message, bool keepsNulls)
    {
        var result = new PyDict();
        foreach (var (key, value) in message.Entries)
        {
            if (value is not null || keepsNulls)
            {
                result.Set(key, value);
            }
        }

        foreach (var key in ReasoningKeys)
        {
            if (result.TryGet(key, out var reasoning) && reasoning is not null)
            {
                result.Set("reasoning_content", reasoning);
                if (!result.Contains("thinking"))
                {
                    result.Set("thinking", reasoning);
                }

                break;
            }
        }

        return result;
    }
}
