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

    /// <returns>The text that is certain now.</returns>
    public string Next(int token) => Release(_held + _decoder.Next(token), end: false);

    public string Flush() => Stopped ? "" : Release(_held + _decoder.Flush(), end: true);

    private string Release(string text, bool end)
    {
        int first = -1;
        foreach (string stop in stops)
        {
            int at = text.IndexOf(stop, StringComparison.Ordinal);
            if (at >= 0 && (first < 0 || at < first))
                first = at;
        }
        if (first >= 0)
        {
            Stopped = true;
            _held = "";
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
