using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using Hone.Formats.ChatTemplates;
using Hone.Formats.Constraints;
using Hone.Formats.Models;
using Hone.Formats.Tokenizers;

namespace Hone.Formats.ToolCalls;

/// <summary>How a model writes calls of functions, found by having its chat template write one.</summary>
public sealed partial class ToolCallFormat
{
    private const string ToolsMark = "[TOOL_CALLS]", ArgumentsMark = "[ARGS]", HermesMark = "<tool_call>", HermesEnd = "</tool_call>", LlamaBeginning = "{\"name\":";
    private const string Called = "zqCALLEDzq";

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
    }

    private readonly Kind _kind;
    private readonly int? _argumentsToken;

    private ToolCallFormat(Kind kind, bool isConvention, Tokenizer tokenizer)
    {
        (_kind, IsConvention) = (kind, isConvention);
        int? Special(string text) => tokenizer.TokenId(text) is { } id && tokenizer.IsSpecial(id) ? id : null;
        Begin = kind switch { Kind.Hermes => HermesMark, Kind.Llama => LlamaBeginning, _ => ToolsMark };
        BeginToken = Special(Begin);
        _argumentsToken = Special(ArgumentsMark);
    }

    /// <summary>The template knows no calls, or writes them in a way that is not known here: tools and calls go through it as text of messages, see <see cref="ToolMessages"/>.</summary>
    public bool IsConvention { get; }

    /// <summary>With this text calls begin.</summary>
    public string Begin { get; }

    /// <summary>The special token that <see cref="Begin"/> is, which has no text; null where it is text.</summary>
    public int? BeginToken { get; }

    /// <summary>Calls are all of an answer, and <see cref="Begin"/> is a part of the first one.</summary>
    public bool OnlyAtStart => _kind == Kind.Llama;

    /// <summary>Templates of this kind take no longer ids.</summary>
    public int IdLength => _kind is Kind.MistralList or Kind.MistralNames ? 9 : 24;

    public static ToolCallFormat Of(BaseModel model) => Of(model.ChatTemplate, model.Tokenizer, model.BosToken, model.EosToken);

    internal static ToolCallFormat Of(ChatTemplate? template, Tokenizer tokenizer, string? bosToken, string? eosToken)
    {
        string? text = Render(template, bosToken, eosToken);
        int at = text?.LastIndexOf(Called, StringComparison.Ordinal) ?? -1;
        if (at < 0)
            return new ToolCallFormat(Kind.Hermes, true, tokenizer);
        (string before, string after) = (text![..at], text[(at + Called.Length)..]);
        Kind? kind = (before, after) switch
        {
            _ when HermesBefore().IsMatch(before) && ArgumentsAfter().IsMatch(after) => Kind.Hermes,
            _ when ListBefore().IsMatch(before) && ArgumentsAfter().IsMatch(after) => Kind.MistralList,
            _ when before.EndsWith(ToolsMark, StringComparison.Ordinal) && after.StartsWith(ArgumentsMark + "{", StringComparison.Ordinal) => Kind.MistralNames,
            _ when LlamaBefore().IsMatch(before) && ParametersAfter().IsMatch(after) => Kind.Llama,
            _ => null,
        };
        return new ToolCallFormat(kind ?? Kind.Hermes, kind is null, tokenizer);
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
    private static string? Render(ChatTemplate? template, string? bosToken, string? eosToken)
    {
        const string Tools = """[{"type":"function","function":{"name":"zqGIVENzq","description":"d","parameters":{"type":"object","properties":{"a":{"type":"string","description":"d"}},"required":["a"]}}}]""";
        const string Messages = $$$$"""[{"role":"user","content":"Hi"},{"role":"assistant","content":"","tool_calls":[{"id":"abcdef123","type":"function","function":{"name":"{{{{Called}}}}","arguments":{"a":"b"}}}]},{"role":"tool","name":"f","tool_call_id":"abcdef123","content":"c"},{"role":"assistant","content":"d"}]""";
        try
        {
            string? text = template?.Render(new ChatTemplateInput
            {
                Messages = JsonElement.Parse(Messages),
                Tools = JsonElement.Parse(Tools),
                BosToken = bosToken,
                EosToken = eosToken,
                Limits = s_limits,
            }, CancellationToken.None).Text;
            return text is not null && text.Contains("zqGIVENzq", StringComparison.Ordinal) ? text : null;
        }
        catch (ChatTemplateException)
        {
            return null;
        }
    }

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
                return table.Sequence(Mark(table, Begin, BeginToken), Calls(table, callable, several));
            byte[] begin = BeginToken is { } id ? TokenVocabulary.BytesOfSpecial(id) : Encoding.UTF8.GetBytes(Begin);
            Node plain = value is not null ? table.Of(value) : table.Automaton(OnlyAtStart ? TextAutomaton.NotBeginningWith(begin) : TextAutomaton.Without(begin));
            if (choice == ToolChoice.None || callable.Length == 0)
                return plain;
            Node until = value is not null || OnlyAtStart ? Mark(table, Begin, BeginToken) : table.Automaton(TextAutomaton.UpTo(begin));
            return table.Choice([plain, table.Sequence(until, Calls(table, callable, several))]);
        };
    }

    private static Node Mark(NodeTable table, string text, int? token) =>
        token is { } id ? table.Automaton(TextAutomaton.Literals([[.. TokenVocabulary.BytesOfSpecial(id).Select(b => (int)b)]])) : table.Literal(text);

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
                Node one = Each(t => table.Sequence(table.Literal(t.Name), Mark(table, ArgumentsMark, _argumentsToken), table.Of(t.Arguments)));
                return table.Sequence(one, More(table.Sequence(Mark(table, Begin, BeginToken), one)));
            default:
                Node call = table.Sequence(table.Space, Named(), table.Space, table.Literal(HermesEnd));
                return table.Sequence(call, More(table.Sequence(table.Space, table.Literal(Begin), call)));
        }
    }
}
