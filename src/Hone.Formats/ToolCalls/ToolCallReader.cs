using System.Text;
using System.Text.Json;

namespace Hone.Formats.ToolCalls;

/// <summary>A call as an answer has it.</summary>
/// <param name="Name">The function.</param>
/// <param name="Arguments">A JSON object.</param>
public sealed record WrittenCall(string Name, string Arguments);

/// <summary>Finds the calls in the text behind <see cref="ToolCallFormat.Begin"/> as it comes: objects with a name and arguments, or names with an object behind them.</summary>
public sealed class ToolCallReader
{
    private readonly StringBuilder _outside = new(), _object = new();
    private int _depth;
    private bool _inString, _escaped;

    /// <returns>The calls that the text completes.</returns>
    public IEnumerable<WrittenCall> Take(string text)
    {
        foreach (char c in text)
        {
            if (_depth == 0 && c != '{')
            {
                _outside.Append(c);
                continue;
            }
            _object.Append(c);
            if (_inString)
            {
                _inString = _escaped || c != '"';
                _escaped = c == '\\' && !_escaped;
                continue;
            }
            _inString = c == '"';
            _depth += c == '{' ? 1 : c == '}' ? -1 : 0;
            if (_depth > 0)
                continue;
            yield return Read(_object.ToString(), _outside.ToString());
            _object.Clear();
            _outside.Clear();
        }
    }

    private static WrittenCall Read(string json, string before)
    {
        string name = before.Replace("[ARGS]", "", StringComparison.Ordinal).Replace("[TOOL_CALLS]", "", StringComparison.Ordinal).Trim();
        if (name.Length > 0 && name.All(c => char.IsAsciiLetterOrDigit(c) || c is '_' or '-' or '.'))
            return new WrittenCall(name, json);
        JsonElement call = JsonElement.Parse(json, new JsonDocumentOptions { MaxDepth = 2000 });
        JsonElement arguments = call.TryGetProperty("arguments", out JsonElement given) ? given : call.GetProperty("parameters");
        return new WrittenCall(call.GetProperty("name").GetString()!, arguments.GetRawText());
    }
}
