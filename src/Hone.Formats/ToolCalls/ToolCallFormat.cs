using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using Hone.Formats.ChatTemplates;
using Hone.Formats.Constraints;
using Hone.Formats.Models;
using Hone.Formats.Tokenizers;

namespace Hone.Formats.ToolCalls;

/// <summary>How a template is given what it does not take as OpenAI's dialect has it.</summary>
[Flags]
public enum ToolRendering
{
    None = 0,

    /// <summary>It shows no functions: they are described in the system message.</summary>
    FunctionsAsText = 1,

    /// <summary>It writes no calls: these and their results are written into the messages.</summary>
    CallsAsText = 2,

    /// <summary>It joins arguments to texts: they are JSON text, not objects.</summary>
    ArgumentsAsText = 4,

    /// <summary>It writes calls where the message's content is null, and nowhere else.</summary>
    NullContent = 8,
}

/// <summary>How a model writes calls of functions, found by having its chat template write one.</summary>
public sealed partial class ToolCallFormat
{
    private const string ToolsMark = "[TOOL_CALLS]", ArgumentsMark = "[ARGS]", HermesMark = "<tool_call>", HermesEnd = "</tool_call>", LlamaBeginning = "{\"name\":";
    private const string CallsBegin = "<｜tool▁calls▁begin｜>", CallsEnd = "<｜tool▁calls▁end｜>", CallBegin = "<｜tool▁call▁begin｜>", CallEnd = "<｜tool▁call▁end｜>", CallSeparator = "<｜tool▁sep｜>";
    private const string FenceBegin = "\n```json\n", FenceEnd = "\n```", FunctionType = "function";
    private const string Called = "zqCALLEDzq", Given = "zqGIVENzq";

    private static readonly ChatTemplateLimits s_limits = new() { MaxSteps = 1_000_000, MaxTextLength = 1 << 20 };

    private enum Kind
    {
        /// <summary><c>&lt;tool_call&gt;{"name": …, "arguments": …}&lt;/tool_call&gt;</c></summary>
        Hermes,

        /// <summary><c>{"name": …, "parameters": …}</c> is all of the answer.</summary>
        Llama,

        /// <summary><c>[TOOL_CALLS] [{"name": …, "arguments": …}]</c></summary>
        MistralList,

        /// <summary><c>[TOOL_CALLS]name[ARGS]{…}</c></summary>
        MistralNames,

        /// <summary>Each call between marks, <c>name</c>, a mark, <c>{…}</c>: DeepSeek V3.1.</summary>
        DeepSeek,

        /// <summary>As <see cref="DeepSeek"/>, with <c>function</c> and the mark before the name and the arguments in a fence of Markdown: DeepSeek V3 and R1.</summary>
        DeepSeekFenced,
    }

    private readonly Kind _kind;
    private readonly Tokenizer _tokenizer;

    private ToolCallFormat(Kind kind, ToolRendering rendering, Tokenizer tokenizer)
    {
        (_kind, Rendering, _tokenizer) = (kind, rendering, tokenizer);
        Begin = kind switch { Kind.Hermes => HermesMark, Kind.Llama => LlamaBeginning, Kind.DeepSeek or Kind.DeepSeekFenced => CallsBegin, _ => ToolsMark };
        BeginToken = Special(Begin);
    }

    /// <summary>With <see cref="ToolRendering.CallsAsText"/> the template knows no calls, or writes them in a way that is not known here.</summary>
    public ToolRendering Rendering { get; }

    /// <summary>With this text calls begin.</summary>
    public string Begin { get; }

    /// <summary>The special token that <see cref="Begin"/> is, which has no text; null where it is text.</summary>
    public int? BeginToken { get; }

    /// <summary>Calls are all of an answer, and <see cref="Begin"/> is a part of the first one.</summary>
    public bool OnlyAtStart => _kind == Kind.Llama;

    /// <summary>What stands before the name of each function.</summary>
    public string BeforeName => _kind == Kind.DeepSeekFenced ? FunctionType : "";

    /// <summary>A call, for a model whose template does not tell how to write one.</summary>
    internal string Example => _kind switch
    {
        Kind.Llama => $$"""{"name": "{{ExampleName}}", "parameters": {{ExampleArguments}}}""",
        Kind.MistralList => $$"""[TOOL_CALLS] [{"name": "{{ExampleName}}", "arguments": {{ExampleArguments}}}]""",
        Kind.MistralNames => $"{ToolsMark}{ExampleName}{ArgumentsMark}{ExampleArguments}",
        Kind.DeepSeek => $"{CallsBegin}{CallBegin}{ExampleName}{CallSeparator}{ExampleArguments}{CallEnd}{CallsEnd}",
        Kind.DeepSeekFenced => $"{CallsBegin}{CallBegin}{FunctionType}{CallSeparator}{ExampleName}{FenceBegin}{ExampleArguments}{FenceEnd}{CallEnd}{CallsEnd}",
        _ => $$"""
            <tool_call>
            {"name": "{{ExampleName}}", "arguments": {{ExampleArguments}}}
            </tool_call>
            """,
    };

