namespace Hone.Formats.ChatTemplates.Jinja;

/// <summary>Errors by the names Python gives them. The evaluator adds the line.</summary>
internal static class Errors
{
    public static ChatTemplateException Syntax(string reason, int line) => new("TemplateSyntaxError", reason, line);

    /// <summary>What only the compilation of Jinja's Python code finds.</summary>
    public static ChatTemplateException Python(string reason, int line) => new("SyntaxError", reason, line);

    public static ChatTemplateException Assertion(string reason, int line) => new("TemplateAssertionError", reason, line);

    public static ChatTemplateException Runtime(string reason) => new("TemplateRuntimeError", reason);

    public static ChatTemplateException Type(string reason) => new("TypeError", reason);

    /// <summary>What calling a method on a value without it raises.</summary>
    public static ChatTemplateException NoMethod(object? value, string method) =>
        value is Undefined undefined ? undefined.Fail() : new("AttributeError", $"'{PyType.Name(value)}' object has no attribute '{method}'");

    public static ChatTemplateException Value(string reason) => new("ValueError", reason);

    public static ChatTemplateException Overflow(string reason) => new("OverflowError", reason);

    public static ChatTemplateException ZeroDivision(string reason) => new("ZeroDivisionError", reason);

    public static ChatTemplateException Security(string reason) => new("SecurityError", reason);

    public static ChatTemplateException FilterArgument(string reason) => new("FilterArgumentError", reason);

    public static ChatTemplateException Recursion() => new("RecursionError", "The template nests or recurses too deeply.");
}
