using Hone.Formats.ChatTemplates;
using Hone.Formats.Jobs;
using Hone.Formats.Models;
using Hone.Formats.Tokenizers;
using Hone.Formats.ToolCalls;

namespace Hone.Formats.TrainingData;

/// <summary>
/// Rows to tokens with what of them is learnt: of each assistant message that has not the weight 0, the content and the end-of-turn token after it; neither the turn's
/// head nor the white space behind. A prompt/completion row is a user's message and the assistant's answer; a text row is learnt whole, with the end-of-text token.
/// The whole row is tokenized at once; a token is learnt when it lies wholly inside what is learnt,
/// but for white space that it takes behind itself, as the end-of-turn token of phi 3 does. Rows must have passed <see cref="Linter"/>. Not for several threads at once.
/// </summary>
public sealed class RowEncoder
{
    private readonly Tokenizer _tokenizer;
    private readonly SpecialTokens _special;
    private readonly TurnFinder? _turns;
    private readonly Lazy<(ToolCallFormat Format, bool ShowsSystem)> _calls;
    private readonly string? _eosToken;
    private readonly string _trainOn;
    private readonly bool _strict;
    private readonly HashSet<int> _endsOfTurn = [];

    /// <param name="maxLength">Tokens a row may have; longer ones are cut at their end.</param>
    public RowEncoder(Tokenizer tokenizer, ChatTemplate? template, string? bosToken, string? eosToken, TrainingConfig config, int maxLength, TimeProvider? clock = null)
    {
        _tokenizer = tokenizer;
        _special = new SpecialTokens(tokenizer);
        _turns = template is null ? null : new TurnFinder(template, _special, bosToken, eosToken, clock ?? TimeProvider.System);
        _calls = new(() => (ToolCallFormat.Of(template, tokenizer, bosToken, eosToken), TemplateFeatures.ShowsSystem(template, bosToken, eosToken)), isThreadSafe: false);
        _eosToken = eosToken;
        _trainOn = config.TrainOn ?? "assistant";
        _strict = config.Strict ?? true;
        MaxLength = maxLength;
        AsksForTheDate = new[] { template, template?.ForTools }.Any(t => t?.Source.Contains("strftime_now", StringComparison.Ordinal) == true);
    }

    public int MaxLength { get; }

    /// <summary>The chat template can show the day it is rendered on: a row's tokens are then not the same on each.</summary>
    public bool AsksForTheDate { get; }

    /// <summary>The end-of-turn tokens that the rows so far teach: what generation must stop at.</summary>
    public IReadOnlyCollection<int> EndsOfTurn => _endsOfTurn;

    internal SpecialTokens Special => _special;

    /// <summary>For a base model's own tokenizer, template and context length.</summary>
    public static RowEncoder For(BaseModel model, TrainingConfig config, TimeProvider? clock = null)
        => new(model.Tokenizer, model.ChatTemplate, model.BosToken, model.EosToken, config, Math.Min(config.MaxLength ?? int.MaxValue, model.ContextLength), clock);

    /// <param name="keepText">Keep the rendered text beside the tokens.</param>
    public RowEncoding Encode(TrainingRow row, bool keepText = false, CancellationToken cancellationToken = default)
    {
        var scope = new EncodingScope(row, _strict);
        try
        {
            return row.Kind switch
            {
                RowKind.Text => scope.Finish(Learnable([Text(row, scope, keepText)], scope)),
                RowKind.Preference => Preference(row, scope, keepText, cancellationToken),
                _ => scope.Finish(Learnable(Chat(row.Kind == RowKind.Chat ? Conversation.OfChat(row.Json) : Conversation.OfPair(row.Json), row, scope, keepText, cancellationToken), scope)),
            };
        }
        catch (ChatTemplateException e)
        {
            scope.Error(null, "template_rejects_row", $"the base model's chat template does not take this conversation: {e.Reason}.".Replace("..", ".", StringComparison.Ordinal),
                e.Reason.Contains("system", StringComparison.OrdinalIgnoreCase) ? "Write what the system message says at the beginning of the first question, or train another base model." : "Change the roles' order, or train another base model.");
            return scope.Finish([]);
        }
    }

