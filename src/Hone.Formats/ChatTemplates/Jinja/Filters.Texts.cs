using System.Text;
using System.Text.RegularExpressions;

namespace Hone.Formats.ChatTemplates.Jinja;

internal static partial class Filters
{
    private delegate void Adder(string names, string parameters, Func<Evaluator, object?[], object?> body);

    /// <summary>A value as text for a filter that keeps what is safe.</summary>
    private static object Soft(object? value, Evaluator evaluator)
    {
        var text = evaluator.Str(value);
        return value is Markup ? value : text;
    }

    private static string SoftText(object? value, Evaluator evaluator) => PyType.TextOf(Soft(value, evaluator))!;

    private static void AddTexts(Adder add)
    {
        void AddPlain(string names, Func<string, Evaluator, string> body) => add(names, "s", (e, a) => Like(a[0], body(SoftText(a[0], e), e)));

        AddPlain("upper", (text, _) => Casing.Upper(text));
        AddPlain("lower", (text, _) => Casing.Lower(text));
        AddPlain("capitalize", (text, _) => Casing.Capitalize(text));
        add("title", "s", (e, a) => Title(SoftText(a[0], e)));
        add("trim", "value, chars=none", (e, a) => Like(a[0], Text.Strip(SoftText(a[0], e), a[1] is null ? null : RequiredText(a[1], "trim"))));
        add("string", "value", (e, a) => Soft(a[0], e));
        add("safe", "value", (e, a) => a[0] is Markup ? a[0] : new Markup(e.Str(a[0])));
        add("escape e", "value", (e, a) => Html.Escape(a[0], e));
        add("forceescape", "value", (e, a) => new Markup(Html.Escape(e.Str(a[0]), e.Budget)));
        add("striptags", "value", (e, a) => StripTags(e.Str(a[0])));
        add("center", "value, width=80", (e, a) => Like(a[0], StringMethods.Center(SoftText(a[0], e), Integer(a[1], "center"), ' ', e.Budget)));
        add("replace", "s, old, new, count=none", (e, a) =>
            Text.Replace(e.Str(a[0]), e.Str(a[1]), e.Str(a[2]), a[3] is null ? -1 : Integer(a[3], "replace"), e.Budget));
        add("indent", "s, width=4, first=false, blank=false", Indent);
        add("truncate", "s, length=255, killwords=false, end='...', leeway=none", Truncate);
        add("wordwrap", "s, width=79, break_long_words=true, wrapstring=none, break_on_hyphens=true", WordWrap.Apply);
        add("wordcount", "s", (e, a) => (long)WordPattern().Count(SoftText(a[0], e)));
        add("urlencode", "value", UrlEncode);
        add("xmlattr", "d, autospace=true", XmlAttributes);
        add("filesizeformat", "value, binary=false", FileSize);
    }

    [GeneratedRegex(@"\w+")]
    private static partial Regex WordPattern();

    /// <summary>Each word, cut at white space and opening brackets or hyphens, begins with an upper-case letter.</summary>
    private static string Title(string text)
    {
        var result = new StringBuilder(text.Length);
        var isStart = true;
        for (var i = 0; i < text.Length;)
        {
            var length = Text.UnitsAt(text, i);
            if (length == 1 && (Characters.IsSpace(text[i]) || "-({[<".Contains(text[i], StringComparison.Ordinal)))
            {
                result.Append(text[i]);
                isStart = true;
                i++;
                continue;
            }

            if (isStart)
            {
                result.Append(Casing.Upper(text.Substring(i, length)));
                isStart = false;
                i += length;
                continue;
            }

            var end = i;
            while (end < text.Length && !Characters.IsSpace(text[end]) && !"-({[<".Contains(text[end], StringComparison.Ordinal))
            {
                end++;
            }

            result.Append(Casing.Lower(text[i..end]));
            i = end;
        }

        return result.ToString();
    }

