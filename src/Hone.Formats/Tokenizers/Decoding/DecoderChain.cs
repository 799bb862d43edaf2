using System.Text;

namespace Hone.Formats.Tokenizers;

/// <summary>
/// A decoder of several steps, each of which turns the tokens' texts into others. The steps pass texts on as soon as they are certain, so that
/// the same ones decode a stream.
/// </summary>
/// <param name="vocabulary">The tokens.</param>
/// <param name="start">Makes the steps for one text; given whether the text is decoded as a whole.</param>
internal sealed class DecoderChain(Vocabulary vocabulary, Func<bool, List<DecoderStep>> start) : TokenDecoder
{
    private (int Id, string Text)? _letter; // found under the lock
    private readonly Lock _finding = new();

    public override string Decode(IReadOnlyList<int> ids)
    {
        var pass = new Pass(vocabulary, start(true));
        foreach (int id in ids)
            pass.Take(id);
        return pass.Flush();
    }

    public override TokenStream Start() => new Pass(vocabulary, start(false));

    public override byte[] BytesOf(int id)
    {
        List<DecoderStep> steps = start(false);
        if (steps.Exists(s => s is ByteFallbackStep) && ByteFallbackStep.ByteOf(vocabulary.TextOf(id)) is { } single)
            return [single];
        // Behind a letter: the first token of a text may lose the space before it.
        int letter;
        string before;
        lock (_finding)
            (letter, before) = _letter ??= FindLetter();
        var pass = new Pass(vocabulary, steps);
        string text = letter < 0 ? "" : pass.Next(letter);
        text += pass.Next(id) + pass.Flush();
        return Encoding.UTF8.GetBytes(text.StartsWith(before, StringComparison.Ordinal) ? text[before.Length..] : text);
    }

    private (int Id, string Text) FindLetter()
    {
        for (int id = 0; id < vocabulary.Count; id++)
        {
            if (vocabulary.FindText(id) is [>= 'a' and <= 'z'] && !vocabulary.IsSpecial(id))
                return (id, Decode([id]));
        }
        return (-1, "");
    }

    private sealed class Pass : TokenStream
    {
        private readonly Vocabulary _vocabulary;
        private readonly DecoderStep _first;
        private readonly EndStep _end = new();

        public Pass(Vocabulary vocabulary, List<DecoderStep> steps)
        {
            _vocabulary = vocabulary;
            _first = _end;
            for (int i = steps.Count - 1; i >= 0; i--)
            {
                steps[i].Follow(_first);
                _first = steps[i];
            }
        }

        public void Take(int id) => _first.Take(_vocabulary.TextOf(id));

        public override string Next(int id)
        {
            Take(id);
            return _end.Collect();
        }

        public override string Flush()
        {
            _first.End();
            return _end.Collect();
        }
    }

    private sealed class EndStep : DecoderStep
    {
        private readonly StringBuilder _text = new();

        public override void Take(string text) => _text.Append(text);

        public override void End()
        {
        }

        public string Collect()
        {
            string text = _text.ToString();
            _text.Clear();
            return text;
        }
    }
}

/// <summary>A step of one text's decoding. It is given texts one by one and gives texts to the step behind it.</summary>
internal abstract class DecoderStep
{
    private DecoderStep? _next;

    public void Follow(DecoderStep next) => _next = next;

    public abstract void Take(string text);

    /// <summary>No more texts come. Gives what is held back; the step is as new afterwards.</summary>
    public virtual void End() => _next!.End();

    protected void Give(string text) => _next!.Take(text);
}
