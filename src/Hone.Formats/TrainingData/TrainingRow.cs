using System.Text.Json;

namespace Hone.Formats.TrainingData;

public enum RowKind
{
    /// <summary><c>{"messages":[…], "tools"?, "parallel_tool_calls"?}</c></summary>
    Chat,

    /// <summary><c>{"prompt", "completion"}</c>: a user's message and the assistant's answer.</summary>
    PromptCompletion,

    /// <summary><c>{"text"}</c>: no chat template, everything is learnt.</summary>
    Text,

    /// <summary><c>{"input":{"messages"}, "preferred_output":[…], "non_preferred_output":[…]}</c>, or the <c>*_completion</c> spellings.</summary>
    Preference,
}

/// <summary>One row of a training file.</summary>
/// <param name="Line">From 1.</param>
/// <param name="ByteOffset">Of the line's start in the file.</param>
/// <param name="Json">The row's object; owns its memory.</param>
public sealed record TrainingRow(int Line, long ByteOffset, RowKind Kind, JsonElement Json);