    private static string StripTags(string text)
    {
        var words = Without(Without(text, "<!--", "-->"), "<", ">").Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries);
        return System.Net.WebUtility.HtmlDecode(string.Join(' ', words));
    }

    /// <summary>A text without what stands from a start mark to the next end mark.</summary>
    private static string Without(string text, string start, string end)
    {
        var result = new StringBuilder(text.Length);
        var position = 0;
        while (text.IndexOf(start, position, StringComparison.Ordinal) is var from && from >= 0
            && text.IndexOf(end, from, StringComparison.Ordinal) is var to && to >= 0)
        {
            result.Append(text, position, from - position);
            position = to + end.Length;
        }

        return result.Append(text, position, text.Length - position).ToString();
    }

    private static object Indent(Evaluator evaluator, object?[] a)
    {
        var text = PyType.TextOf(a[0]) ?? throw (a[0] is PyList
            ? Errors.NoMethod(a[0], "splitlines")
            : a[0] is Undefined undefined ? undefined.Fail() : Errors.Type($"unsupported operand type(s) for +=: '{PyType.Name(a[0])}' and 'str'"));
        var indent = PyType.TextOf(a[1]) ?? Text.Repeat(" ", Integer(a[1], "indent"), evaluator.Budget);
        var lines = Text.Lines(text + "\n");
        var isBlank = PyType.IsTrue(a[3]);
        evaluator.Budget.SpendText(text.Length + ((long)indent.Length * lines.Count));
        var result = new StringBuilder(PyType.IsTrue(a[2]) ? indent : "").Append(lines[0]);
        foreach (var line in lines.Skip(1))
        {
            result.Append('\n').Append(line.Length > 0 || isBlank ? indent : "").Append(line);
        }

        return Like(a[0], result.ToString());
    }

    private static object? Truncate(Evaluator evaluator, object?[] a)
    {
        var length = Integer(a[1], "truncate");
        var end = RequiredText(a[3], "truncate");
        var leeway = a[4] is null ? 5 : Integer(a[4], "truncate");
        var endLength = Text.Length(end);
        if (length < endLength || leeway < 0)
        {
            throw new ChatTemplateException("AssertionError", leeway < 0 ? $"expected leeway >= 0, got {leeway}" : $"expected length >= {endLength}, got {length}");
        }

        var size = Length(a[0], evaluator.Budget);
        if (size <= (long)length + leeway)
        {
            return a[0];
        }

        var text = RequiredText(a[0], "truncate");

        var cut = text[..Text.UnitIndex(text, length - endLength)];
        var space = cut.LastIndexOf(' ');
        return Like(a[0], (PyType.IsTrue(a[2]) || space < 0 ? cut : cut[..space]) + end);
    }

    private static string UrlEncode(Evaluator evaluator, object?[] a)
    {
        if (PyType.TextOf(a[0]) is not null || Sequences.Items(a[0]) is null)
        {
            return Quote(evaluator.Str(a[0]), isQuery: false, evaluator.Budget);
        }

        var pairs = a[0] is PyDict dict ? new DictView(dict, DictPart.Items).Items : evaluator.Iterate(a[0]);
        return string.Join('&', pairs.Select(pair =>
        {
            var items = evaluator.ToList(pair);
            return items.Count == 2
                ? Quote(evaluator.Str(items[0]), isQuery: true, evaluator.Budget) + "=" + Quote(evaluator.Str(items[1]), isQuery: true, evaluator.Budget)
                : throw Errors.Value("urlencode needs pairs of a key and a value");
        }));
    }

    private static string Quote(string text, bool isQuery, Budget budget)
    {
        budget.SpendText(text.Length * 3L);
        var result = new StringBuilder();
        foreach (var b in Encoding.UTF8.GetBytes(text))
        {
            var c = (char)b;
            result.Append(char.IsAsciiLetterOrDigit(c) || "_.-~".Contains(c, StringComparison.Ordinal) || (c == '/' && !isQuery) ? c.ToString()
                : c == ' ' && isQuery ? "+"
                : $"%{b:X2}");
        }

        return result.ToString();
    }

    private static readonly System.Buffers.SearchValues<char> NotInAttributeNames = System.Buffers.SearchValues.Create(" \t\n\r\f\v/>=");

    private static string XmlAttributes(Evaluator evaluator, object?[] a)
    {
        var dict = a[0] as PyDict ?? throw Errors.NoMethod(a[0], "items");
        var parts = new List<string>();
        foreach (var (key, value) in dict.Entries)
        {
            if (value is null or Undefined)
            {
                continue;
            }

            var name = evaluator.Str(key);
            if (name.AsSpan().ContainsAny(NotInAttributeNames))
            {
                throw Errors.Value($"Invalid character in attribute name: {Text.Repr(name)}");
            }

            parts.Add($"{Html.Escape(key, evaluator).Text}=\"{Html.Escape(value, evaluator).Text}\"");
        }

        var text = string.Join(' ', parts);
        return text.Length > 0 && PyType.IsTrue(a[1]) ? " " + text : text;
    }

    private static string FileSize(Evaluator evaluator, object?[] a)
    {
        var bytes = ToFloat(a[0]) ?? throw (PyType.TextOf(a[0]) is { } text
            ? Errors.Value($"could not convert string to float: {Text.Repr(text)}")
            : Errors.Type($"float() argument must be a string or a real number, not '{PyType.Name(a[0])}'"));
        var isBinary = PyType.IsTrue(a[1]);
        double unit = isBinary ? 1024 : 1000;
        if (bytes == 1)
        {
            return "1 Byte";
        }

        if (bytes < unit)
        {
            return $"{Truncated(bytes)} Bytes";
        }

        var value = bytes / unit;
        var prefix = 0;
        while (value >= unit && prefix < 7)
        {
            value /= unit;
            prefix++;
        }

        return $"{Floats.Fixed(value, 1)} {"kMGTPEZY"[prefix].ToString().ToUpperInvariant().Replace("K", isBinary ? "K" : "k", StringComparison.Ordinal)}{(isBinary ? "i" : "")}B";
    }
}