    private const string ExampleName = "the function's name", ExampleArguments = """{"argument": "value"}""";

    /// <summary>Of one answer; a small model may repeat one for ever.</summary>
    public const int MostCalls = ToolDefinitions.MaxTools;

    /// <summary>Templates of this kind take no longer ids.</summary>
    public int IdLength => _kind is Kind.MistralList or Kind.MistralNames ? 9 : 24;

    public static ToolCallFormat Of(BaseModel model) => Of(model.ChatTemplate, model.Tokenizer, model.BosToken, model.EosToken);

    internal static ToolCallFormat Of(ChatTemplate? template, Tokenizer tokenizer, string? bosToken, string? eosToken)
    {
        foreach (ToolRendering rendering in (ReadOnlySpan<ToolRendering>)[ToolRendering.None, ToolRendering.ArgumentsAsText, ToolRendering.NullContent, ToolRendering.NullContent | ToolRendering.ArgumentsAsText])
        {
            if (Render(template, rendering, bosToken, eosToken) is { } text && KindOf(text) is { } kind)
                return new ToolCallFormat(kind, text.Contains(Given, StringComparison.Ordinal) ? rendering : rendering | ToolRendering.FunctionsAsText, tokenizer);
        }
        return new ToolCallFormat(Kind.Hermes, ToolRendering.FunctionsAsText | ToolRendering.CallsAsText, tokenizer);
    }

    private static Kind? KindOf(string text)
    {
        int at = text.LastIndexOf(Called, StringComparison.Ordinal);
        if (at < 0)
            return null;
        (string before, string after) = (text[..at], text[(at + Called.Length)..]);
        return (before, after) switch
        {
            _ when HermesBefore().IsMatch(before) && ArgumentsAfter().IsMatch(after) => Kind.Hermes,
            _ when ListBefore().IsMatch(before) && ArgumentsAfter().IsMatch(after) => Kind.MistralList,
            _ when Stands(ToolsMark, ArgumentsMark + "{") => Kind.MistralNames,
            _ when Stands(CallsBegin + CallBegin, CallSeparator + "{") => Kind.DeepSeek,
            _ when Stands(CallsBegin + CallBegin + FunctionType + CallSeparator, FenceBegin + "{") => Kind.DeepSeekFenced,
            _ when LlamaBefore().IsMatch(before) && ParametersAfter().IsMatch(after) => Kind.Llama,
            _ => null,
        };

        bool Stands(string left, string right) => before.EndsWith(left, StringComparison.Ordinal) && after.StartsWith(right, StringComparison.Ordinal);
    }

    [GeneratedRegex("<tool_call>\\s*\\{\\s*\"name\":\\s*\"$")]
    private static partial Regex HermesBefore();

    [GeneratedRegex("\\[TOOL_CALLS\\]\\s*\\[\\{\\s*\"name\":\\s*\"$")]
    private static partial Regex ListBefore();

    [GeneratedRegex("(?<!<tool_call>\\s*)\\{\\s*\"name\":\\s*\"$")]
    private static partial Regex LlamaBefore();

    [GeneratedRegex("^\",\\s*\"arguments\":\\s*\\{")]
    private static partial Regex ArgumentsAfter();

    [GeneratedRegex("^\",\\s*\"parameters\":\\s*\\{")]
    private static partial Regex ParametersAfter();

    /// <summary>Null where there is no template, or it refuses.</summary>
    private static string? Render(ChatTemplate? template, ToolRendering rendering, string? bosToken, string? eosToken)
    {
        const string Tools = $$$$"""[{"type":"function","function":{"name":"{{{{Given}}}}","description":"d","parameters":{"type":"object","properties":{"a":{"type":"string","description":"d"}},"required":["a"]}}}]""";
        string arguments = rendering.HasFlag(ToolRendering.ArgumentsAsText) ? """ "{\"a\":\"b\"}" """ : """{"a":"b"}""", content = rendering.HasFlag(ToolRendering.NullContent) ? "null" : "\"\"";
        string messages = $$$$"""[{"role":"user","content":"Hi"},{"role":"assistant","content":{{{{content}}}},"tool_calls":[{"id":"abcdef123","type":"function","function":{"name":"{{{{Called}}}}","arguments":{{{{arguments}}}}}}]},{"role":"tool","name":"f","tool_call_id":"abcdef123","content":"c"},{"role":"assistant","content":"d"}]""";
        try
        {
            return template?.Render(new ChatTemplateInput
            {
                Messages = JsonElement.Parse(messages),
                Tools = JsonElement.Parse(Tools),
                BosToken = bosToken,
                EosToken = eosToken,
                KeepNulls = rendering.HasFlag(ToolRendering.NullContent),
                Limits = s_limits,
            }, CancellationToken.None).Text;
        }
        catch (ChatTemplateException)
        {
            return null;
        }
    }

