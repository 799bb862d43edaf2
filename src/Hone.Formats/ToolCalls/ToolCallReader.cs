using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;

namespace Hone.Formats.ToolCalls;

/// <summary>A call as an answer has it.</summary>
/// <param name="Name">The function.</param>
/// <param name="Arguments">A JSON object.</param>
public sealed record WrittenCall(string Name, string Arguments);

/// <summary>Finds the calls in the text behind <see cref="ToolCallFormat.Begin"/> as it comes: objects with a name and arguments, or names with an object behind them.</summary>
/// <param name="beforeName">See <see cref="ToolCallFormat.BeforeName"/>.</param>
public sealed partial class ToolCallReader(string beforeName = "")
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

    /// <summary>What stands around a name: marks, of which special tokens have no text, and fences.</summary>
    [GeneratedRegex("\\[ARGS\\]|\\[TOOL_CALLS\\]|<｜[^｜]*｜>|```(json)?")]
    private static partial Regex Marks();

    private WrittenCall Read(string json, string before)
    {
        string name = Marks().Replace(before, "").Trim();
        name = name.StartsWith(beforeName, StringComparison.Ordinal) ? name[beforeName.Length..] : name;
        if (name.Length > 0 && name.All(c => char.IsAsciiLetterOrDigit(c) || c is '_' or '-' or '.'))
            return new WrittenCall(name, json);
        JsonElement call = JsonElement.Parse(json, new JsonDocumentOptions { MaxDepth = 2000 });
        JsonElement arguments = call.TryGetProperty("arguments", out JsonElement given) ? given : call.GetProperty("parameters");
        return new WrittenCall(call.GetProperty("name").GetString()!, arguments.GetRawText());
    }
}