    internal string TokenText(int id) => _tokenizer.TokenText(id);

    /// <summary>The rendered text in runs that are learnt or not.</summary>
    internal SampleRow Sample(EncodedRow row, string text)
    {
        var offsets = _tokenizer.Encode(text).Offsets;
        var runs = new List<SampleRun>();
        int start = 0, first = 0;
        for (int i = 1; i <= row.Tokens.Length; i++)
        {
            if (i < row.Tokens.Length && row.Trained[i] == row.Trained[first])
                continue;
            int end = i < offsets.Length && i < row.Tokens.Length ? offsets[i].Start : i >= offsets.Length ? text.Length : offsets[i - 1].End;
            runs.Add(new(text[start..Math.Max(start, end)], row.Trained[first], i - first));
            (start, first) = (Math.Max(start, end), i);
        }
        return new(row.Line, runs);
    }

    private RowEncoding Preference(TrainingRow row, EncodingScope scope, bool keepText, CancellationToken cancellationToken)
    {
        var chosen = Learnable(Chat(Conversation.OfPreference(row.Json, RowShape.Preferred), row, scope, keepText, cancellationToken), scope);
        var rejected = Learnable(Chat(Conversation.OfPreference(row.Json, RowShape.NonPreferred), row, scope, keepText, cancellationToken), scope);
        if (!scope.Failed && (chosen.Count != 1 || rejected.Count != 1))
            scope.Error(null, "output_split", "the base model's chat template shows an earlier message of an output otherwise once another follows: the output cannot be compared as one.", "Give outputs of a single message.");
        if (scope.Failed)
            return scope.Finish([]);
        if (chosen[0].Tokens.AsSpan().SequenceEqual(rejected[0].Tokens))
            scope.Error(null, "equal_answers", $"both outputs are equal {(chosen[0].FullLength > MaxLength ? $"after the cut at {MaxLength:N0} tokens" : "as the model sees them")}: there is nothing to prefer.", "Shorten the input, raise max_length, or take the row out.");
        return scope.Finish(new EncodedPreference(row.Line, chosen[0], rejected[0]));
    }

    private EncodedRow Text(TrainingRow row, EncodingScope scope, bool keepText)
    {
        string text = row.Json.GetProperty("text").GetString()!;
        var tokens = _tokenizer.Encode(text, addSpecialTokens: true).Ids.ToList();
        if (_eosToken is not null && _tokenizer.TokenId(_eosToken) is { } eos)
        {
            if (tokens.Count == 0 || tokens[^1] != eos)
                tokens.Add(eos);
            _endsOfTurn.Add(eos);
        }
        bool[] trained = new bool[tokens.Count];
        Array.Fill(trained, true);
        return Cut(row, [.. tokens], trained, keepText ? text : null, scope);
    }

