using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json;
using Hone.Formats.Files;
using Hone.Formats.ToolCalls;

namespace Hone.Formats.TrainingData;

internal sealed partial class MessageValidator
{
    /// <summary>Levels that a row has around the arguments of its calls: itself, its messages, one of them, its calls, one of them, its function.</summary>
    private const int LevelsAroundArguments = 6;

    private readonly JsonSyntax _arguments = new("text", JsonSyntax.MaxDepth - LevelsAroundArguments);

    /// <returns>Does the message call tools?</returns>
    private bool Calls(Message message, string? role)
    {
        bool calls = IsGiven(message.ToolCalls), old = IsGiven(message.FunctionCall);
        if ((calls || old) && role is not (null or "assistant"))
        {
            scope.Error(calls ? message.ToolCalls : message.FunctionCall, At(calls ? ".tool_calls" : ".function_call"), "tool_calls_not_allowed", $"a {role} message cannot call tools.", "Only assistant messages can.");
            return false;
        }
        if (calls && old)
            scope.Error(message.FunctionCall, At(".function_call"), "row_ambiguous", "the message has both tool_calls and function_call.", "Keep tool_calls; function_call is the older spelling.");
        if (calls)
            return ToolCalls(message.ToolCalls);
        if (!old)
            return false;
        scope.Warn(message.FunctionCall, At(".function_call"), "deprecated", "function_call is the older spelling of tool_calls; it is read as one tool call.", "Write \"tool_calls\":[{\"id\":…,\"type\":\"function\",\"function\":{…}}].");
        fingerprint.Add(message.FunctionCall);
        if (message.FunctionCall.ValueKind != JsonValueKind.Object)
            scope.Error(message.FunctionCall, At(".function_call"), "tool_call_not_object", $"function_call must be an object, it is {RowValidator.Spoken(message.FunctionCall)}.", "Write {\"name\":…,\"arguments\":…}.");
        else
            Function(message.FunctionCall, At(".function_call"), deepens: true);
        return true;
    }

    private bool ToolCalls(JsonElement calls)
    {
        fingerprint.Add(calls);
        if (calls.ValueKind != JsonValueKind.Array)
        {
            scope.Error(calls, At(".tool_calls"), "tool_calls_not_list", $"tool_calls must be a list, it is {RowValidator.Spoken(calls)}.", "Write \"tool_calls\":[{\"id\":…,\"type\":\"function\",\"function\":{…}}].");
            return true;
        }
        if (calls.GetArrayLength() == 0)
        {
            scope.Error(calls, At(".tool_calls"), "tool_calls_empty", "tool_calls is empty.", "Leave the key out when no tool is called.");
            return false;
        }
        if (calls.GetArrayLength() > ToolDefinitions.MaxTools)
        {
            scope.Error(calls, At(".tool_calls"), "too_many_tool_calls", $"tool_calls has {calls.GetArrayLength():N0} calls, at most {ToolDefinitions.MaxTools} are taken.", "Make several messages of them.");
            return true;
        }
        int index = 0;
        foreach (var call in calls.EnumerateArray())
        {
            string path = At($".tool_calls[{index++}]");
            if (call.ValueKind != JsonValueKind.Object)
            {
                scope.Error(call, path, "tool_call_not_object", $"a tool call must be an object, it is {RowValidator.Spoken(call)}.", "Write {\"id\":…,\"type\":\"function\",\"function\":{…}}.");
                continue;
            }
            if (!call.TryGetProperty("id"u8, out var id) || id.ValueKind != JsonValueKind.String || IsBlank(id))
                scope.Error(call, path + ".id", "tool_call_id_missing", "a tool call without id.", "Give each call an id, and its tool message the same as tool_call_id.");
            else if (!_calls.TryAdd(id.GetString()!, false))
                scope.Error(id, path + ".id", "tool_call_id_twice", $"the id {id.GetString()} belongs to two tool calls.", "Give each call its own id.");
            else
                _openCalls++;
            if (call.TryGetProperty("type"u8, out var type) && (type.ValueKind != JsonValueKind.String || !type.ValueEquals("function"u8)))
                scope.Error(type, path + ".type", "tool_type_unknown", "a tool call's type must be function.", "Write \"type\":\"function\".");
            if (!call.TryGetProperty("function"u8, out var function) || function.ValueKind != JsonValueKind.Object)
                scope.Error(call, path + ".function", "tool_function_missing", "a tool call needs function, an object with name and arguments.", "Write \"function\":{\"name\":…,\"arguments\":…}.");
            else
                Function(function, path + ".function", deepens: false);
        }
        return true;
    }

