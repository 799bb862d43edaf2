using System.Text;

namespace Hone.Formats.Tokenizers;

/// <summary>Puts a space between tokens: what a tokenizer without a decoder does.</summary>
internal sealed class JoinStep : DecoderStep
{
    private bool _later;

    public override void Take(string text)
    {
        Give(_later ? " " + text : text);
        _later = true;
    }

    public override void End()
    {
        _later = false;
        base.End();
    }
}

/// <summary>
/// Makes one text of all tokens. The steps behind it take that text in parts, which are told apart from tokens by how they are made.
/// </summary>
internal sealed class FuseStep : DecoderStep
{
    public override void Take(string text) => Give(text);
}

/// <summary>A step that looks at one whole text. Of a fused one the parts are collected to the end.</summary>
internal abstract class WholeTextStep(bool fused) : DecoderStep
{
    private readonly StringBuilder _parts = new();

    public override void Take(string text)
    {
        if (fused)
            _parts.Append(text);
        else
            Give(Change(text));
    }

    public override void End()
    {
        if (fused)
            Give(Change(_parts.ToString()));
        _parts.Clear();
        base.End();
    }

    protected abstract string Change(string text);
}

/// <summary>Writes a text for every match of a pattern.</summary>
/// <param name="normalizer">Does it.</param>
/// <param name="fused">Whether the parts of one text come, and a match may lie across them.</param>
internal sealed class ReplaceStep(ReplaceNormalizer normalizer, bool fused) : WholeTextStep(fused)
{
    protected override string Change(string text) => normalizer.Normalize(new AlignedText(text.AsMemory(), 0)).Text.ToString();
}

/// <summary>Takes a character off the ends, at most so many times.</summary>
internal sealed class StripStep(string character, int start, int stop, bool fused) : WholeTextStep(fused)
{
    protected override string Change(string text)
    {
        (int from, int to) = (0, text.Length);
        for (int i = 0; i < start && text.AsSpan(from).StartsWith(character, StringComparison.Ordinal); i++)
            from += character.Length;
        for (int i = 0; i < stop && to > from && text.AsSpan(from, to - from).EndsWith(character, StringComparison.Ordinal); i++)
            to -= character.Length;
        return text[from..to];
    }
}

/// <summary>Takes a character off the beginning of a fused text, at most so many times.</summary>
internal sealed class StripStartStep(string character, int most) : DecoderStep
{
    private int _stripped;
    private bool _done;

    public override void Take(string text)
    {
        int from = 0;
        while (!_done && from < text.Length)
        {
            _done = _stripped == most || !text.AsSpan(from).StartsWith(character, StringComparison.Ordinal);
            if (_done)
                break;
            from += character.Length;
            _stripped++;
        }
        Give(text[from..]);
    }

    public override void End()
    {
        (_stripped, _done) = (0, false);
        base.End();
    }
}

/// <summary>Writes the sign as a space; of the first token, where the tokenizer puts a sign before the text, as nothing.</summary>
internal sealed class MetaspaceStep(string sign, PrependScheme prepend, bool fused) : DecoderStep
{
    private bool _later;

    public override void Take(string text)
    {
        Give(text.Replace(sign, _later || prepend == PrependScheme.Never ? " " : "", StringComparison.Ordinal));
        _later = !fused;
    }

    public override void End()
    {
        _later = false;
        base.End();
    }
}

/// <summary>The bytes that characters of GPT-2's alphabet stand for, as UTF-8; a text with another character stands for itself.</summary>
internal sealed class ByteLevelStep(bool fused) : DecoderStep
{
    private readonly Decoder _utf8 = Encoding.UTF8.GetDecoder();
    private readonly StringBuilder _parts = new();

    public override void Take(string text)
    {
        if (fused)
            _parts.Append(text);
        else
            Decode(ByteAlphabet.BytesOf(text), flush: false);
    }

    public override void End()
    {
        Decode(ByteAlphabet.BytesOf(_parts.ToString()), flush: true);
        _parts.Clear();
        base.End();
    }

    private void Decode(byte[] bytes, bool flush)
    {
        var characters = new char[_utf8.GetCharCount(bytes, flush)];
        _utf8.GetChars(bytes, characters, flush);
        if (characters.Length > 0)
            Give(new string(characters));
    }
}
