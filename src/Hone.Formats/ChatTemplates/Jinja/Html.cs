using System.Text;

namespace Hone.Formats.ChatTemplates.Jinja;

internal static class Html
{
    /// <summary>The value as safe HTML; what is safe already stays.</summary>
    public static Markup Escape(object? value, Evaluator evaluator) =>
        value is Markup markup ? markup : new Markup(Escape(evaluator.Str(value), evaluator.Budget));

    public static string Escape(string text, Budget budget)
    {
        budget.SpendText(text.Length * 5L);
        return new StringBuilder(text).Replace("&", "&amp;").Replace(">", "&gt;").Replace("<", "&lt;").Replace("'", "&#39;").Replace("\"", "&#34;").ToString();
    }
}
