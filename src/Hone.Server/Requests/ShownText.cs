namespace Hone.Server.Requests;

internal static class ShownText
{
    /// <summary>What a client sent, fit for a message or a line of the log: cut, and without control characters.</summary>
    public static string Shown(this string? text, int limit = 200)
    {
        string cut = text is null ? "" : text.Length > limit ? $"{text[..limit]}…" : text;
        return cut.Any(char.IsControl) ? string.Concat(cut.Select(c => char.IsControl(c) ? '\uFFFD' : c)) : cut;
    }
}
