using System.Text.Json;
using System.Text.Json.Nodes;
using Hone.Formats.ChatTemplates;
using Hone.Formats.Jobs;
using Hone.Formats.Models;
using Hone.Formats.Tests.Tokenizers;
using Hone.Formats.Tokenizers;
using Hone.Formats.ToolCalls;
using Hone.Formats.TrainingData;

namespace Hone.Formats.Tests.TrainingData;

/// <summary>
/// Random conversations in real models' templates and tokenizers: what is learnt is each answer from behind its turn's head to its end-of-turn token, and nothing else.
/// Where the answer stands is told by signs that the template prints around it, not by the prompts that <see cref="TurnFinder"/> renders.
/// </summary>
[Trait("Category", "Reference")]
[Trait("Category", "Slow")]
public sealed class ModelTemplatePropertyTests
{
    private const int Conversations = 150;
    private const char Begin = '\uE000', End = '\uE001';

    // Pieces that meet in odd ways: signs of templates, the words of roles, letters of several code points, white space.
    private static readonly string[] Pieces =
        ["assistant", "user\n", "model\n", "Yes", " no", "\n", "\n\n", "  ", "\t", "{\"a\": 1}", "👩‍👩‍👧", "é", "e\u0301", "日本", "im_end", "<|", "|>", "<｜", ".", "?!", "1234", " the", "\u00a0", "ß", "🙂", "None", "fn"];

    // Of tools; some stand in templates too.
    private static readonly string[] Names = ["look_up", "end", "assistant", "model", "fn"];

    /// <param name="heads">What comes before an answer that the model writes itself.</param>
    /// <param name="trims">White space of an answer that the template takes away.</param>
    /// <param name="takes">Of system messages and tools, which the template has a place for; alone: calls without content, whose turns DeepSeek V3's begins and ends by their number.</param>
    [Theory]
    [InlineData("smollm2", "<|im_start|>assistant\n", "<|im_end|>", "", "system tools alone")]
    [InlineData("llama3", "<|start_header_id|>assistant<|end_header_id|>\n\n", "<|eot_id|>", "both", "system tools alone")]
    [InlineData("llama3_1", "<|start_header_id|>assistant<|end_header_id|>\n\n", "<|eot_id|>", "both", "system tools alone")]
    [InlineData("gemma3", "<start_of_turn>model\n", "<end_of_turn>", "both", "system")]
    [InlineData("gemini", "<start_of_turn>model\n", "<end_of_turn>", "both", "")]
    [InlineData("qwen3", "<|im_start|>assistant\n", "<|im_end|>", "lines before", "system tools alone thinking")]
    [InlineData("deepseek_v3", "<｜Assistant｜>|<｜tool▁outputs▁end｜>", "<｜end▁of▁sentence｜>", "", "system tools")]
    public void Encode_RandomConversations_LearnTheAnswersAndNothingElse(string name, string heads, string endOfTurn, string trims, string takes)
    {
        var model = new Model(name, heads.Split('|', heads.Contains('▁') ? 2 : 1), endOfTurn, trims);
        var random = new Random(20);
        int exact = 0, spans = 0;
        for (int n = 0; n < Conversations; n++)
        {
            JsonObject row = Conversation(random, takes, model);
            RowEncoding encoding = model.Encode(row);

            Assert.True(encoding.Errors.Count == 0, $"{row.ToJsonString()}\n{string.Join('\n', encoding.Errors)}");
            string[] codes = [.. encoding.Warnings.Select(w => w.Code).Distinct()];
            Assert.Subset(new HashSet<string> { "token_across_boundary", "row_split", "tool_call_not_shown" }, codes.ToHashSet());
            (string[] expected, int unshown, int learnt) = model.Expected(row);
            spans += learnt;
            Assert.Equal(unshown > 0, codes.Contains("tool_call_not_shown"));
            string[] marked = [.. encoding.Rows.Select(model.Marked)];
            if (!codes.Contains("token_across_boundary"))
            {
                Assert.Equal(expected, marked);
                exact++;
                continue;
            }
            // A token that is prompt and answer at once is not learnt, and said so.
            Assert.Equal(expected.Select(MarkedText.Plain), marked.Select(MarkedText.Plain));
            Assert.All(expected.Zip(marked), r => Assert.Subset(MarkedText.Learnt(r.First), MarkedText.Learnt(r.Second)));
        }
        Assert.InRange(exact, Conversations / 2, Conversations);
        Assert.True(spans > Conversations);
        Assert.Equal(endOfTurn, Assert.Single(model.EndsOfTurn));
    }