    /// <param name="function">Its name and its arguments.</param>
    /// <param name="path">Where it stands.</param>
    /// <param name="deepens">As a tool call it has more levels around it than here; else the row's own depth is that of its arguments.</param>
    private void Function(JsonElement function, string path, bool deepens)
    {
        if (!function.TryGetProperty("name"u8, out var name) || name.ValueKind != JsonValueKind.String || IsBlank(name))
            scope.Error(function, path + ".name", "tool_name_missing", "the tool call has no name.", "Name the function that is called.");
        else if (_tools is not null && !_tools.Names.Contains(name.GetString()!))
            scope.Warn(name, path + ".name", "tool_not_declared", $"the tool {name.GetString()} is called but not declared in tools.",
                scope.Meant("tool_not_declared", name.GetString()!, _tools.Names) is { } near ? $"Did you mean {near}?" : "Declare it, or the model learns to call what it is not offered.");
        if (!function.TryGetProperty("arguments"u8, out var arguments) || arguments.ValueKind == JsonValueKind.Null)
            scope.Error(function, path + ".arguments", "tool_arguments_missing", "the tool call has no arguments.", "Write \"arguments\":\"{}\" when there are none.");
        else if (arguments.ValueKind == JsonValueKind.String)
            Arguments(arguments, Encoding.UTF8.GetBytes(arguments.GetString()!), path + ".arguments");
        else if (arguments.ValueKind == JsonValueKind.Object && deepens)
            Arguments(arguments, JsonMarshal.GetRawUtf8Value(arguments), path + ".arguments");
        else if (arguments.ValueKind != JsonValueKind.Object)
            scope.Error(arguments, path + ".arguments", "tool_arguments_not_object", $"arguments of the tool call must be a JSON object as text, it is {RowValidator.Spoken(arguments)}.", "Write \"arguments\":\"{…}\".");
    }

    private void Arguments(JsonElement arguments, ReadOnlySpan<byte> json, string path)
    {
        var faults = new List<JsonFault>();
        bool parses = _arguments.Check(json, faults);
        if (!parses && faults[^1] is { Code: JsonSyntax.TooDeep } deep)
            scope.Error(arguments, path, deep.Code, $"arguments of the tool call: {deep.Reason}", deep.Hint);
        else if (arguments.ValueKind == JsonValueKind.Object)
            return; // its other faults are the row's
        else if (!parses)
            scope.Error(arguments, path, "tool_arguments_not_json", json.Length == 0 ? "arguments of the tool call are not JSON: they are empty." : $"arguments of the tool call are not JSON: {faults[^1].Reason}",
                "Write a JSON object as text, such as \"{\\\"day\\\":\\\"Monday\\\"}\"; \"{}\" when there are none.");
        else if (faults.Count > 0)
            scope.Error(arguments, path, "tool_arguments_not_json", $"arguments of the tool call: {faults[0].Reason}", faults[0].Hint);
        else if (json.TrimStart(" \t\r\n"u8) is var trimmed && (trimmed.IsEmpty || trimmed[0] != '{'))
            scope.Error(arguments, path, "tool_arguments_not_object", "arguments of the tool call must be a JSON object.", "Write \"{…}\".");
    }

    private void ToolAnswer(Message message, string? role)
    {
        if (role == "tool")
        {
            // One that names no call, or a wrong one, is its own error and no call without an answer.
            if (message.ToolCallId.ValueKind is JsonValueKind.Undefined or JsonValueKind.Null)
                scope.Error(message.Self, At(".tool_call_id"), "tool_call_id_missing", "tool message without tool_call_id.", "Give it the id of the call that it answers.");
            else if (message.ToolCallId.ValueKind != JsonValueKind.String)
                scope.Error(message.ToolCallId, At(".tool_call_id"), "tool_call_id_not_text", $"tool_call_id must be text, it is {RowValidator.Spoken(message.ToolCallId)}.", "Give it the id of the call that it answers.");
            else if (_calls.IndexOf(message.ToolCallId.GetString()!) is var call && call < 0)
                scope.Error(message.ToolCallId, At(".tool_call_id"), "tool_call_unknown", $"the tool message answers the call {message.ToolCallId.GetString().Shown(40)}, which no assistant message before it makes.",
                    scope.Meant("tool_call_unknown", message.ToolCallId.GetString()!, _calls.Keys.Take(ToolDefinitions.MaxTools)) is { } near ? $"Did you mean {near}?" : "Put it after the message with that call.");
            else
            {
                fingerprint.Add(message.ToolCallId);
                Answered(call);
                return;
            }
            ForgetOpenCalls();
        }
        else if (IsGiven(message.ToolCallId) && role is not null)
            scope.Error(message.ToolCallId, At(".tool_call_id"), "tool_call_id_not_allowed", $"tool_call_id on a {role} message.", "Only tool messages answer calls; give it the role tool.");
        else if (role == "function" && message.Name.ValueKind != JsonValueKind.String)
            scope.Error(message.Self, At(".name"), "name_missing", "function message without name.", "Name the function that answered, or use tool_calls and the role tool.");
    }

    /// <summary>The conversation goes on although a call has no answer: said once.</summary>
    private void Unanswered(Message message)
    {
        string call = _calls.First(c => !c.Value).Key;
        scope.Warn(message.Self, At(""), "tool_call_unanswered", $"the tool call {call.Shown(40)} before this message has no tool message that answers it.", "Add {\"role\":\"tool\",\"tool_call_id\":…,\"content\":…}, or take the call out.");
        ForgetOpenCalls();
    }

    private void ForgetOpenCalls()
    {
        for (int i = 0; i < _calls.Count && _openCalls > 0; i++)
            Answered(i);
    }

    private void Answered(int call)
    {
        _openCalls -= _calls.GetAt(call).Value ? 0 : 1;
        _calls.SetAt(call, true);
    }
}
