using Hone.Formats.Tokenizers;

namespace Hone.Training.Generation;

/// <summary>
/// Text of one answer as it grows: holds back the bytes of an unfinished character and what may be the beginning of a stop string.
/// </summary>
internal sealed class TextStream(Tokenizer tokenizer, IReadOnlyList<string> stops)
{
    private readonly StreamDecoder _decoder = tokenizer.CreateStream(skipSpecialTokens: true);
    private string _held = "";

    /// <summary>A stop string was reached; nothing follows.</summary>
    public bool Stopped { get; private set; }

    /// <summary>The stop string that was reached.</summary>
    public string? Stop { get; private set; }

    /// <summary>What was decoded behind it.</summary>
    public string Rest { get; private set; } = "";

    /// <summary>UTF-16 units decoded, what is held back included.</summary>
    public int Length { get; private set; }

    /// <returns>The text that is certain now.</returns>
    public string Next(int token) => Release(Decode(token), end: false);

    public string Flush() => Stopped ? "" : Release(Decoded(_decoder.Flush()), end: true);

    /// <summary>What is held back, which is no longer.</summary>
    public string TakeHeld()
    {
        string held = _held;
        _held = "";
        return held;
    }

    /// <summary>The text of a token behind the stop string.</summary>
    public string AfterStop(int token) => _decoder.Next(token);

    private string Decode(int token) => Decoded(_decoder.Next(token));

    private string Decoded(string text)
    {
        Length += text.Length;
        return _held + text;
    }

    private string Release(string text, bool end)
    {
        int first = -1;
        foreach (string stop in stops)
        {
            int at = text.IndexOf(stop, StringComparison.Ordinal);
            if (at >= 0 && (first < 0 || at < first))
                (first, Stop) = (at, stop);
        }
        if (first >= 0)
        {
            Stopped = true;
            _held = "";
            Rest = text[(first + Stop!.Length)..];
            return text[..first];
        }
        int keep = end ? 0 : stops.Select(s => Overlap(text, s)).DefaultIfEmpty(0).Max();
        _held = text[^keep..];
        return text[..^keep];
    }

    /// <summary>Length of the longest end of the text that begins the stop string.</summary>
    private static int Overlap(string text, string stop)
    {
        for (int length = Math.Min(text.Length, stop.Length - 1); length > 0; length--)
        {
            if (text.AsSpan(text.Length - length).SequenceEqual(stop.AsSpan(0, length)))
                return length;
        }
        return 0;
    }
}