    [Theory]
    [InlineData("gemini", """{"role":"system","content":"s"}""", "System role not supported")]
    [InlineData("gemini", """{"role":"user","content":"q"}""", "must alternate")]
    [InlineData("gemma3", """{"role":"assistant","content":"a"}""", "must alternate")]
    public void Encode_RolesThatTheTemplateRefuses_SaysSo(string name, string first, string why)
    {
        var model = new Model(name, [""], "", "both");
        var error = Assert.Single(model.Encode(JsonNode.Parse($$$"""{"messages":[{{{first}}},{"role":"user","content":"q"},{"role":"assistant","content":"a"}]}""")!.AsObject()).Errors);
        Assert.Equal("template_rejects_row", error.Code);
        Assert.Contains(why, error.Message, StringComparison.Ordinal);
    }

    private static JsonObject Conversation(Random random, string takes, Model model)
    {
        var messages = new JsonArray();
        bool tools = takes.Contains("tools") && random.Next(2) == 0;
        if (takes.Contains("system") && random.Next(5) < 2)
            messages.Add(new JsonObject { ["role"] = "system", ["content"] = Text(random, model) });
        int called = 0;
        for (int turn = 0, turns = random.Next(1, 5); turn < turns; turn++)
        {
            messages.Add(new JsonObject { ["role"] = "user", ["content"] = Text(random, model) });
            for (int calls = tools ? random.Next(3) : 0; calls > 0; calls--)
            {
                string id = $"call_{++called}";
                var function = new JsonObject { ["name"] = Names[random.Next(Names.Length)], ["arguments"] = new JsonObject { ["text"] = Text(random, null) }.ToJsonString() };
                messages.Add(Answer(new JsonObject
                {
                    ["role"] = "assistant",
                    ["content"] = takes.Contains("alone") && random.Next(2) == 0 ? null : Text(random, model),
                    ["tool_calls"] = new JsonArray(new JsonObject { ["id"] = id, ["type"] = "function", ["function"] = function }),
                }));
                messages.Add(new JsonObject { ["role"] = "tool", ["tool_call_id"] = id, ["content"] = Text(random, model) });
            }
            messages.Add(Answer(new JsonObject { ["role"] = "assistant", ["content"] = Text(random, model) }));
        }
        messages[^1]!["weight"] = 1;
        var row = new JsonObject { ["messages"] = messages };
        if (called > 0)
            row["tools"] = new JsonArray([.. Names.Select(name => (JsonNode)new JsonObject { ["type"] = "function", ["function"] = new JsonObject { ["name"] = name } })]);
        return row;

        JsonObject Answer(JsonObject message)
        {
            message["weight"] = random.Next(4) > 0 ? 1 : 0;
            if (takes.Contains("thinking") && random.Next(3) == 0)
                message["reasoning_content"] = Text(random, null).Trim() + "x";
            return message;
        }
    }

    /// <summary>Not blank: an answer of white space is refused.</summary>
    /// <param name="model">The text may hold this model's own signs.</param>
    private static string Text(Random random, Model? model)
    {
        string text = string.Concat(Enumerable.Range(0, random.Next(1, 8)).Select(_ => model is not null && random.Next(25) == 0 ? model.EndOfTurn : Pieces[random.Next(Pieces.Length)]));
        return string.IsNullOrWhiteSpace(text) ? text + "x" : text;
    }

    /// <summary>A model's template and tokenizer, and what of a conversation is to be learnt.</summary>
    private sealed class Model
    {
        private readonly Tokenizer _tokenizer;
        private readonly ChatTemplate _template;
        private readonly RowEncoder _encoder;
        private readonly string[] _heads;
        private readonly string _trims;
        private readonly string? _bos, _eos;
        private readonly ToolCallFormat _calls;
        private readonly bool _showsSystem;

        public Model(string name, string[] heads, string endOfTurn, string trims)
        {
            (string source, _bos, _eos) = TokenizerPackages.Template(name);
            (_tokenizer, _template) = (TokenizerPackages.Find(name)!, ChatTemplate.Parse(source));
            (_heads, _trims, EndOfTurn) = (heads, trims, endOfTurn);
            (_calls, _showsSystem) = (ToolCallFormat.Of(_template, _tokenizer, _bos, _eos), TemplateFeatures.ShowsSystem(_template, _bos, _eos));
            _encoder = new RowEncoder(_tokenizer, _template, _bos, _eos, new TrainingConfig(), int.MaxValue);
        }

        public string EndOfTurn { get; }

