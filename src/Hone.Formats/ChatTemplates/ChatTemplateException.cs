namespace Hone.Formats.ChatTemplates;

/// <summary>A chat template that cannot be parsed or rendered.</summary>
/// <param name="errorType">The name Python's Jinja gives this kind of error: <c>TemplateSyntaxError</c>, <c>UndefinedError</c>, <c>TypeError</c> …</param>
/// <param name="reason">What is wrong; for <c>raise_exception(text)</c> exactly that text.</param>
/// <param name="line">The template's line, from 1; 0 when the input and not the template is at fault.</param>
public sealed class ChatTemplateException(string errorType, string reason, int line = 0)
    : Exception(line > 0 ? $"Chat template, line {line}: {errorType}: {Short(reason)}" : $"Chat template: {errorType}: {Short(reason)}")
{
    // A template may be one endless word, which its error would quote.
    private const int LongestShown = 2_000;

    public string ErrorType { get; } = errorType;

    public string Reason { get; } = reason;

    public int Line { get; } = line;

    private static string Short(string reason) => reason.Length <= LongestShown ? reason : reason[..(char.IsHighSurrogate(reason[LongestShown - 1]) ? LongestShown - 1 : LongestShown)] + "…";

    internal ChatTemplateException At(int templateLine) => Line > 0 ? this : new ChatTemplateException(ErrorType, Reason, templateLine);
}
