namespace Hone.Formats.Tokenizers;

/// <summary>A range of UTF-16 units of the original text.</summary>
internal readonly record struct TextRange(int Start, int End);

/// <summary>A part of a text on its way to tokens, with the range of the original that each UTF-16 unit comes from.</summary>
internal readonly struct AlignedText
{
    private readonly ReadOnlyMemory<char> _text;
    private readonly int _origin;
    private readonly ReadOnlyMemory<TextRange> _ranges; // empty: unit i is the original's unit origin + i

    public AlignedText(ReadOnlyMemory<char> text, int origin) => (_text, _origin) = (text, origin);

    public AlignedText(ReadOnlyMemory<char> text, ReadOnlyMemory<TextRange> ranges) => (_text, _ranges) = (text, ranges);

    public ReadOnlySpan<char> Text => _text.Span;

    public int Length => _text.Length;

    /// <summary>Where the part begins in the original.</summary>
    public int Start => Length == 0 ? _origin : RangeOf(0, 1).Start;

    public AlignedText this[Range range]
    {
        get
        {
            (int start, int length) = range.GetOffsetAndLength(Length);
            return _ranges.IsEmpty ? new AlignedText(_text.Slice(start, length), _origin + start) : new AlignedText(_text.Slice(start, length), _ranges.Slice(start, length));
        }
    }

    /// <summary>The original's range behind the units from <paramref name="start"/> to before <paramref name="end"/>, which is not <paramref name="start"/>.</summary>
    public TextRange RangeOf(int start, int end)
    {
        if (_ranges.IsEmpty)
            return new TextRange(_origin + start, _origin + end);
        ReadOnlySpan<TextRange> ranges = _ranges.Span;
        return new TextRange(ranges[start].Start, ranges[end - 1].End);
    }

    /// <summary>The same places with another text of the same length.</summary>
    public AlignedText With(string text) => _ranges.IsEmpty ? new AlignedText(text.AsMemory(), _origin) : new AlignedText(text.AsMemory(), _ranges);
}

/// <summary>Builds a text that differs from the one it comes from.</summary>
internal sealed class AlignedTextBuilder(int capacity)
{
    private char[] _text = new char[Math.Max(16, capacity)];
    private TextRange[] _ranges = new TextRange[Math.Max(16, capacity)];

    public int Length { get; private set; }

    /// <summary>Appends units that all come from one range.</summary>
    public void Append(ReadOnlySpan<char> text, TextRange range)
    {
        Reserve(text.Length);
        text.CopyTo(_text.AsSpan(Length));
        _ranges.AsSpan(Length, text.Length).Fill(range);
        Length += text.Length;
    }

    public void Append(int codePoint, TextRange range)
    {
        Span<char> units = stackalloc char[2];
        Append(units[..CodePoints.Encode(codePoint, units)], range);
    }

    /// <summary>Appends a part of the text it comes from as it is.</summary>
    public void Append(in AlignedText source, int start, int length)
    {
        Reserve(length);
        source.Text.Slice(start, length).CopyTo(_text.AsSpan(Length));
        for (int i = 0; i < length; i++)
            _ranges[Length + i] = source.RangeOf(start + i, start + i + 1);
        Length += length;
    }

    public AlignedText Build() => new(_text.AsMemory(0, Length), _ranges.AsMemory(0, Length));

    private void Reserve(int length)
    {
        if (Length + length <= _text.Length)
            return;
        int size = Math.Max(Length + length, _text.Length * 2);
        Array.Resize(ref _text, size);
        Array.Resize(ref _ranges, size);
    }
}