        public IEnumerable<string> EndsOfTurn => _encoder.EndsOfTurn.Select(_tokenizer.TokenText);

        public RowEncoding Encode(JsonObject row) => _encoder.Encode(SmolLm2Rows.Row(row.ToJsonString()), keepText: true, TestContext.Current.CancellationToken);

        public string Marked(EncodedRow row) => Composed(MarkedText.Of(row, _tokenizer));

        /// <summary>As one of the tokenizers does it.</summary>
        private static string Composed(string text) => text.Replace("e\u0301", "é", StringComparison.Ordinal);

        /// <returns>The texts to be learnt, with signs, the answers that the template does not show, and those that are learnt.</returns>
        public (string[] Rows, int Unshown, int Learnt) Expected(JsonObject row)
        {
            (JsonObject Message, int? From)[] messages = Prepared(row);
            string whole = Render(row, messages, messages.Length, null);
            var rows = new List<string>();
            var spans = new List<(int Start, int End)>();
            int unshown = 0, learnt = 0;
            for (int i = 0; i < messages.Length; i++)
            {
                if (messages[i] is not { From: { } from } || row["messages"]![from]!["role"]!.GetValue<string>() != "assistant" || row["messages"]![from]!["weight"]!.GetValue<int>() == 0)
                    continue;
                string signed = Render(row, messages, i + 1, i);
                (int begin, int end) = (signed.IndexOf(Begin), signed.IndexOf(End));
                if (begin < 0 || end < 0)
                {
                    unshown++;
                    continue;
                }
                learnt++;
                int start = _heads.Max(head => signed.LastIndexOf(head, begin, StringComparison.Ordinal) is >= 0 and var at ? at + head.Length : -1);
                end = signed.IndexOf(EndOfTurn, end, StringComparison.Ordinal) + EndOfTurn.Length - 2;
                string alone = signed.Replace($"{Begin}", "", StringComparison.Ordinal).Replace($"{End}", "", StringComparison.Ordinal);
                if (whole.StartsWith(alone[..end], StringComparison.Ordinal))
                    spans.Add((start, end));
                else
                    rows.Add(MarkedText.With(alone, [(start, end)]));
            }
            if (spans.Count > 0 || rows.Count == 0)
                rows.Add(MarkedText.With(whole, spans));
            return ([.. rows.Select(Composed)], unshown, learnt);
        }

        private string Trimmed(string content) => _trims switch { "both" => content.Trim(), "lines before" => content.TrimStart('\n'), _ => content };

        /// <summary>The messages as a model is given them when it answers.</summary>
        private (JsonObject Message, int? From)[] Prepared(JsonObject row)
        {
            var messages = new JsonArray();
            foreach (JsonNode? given in row["messages"]!.AsArray())
            {
                JsonObject message = given!.DeepClone().AsObject();
                message.Remove("weight");
                messages.Add(message);
            }
            return [.. ToolMessages.PrepareEach(JsonSerializer.SerializeToElement(messages), Tools(row), row["tools"] is null ? null : _calls, _showsSystem)];
        }

        private static JsonElement? Tools(JsonObject row) => row["tools"] is { } tools ? JsonSerializer.SerializeToElement(tools) : null;

        /// <param name="signed">The message whose answer stands between the signs.</param>
        private string Render(JsonObject row, (JsonObject Message, int? From)[] prepared, int count, int? signed)
        {
            bool keepsNulls = row["tools"] is not null && _calls.Rendering.HasFlag(ToolRendering.NullContent);
            var messages = new JsonArray();
            foreach ((int i, (JsonObject given, _)) in prepared.Take(count).Index())
            {
                JsonObject message = given.DeepClone().AsObject();
                string? content = message["content"]?.GetValue<string>();
                JsonNode? function = message["tool_calls"]?[0]?["function"];
                if (i == signed)
                {
                    if (content is not null)
                        message["content"] = Begin + Trimmed(content) + (function is null ? $"{End}" : "");
                    if (function is not null)
                        function["name"] = (content is null ? $"{Begin}" : "") + function["name"]!.GetValue<string>() + End;
                }
                if (content is null && !keepsNulls)
                    message["content"] = "";
                messages.Add(message);
            }
            return _template.Render(new ChatTemplateInput
            {
                Messages = JsonSerializer.SerializeToElement(messages),
                Tools = _calls.Rendering.HasFlag(ToolRendering.FunctionsAsText) ? null : Tools(row),
                KeepNulls = keepsNulls,
                BosToken = _bos,
                EosToken = _eos,
            }, TestContext.Current.CancellationToken).Text;
        }
    }
}
