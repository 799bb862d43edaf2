using System.Text.Json;
using Hone.Formats.Constraints;
using Hone.Formats.Inference;
using Hone.Formats.Models;

namespace Hone.Formats.ToolCalls;

/// <summary>What a model's answers must look like, by request. The last constraints are kept with all that was worked out for them. Threads may share one.</summary>
public sealed class AnswerConstraints(BaseModel model)
{
    private const int Kept = 32;

    private readonly Lazy<TokenVocabulary> _vocabulary = new(() => new TokenVocabulary(model));
    private readonly Lazy<ToolCallFormat> _format = new(() => ToolCallFormat.Of(model));
    private readonly LinkedList<(string Key, Constraint Constraint)> _recent = []; // the last used first
    private readonly Lock _lock = new();

    public ToolCallFormat Format => _format.Value;

    public TokenVocabulary Vocabulary => _vocabulary.Value;

    /// <summary>Whether a request's answer may call functions.</summary>
    public static bool MayCall(GenerateRequest request) => request.Tools is { ValueKind: JsonValueKind.Array } tools && tools.GetArrayLength() > 0 && request.ToolChoice != ToolChoice.None;

    /// <summary>Whether it must.</summary>
    public static bool MustCall(GenerateRequest request) => MayCall(request) && request.ToolChoice is not (null or ToolChoice.Auto);

    /// <summary>Tools as templates read them; null where the model is not told of any.</summary>
    /// <exception cref="SchemaException"/>
    public static JsonElement? ToolsOf(GenerateRequest request) => MayCall(request) ? ToolDefinitions.Read(request.Tools!.Value).Json : null;

    /// <returns>Null: any text will do.</returns>
    /// <exception cref="SchemaException">The schema or the tools cannot be enforced.</exception>
    public Constraint? For(GenerateRequest request)
    {
        bool hasTools = request.Tools is { ValueKind: not JsonValueKind.Null };
        if (request.Schema is null && !hasTools && request.ToolChoice is null or ToolChoice.Auto or ToolChoice.None)
            return null;
        string key = $"{request.Schema?.GetRawText()}\n{(hasTools ? request.Tools!.Value.GetRawText() : "")}\n{request.ToolChoice} {request.ParallelToolCalls}";
        lock (_lock)
        {
            LinkedListNode<(string Key, Constraint Constraint)>? node = _recent.First;
            while (node is not null && node.Value.Key != key)
                node = node.Next;
            if (node is not null)
            {
                _recent.Remove(node);
                _recent.AddFirst(node);
                return node.Value.Constraint;
            }
        }
        Constraint made = Make(request, hasTools);
        lock (_lock)
        {
            _recent.AddFirst((key, made));
            if (_recent.Count > Kept)
                _recent.RemoveLast();
        }
        return made;
    }

    private Constraint Make(GenerateRequest request, bool hasTools)
    {
        ToolDefinitions? tools = hasTools ? ToolDefinitions.Read(request.Tools!.Value) : null;
        string choice = ToolChoice.Check(request.ToolChoice, tools);
        Rule? value = request.Schema is { } schema ? SchemaRules.Compile(schema) : null;
        Rule[] rules = [.. (tools?.All ?? []).Select(t => t.Arguments), .. value is null ? Array.Empty<Rule>() : [value]];
        return new Constraint(Vocabulary, rules, tools is { All.Count: > 0 } ? Format.Answer(tools.All, choice, request.ParallelToolCalls, value) : Plain);

        Node Plain(NodeTable table) => value is null ? table.Automaton(TextAutomaton.NotBeginningWith([])) : table.Of(value);
    }
}
