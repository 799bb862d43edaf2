namespace Hone.Formats;

/// <summary>Text from outside within a message.</summary>
public static class ShownText
{
    /// <summary>Fit for a message or a line of the log: cut, not within a character, and on one line without control characters.</summary>
    public static string Shown(this string? text, int limit = 200)
    {
        string cut = text is null ? "" : text.Length > limit ? $"{text[..(char.IsHighSurrogate(text[limit - 1]) ? limit - 1 : limit)]}…" : text;
        return cut.Any(char.IsControl) ? string.Concat(cut.Select(c => !char.IsControl(c) ? c : char.IsWhiteSpace(c) ? ' ' : '\uFFFD')) : cut;
    }
}
