using Hone.Formats.ChatTemplates;

namespace Hone.Formats.TrainingData;

/// <summary>An answer in a rendered conversation, its end-of-turn token included.</summary>
/// <param name="Text">The conversation up to this answer, rendered with the answer last, as it is when the model has just given it.</param>
/// <param name="EndOfTurn">The end-of-turn token's text; null when the template writes none.</param>
/// <param name="Doubt">What differs between this rendering and the prompt that the model is given; null: nothing.</param>
internal sealed record Turn(int Message, string Text, int Start, int End, string? EndOfTurn, string? Doubt)
{
    /// <summary>The template's own mark of the answer ends before the end-of-turn token.</summary>
    public bool IsEndUnmarked { get; init; }
}

/// <summary>
/// Finds on the characters of rendered text what the model itself must write: what follows the prompt for this answer (the turns before it and the
/// generation prompt), up to the first special token after the content. Where that prompt is no prefix of the rendering, a stand-in for the content shows the place.
/// </summary>
internal sealed class TurnFinder(ChatTemplate template, SpecialTokens special, string? bosToken, string? eosToken, TimeProvider clock)
{
    /// <summary>Text that no template touches and no content holds.</summary>
    private const string StandIn = "zqANSWERqz";

    /// <exception cref="ChatTemplateException">The template refuses the conversation.</exception>
    public RenderedChat Render(Conversation conversation, int count, bool generate, CancellationToken cancellationToken, string? lastContent = null, string? lastCall = null)
        => template.Render(new ChatTemplateInput
        {
            Messages = conversation.First(count, lastContent, lastCall),
            Tools = conversation.Tools,
            AddGenerationPrompt = generate,
            BosToken = bosToken,
            EosToken = eosToken,
            KeepNulls = conversation.KeepNulls,
            Clock = clock,
        }, cancellationToken);

    /// <returns>Null when the template does not show the answer, or not the call in it.</returns>
    /// <param name="index">Of the assistant's message.</param>
    /// <param name="whole">The whole conversation's rendering, used when the answer is its last message.</param>
    public Turn? Find(Conversation conversation, int index, RenderedChat whole, CancellationToken cancellationToken)
    {
        var message = conversation.Messages[index];
        var rendered = index == conversation.Messages.Count - 1 ? whole : Render(conversation, index + 1, generate: false, cancellationToken);
        string text = rendered.Text;
        string prompt = Prompt(conversation, index, cancellationToken);
        string? doubt = null;
        int start;
        var mark = Marked(conversation, index, rendered);
        if (mark is { } marked)
            start = marked.Start;
        else if (prompt.Length > 0 && text.StartsWith(prompt, StringComparison.Ordinal))
            start = prompt.Length;
        else if (StandInStart(conversation, index, text, cancellationToken) is { } found)
        {
            start = found;
            if (prompt.Length > 0)
                doubt = prompt[CommonPrefix(prompt, text)..];
        }
        else
            return null;

        int contentEnd = start;
        string content = message.Content?.Trim() ?? "";
        if (content.Length > 0)
        {
            int at = text.IndexOf(content, start, StringComparison.Ordinal);
            // A template that parts thinking from the answer shows the answer last.
            int tail = at >= 0 ? at + content.Length : TailEnd(text, start, content);
            contentEnd = Math.Max(contentEnd, tail);
        }
        if (message.Call is not null)
        {
            // A stand-in for the tool's name shows the call: the name itself may stand in the template's own text.
            int call = Render(conversation, index + 1, generate: false, cancellationToken, lastCall: StandIn).Text.IndexOf(StandIn, start, StringComparison.Ordinal);
            if (call < 0)
                return null;
            // Tokens around calls are special to some models; the turn ends with the last one before nothing but white space.
            var (lastStart, lastLength) = LastSpecial(text, Math.Max(contentEnd, call));
            return lastLength == 0
                ? new(index, text, start, text.TrimEnd().Length, null, doubt)
                : new(index, text, start, lastStart + lastLength, text.Substring(lastStart, lastLength), doubt) { IsEndUnmarked = mark?.End < lastStart + lastLength };
        }
        var (end, length) = special.Find(text, contentEnd);
        return length == 0
            ? new(index, text, start, Math.Max(contentEnd, text.TrimEnd().Length), null, doubt)
            : new(index, text, start, end + length, text.Substring(end, length), doubt) { IsEndUnmarked = mark?.End < end + length };
    }

    /// <summary>What the model is given to answer; empty where the template renders no such thing, as for a conversation that begins with the assistant.</summary>
    private string Prompt(Conversation conversation, int index, CancellationToken cancellationToken)
    {
        try
        {
            return index == 0 ? "" : Render(conversation, index, generate: true, cancellationToken).Text;
        }
        catch (ChatTemplateException)
        {
            return "";
        }
    }

    /// <summary>Where the template itself marks answers (<c>{% generation %}</c>), one span an assistant message.</summary>
    private static (int Start, int End)? Marked(Conversation conversation, int index, RenderedChat rendered)
    {
        // Marks inside a macro or a filter are lost, and those that are left cannot be told apart.
        if (rendered.IsGenerationMisplaced)
            return null;
        // The rendering ends with this answer: as many spans as assistant messages, or they mean something else.
        int before = conversation.Messages.Take(index).Count(m => m.IsAssistant);
        return rendered.GenerationSpans.Count == before + 1 ? rendered.GenerationSpans[before] : null;
    }

    private int? StandInStart(Conversation conversation, int index, string text, CancellationToken cancellationToken)
    {
        string shown = Render(conversation, index + 1, generate: false, cancellationToken, StandIn).Text;
        int at = shown.LastIndexOf(StandIn, StringComparison.Ordinal);
        return at >= 0 && text.AsSpan().StartsWith(shown.AsSpan(0, at), StringComparison.Ordinal) ? at : null;
    }

    private static int TailEnd(string text, int start, string content)
    {
        int line = content.LastIndexOf('\n');
        string tail = content[(line + 1)..];
        int at = tail.Length == 0 ? -1 : text.LastIndexOf(tail, StringComparison.Ordinal);
        return at >= start ? at + tail.Length : start;
    }

    private (int Start, int Length) LastSpecial(string text, int from)
    {
        var last = (Start: -1, Length: 0);
        for (var next = special.Find(text, from); next.Length > 0; next = special.Find(text, next.Start + next.Length))
            last = next;
        return last.Length > 0 && string.IsNullOrWhiteSpace(text[(last.Start + last.Length)..]) ? last : (-1, 0);
    }

    private static int CommonPrefix(string a, string b) => a.AsSpan().CommonPrefixLength(b);
}