    private List<EncodedRow> Chat(Conversation conversation, TrainingRow row, EncodingScope scope, bool keepText, CancellationToken cancellationToken)
    {
        if (_turns is null)
        {
            scope.Error(null, "no_chat_template", "the base model has no chat template, and these rows are conversations.", "Use {\"text\":…} rows, or a base model that was trained to chat.");
            return [];
        }
        if (conversation.HasTools)
            conversation.WriteTools(_calls.Value.Format, _calls.Value.ShowsSystem);
        var whole = Whole(conversation, _turns, cancellationToken);
        Unshown(conversation, whole.Text, scope);
        if (_trainOn == "everything")
            return [Encode(row, whole.Text, Everything(conversation, whole, row.Kind == RowKind.Preference, cancellationToken), keepText, scope)];
        if (whole.IsGenerationMisplaced)
            scope.Warn(null, "generation_marks_lost", "the chat template marks answers (generation blocks) inside a macro, a filter or a set block, where their place is unknown: the marks are not used, answers are found by the prompt before them.", "Check the sample that hone lint shows.");

        var spans = new List<(int Start, int End, string? Path)>();
        var rows = new List<EncodedRow>();
        int last = conversation.Messages.FindLastIndex(m => m.IsAssistant);
        for (int i = 0; i < conversation.Messages.Count; i++)
        {
            var message = conversation.Messages[i];
            if (!message.IsAssistant || !message.Learnt || _trainOn == "last_assistant" && i != last)
                continue;
            if (_turns.Find(conversation, i, whole, cancellationToken) is not { } turn)
            {
                if (message.Call is not null)
                    scope.Warn(message.Path, "tool_call_not_shown", "the base model's chat template does not show tool calls: the message is not learnt.", "Train a base model with tools, or write the call into content.");
                else
                    scope.Error(message.Path, "answer_not_shown", "the base model's chat template does not show this answer.", "Train another base model, or change the message.");
                continue;
            }
            if (message.Call is not null && turn.EndOfTurn is null)
            {
                scope.Warn(message.Path, "tool_call_without_end", "the base model's chat template writes no end-of-turn token after this call: the message is not learnt.", "Train another base model, or mend its template.");
                continue;
            }
            Judge(turn, message, scope);
            if (whole.Text.AsSpan().StartsWith(turn.Text.AsSpan(0, turn.End), StringComparison.Ordinal))
                spans.Add((turn.Start, turn.End, message.Path));
            else
            {
                scope.Warn(message.Path, "row_split", "the chat template shows an earlier answer otherwise once another follows (such as without its thinking): it is learnt as a row of its own.", "Nothing needs to be done.");
                rows.Add(Encode(row, turn.Text, [(turn.Start, turn.End, message.Path)], keepText, scope));
            }
        }
        if (spans.Count > 0 || rows.Count == 0)
            rows.Add(Encode(row, whole.Text, spans, keepText, scope));
        return rows;
    }

    /// <summary>All but the answers that have the weight 0.</summary>
    private List<(int Start, int End, string? Path)> Everything(Conversation conversation, RenderedChat whole, bool pair, CancellationToken cancellationToken)
    {
        var spans = new List<(int Start, int End, string? Path)>();
        int start = 0;
        for (int i = 0; i < conversation.Messages.Count && !pair; i++)
        {
            if (conversation.Messages[i] is not { IsAssistant: true, Learnt: false } || _turns!.Find(conversation, i, whole, cancellationToken) is not { } turn
                || !whole.Text.AsSpan().StartsWith(turn.Text.AsSpan(0, turn.End), StringComparison.Ordinal))
                continue;
            spans.Add((start, turn.Start, null));
            start = turn.End;
        }
        spans.Add((start, whole.Text.Length, null));
        return spans;
    }

    private static RenderedChat Whole(Conversation conversation, TurnFinder turns, CancellationToken cancellationToken)
    {
        for (int attempt = 0; ; attempt++)
        {
            try
            {
                return turns.Render(conversation, conversation.Messages.Count, generate: false, cancellationToken);
            }
            catch (ChatTemplateException) when (attempt < 2 && conversation.Messages.Exists(m => m.Content is null))
            {
                // Templates differ in what they take for a tool call's content: nothing, null, or an empty text.
                conversation.KeepNulls = true;
                if (attempt == 1)
                    conversation.ReplaceNullContents();
            }
        }
    }