    private int? Special(string text) => _tokenizer.TokenId(text) is { } id && _tokenizer.IsSpecial(id) ? id : null;

    /// <summary>What an answer may be.</summary>
    /// <param name="tools">Functions that may be called.</param>
    /// <param name="choice">See <see cref="ToolChoice"/>.</param>
    /// <param name="severalCalls">More than one call an answer.</param>
    /// <param name="value">What an answer without calls must be; null: any text.</param>
    internal Func<NodeTable, Node> Answer(IReadOnlyList<ToolDefinition> tools, string choice, bool severalCalls, Rule? value)
    {
        ToolDefinition[] callable = [.. tools.Where(t => ToolChoice.IsMode(choice) || t.Name == choice)];
        bool several = severalCalls && ToolChoice.IsMode(choice) && _kind != Kind.Llama;
        return table =>
        {
            if (choice is not (ToolChoice.Auto or ToolChoice.None))
                return table.Sequence(Mark(table, Begin), Calls(table, callable, several));
            byte[] begin = BeginToken is { } id ? TokenVocabulary.BytesOfSpecial(id) : Encoding.UTF8.GetBytes(Begin);
            Node plain = value is not null ? table.Of(value) : table.Automaton(OnlyAtStart ? TextAutomaton.NotBeginningWith(begin) : TextAutomaton.Without(begin));
            if (choice == ToolChoice.None || callable.Length == 0)
                return plain;
            Node until = value is not null || OnlyAtStart ? Mark(table, Begin) : table.Automaton(TextAutomaton.UpTo(begin));
            return table.Choice([plain, table.Sequence(until, Calls(table, callable, several))]);
        };
    }

    private Node Mark(NodeTable table, string text) =>
        Special(text) is { } id ? table.Automaton(TextAutomaton.Literals([[.. TokenVocabulary.BytesOfSpecial(id).Select(b => (int)b)]])) : table.Literal(text);

    /// <summary>Calls behind the mark that they begin with.</summary>
    private Node Calls(NodeTable table, ToolDefinition[] tools, bool several)
    {
        Node Each(Func<ToolDefinition, Node> write) => table.Choice([.. tools.Select(write)]);
        Node Object(ToolDefinition tool, string arguments) =>
            table.Sequence(table.Literal("\"" + tool.Name + "\","), table.Blank, table.Literal($"\"{arguments}\":"), table.Blank, table.Of(tool.Arguments), table.Space, table.Literal("}"));
        Node Named() => table.Sequence(table.Literal("{"), table.Space, table.Literal("\"name\":"), table.Blank, Each(t => Object(t, "arguments")));
        Node More(Node call) => several ? table.Repeat(call, 0, -1) : table.End;

        switch (_kind)
        {
            case Kind.Llama:
                return table.Sequence(table.Blank, Each(t => Object(t, "parameters")));
            case Kind.MistralList:
                return table.Sequence(table.Blank, table.Literal("["), Named(), More(table.Sequence(table.Literal(","), table.Blank, Named())), table.Literal("]"));
            case Kind.MistralNames:
                Node one = Each(t => table.Sequence(table.Literal(t.Name), Mark(table, ArgumentsMark), table.Of(t.Arguments)));
                return table.Sequence(one, More(table.Sequence(Mark(table, Begin), one)));
            case Kind.DeepSeek:
                Node plain = Each(t => table.Sequence(Mark(table, CallBegin), table.Literal(t.Name), Mark(table, CallSeparator), table.Of(t.Arguments), Mark(table, CallEnd)));
                return table.Sequence(plain, More(plain), Mark(table, CallsEnd));
            case Kind.DeepSeekFenced:
                Node fenced = Each(t => table.Sequence(
                    Mark(table, CallBegin), table.Literal(FunctionType), Mark(table, CallSeparator), table.Literal(t.Name + FenceBegin), table.Of(t.Arguments), table.Literal(FenceEnd), Mark(table, CallEnd)));
                return table.Sequence(fenced, More(table.Sequence(table.Literal("\n"), fenced)), Mark(table, CallsEnd));
            default:
                Node call = table.Sequence(table.Space, Named(), table.Space, table.Literal(HermesEnd));
                return table.Sequence(call, More(table.Sequence(table.Space, table.Literal(Begin), call)));
        }
    }
}