    private void Judge(Turn turn, Conversation.Message message, EncodingScope scope)
    {
        if (turn.EndOfTurn is null)
            scope.Error(message.Path, "no_end_of_turn", "the base model's chat template writes no end-of-turn token after the answer: the model would never learn to stop.", "Use a base model whose template ends turns with a special token.");
        else if (turn.IsEndUnmarked)
            scope.Error(message.Path, "end_of_turn_not_marked", $"the base model's chat template marks the answer (a generation block) without {turn.EndOfTurn} behind it: by its marks the model would never learn to stop.",
                "Move {% endgeneration %} behind the end-of-turn token in the model's chat template, or take the block out: then the answer is found by the prompt before it.");
        else if (_tokenizer.TokenId(turn.EndOfTurn) is { } id)
            _endsOfTurn.Add(id);
        if (message.Call is null && turn.EndOfTurn is { } end && string.IsNullOrWhiteSpace(turn.Text[turn.Start..(turn.End - end.Length)]))
            scope.Error(message.Path, "answer_not_shown", "the base model's chat template shows nothing of the answer: only the stop token would be learnt.", "Change the answer, or train another base model.");
        if (message.Reasoning?.Trim() is { Length: > 0 } reasoning && !turn.Text.AsSpan(turn.Start..turn.End).Contains(reasoning, StringComparison.Ordinal))
            scope.Warn(message.Path, "reasoning_not_shown", "the base model's chat template does not show reasoning_content: only the answer is learnt.", "Write the thinking into content, as the model shall write it.");
        if (turn.Doubt is { } doubt)
            scope.Warn(message.Path, "generation_prompt_differs", $"the prompt that the model answers ends with {Quote(doubt)}, which the row's rendering does not have there.",
                doubt.Contains("<think>", StringComparison.Ordinal) ? "Begin the answer with its thinking, or train a base model without." : "Check the sample that hone lint shows.");
    }

    /// <summary>Messages that the template leaves out.</summary>
    private static void Unshown(Conversation conversation, string text, EncodingScope scope)
    {
        foreach (var message in conversation.Messages)
        {
            if (message.Role is "tool" or "assistant" || message.Content is not { } content || content.AsSpan().Trim() is var shown && (shown.IsEmpty || text.AsSpan().IndexOf(shown, StringComparison.Ordinal) >= 0))
                continue;
            scope.Warn(message.Path, "message_not_shown", $"the {message.Role}'s message is not in the rendered text as it stands: the chat template changes it or leaves it out.", "Check the sample that hone lint shows.");
        }
    }

    private EncodedRow Encode(TrainingRow row, string text, List<(int Start, int End, string? Path)> spans, bool keepText, EncodingScope scope)
    {
        var encoded = _tokenizer.Encode(text);
        bool[] trained = new bool[encoded.Ids.Length];
        int span = 0;
        for (int i = 0; i < trained.Length && span < spans.Count; i++)
        {
            var (start, end) = encoded.Offsets[i];
            while (span < spans.Count && start >= spans[span].End)
                span++;
            if (span == spans.Count)
                break;
            trained[i] = end > start && start >= spans[span].Start && (end <= spans[span].End || text.AsSpan(spans[span].End..end).IsWhiteSpace());
            if (start < spans[span].Start && end > spans[span].Start)
                scope.Warn(spans[span].Path, "token_across_boundary", $"the token {Quote(text[start..end])} is partly prompt and partly answer: it is not learnt.", "Let the answer begin with a letter, not with a sign that melts into the prompt's end.");
        }
        return Cut(row, encoded.Ids, trained, keepText ? text : null, scope);
    }

    private List<EncodedRow> Learnable(List<EncodedRow> rows, EncodingScope scope)
    {
        if (scope.Failed || rows.Exists(r => r.Trained.Contains(true)))
            return rows;
        int full = scope.FullLength;
        scope.TeachesNothing(full > MaxLength
            ? $"over the maximum length: the answer is cut away, nothing is left to learn from; the row has {full:N0} tokens, {MaxLength:N0} are allowed."
            : "nothing to learn from: no token of the row is learnt.",
            full > MaxLength ? "Shorten the row, or raise max_length where the model's context allows it." : "Check weights and train_on, or take the row out.");
        return rows;
    }

    private EncodedRow Cut(TrainingRow row, int[] tokens, bool[] trained, string? text, EncodingScope scope)
    {
        int full = tokens.Length;
        if (full > MaxLength)
            (tokens, trained) = (tokens[..MaxLength], trained[..MaxLength]);
        if (trained.Length > 0)
            trained[0] = false;
        scope.FullLength = Math.Max(scope.FullLength, full);
        return new(row.Line, tokens, trained, text) { FullLength = full };
    }

    private static string Quote(string text) => "'" + (text.Length > 32 ? "…" + text[^32..] : text).Replace("\n", "\\n", StringComparison.Ordinal) + "'";
}
