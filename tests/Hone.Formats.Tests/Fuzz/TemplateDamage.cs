using System.Text;
using System.Text.RegularExpressions;

namespace Hone.Formats.Tests.Fuzz;

/// <summary>Damage to a chat template: its tokens removed, doubled, exchanged, taken from other templates, or nested; and any characters.</summary>
internal sealed partial class TemplateDamage(IReadOnlyList<string> templates)
{
    private const string Characters = "{}()[]%|.,:~-+*/'\"\\\n_ 0x9\ud83d";

    private static readonly string[] s_more =
    [
        "{%", "%}", "{{", "}}", "{#", "#}", "{%-", "-%}", " and ", " or ", " not ", " in ", " is ", " if ", " else ", "**", "//", "~", "%", "==", "<=", "(", ")", "[", "]", "{", "}", "'", "\"", ",", ":", "|", ".", "-1", "0",
        "2147483648", "9223372036854775808", "1e999", "0.1", "range(10**9)", "'x' * 10**8", "[0] * 10**8", "loop", "loop.index", "loop.previtem", "namespace()", "messages", "messages * 1000", "self", "varargs", "caller()", "raise_exception('no')",
        "|tojson", "|join", "|replace('a', 'aa')", "|list", "|sort", "|map('upper')", "|indent(10**9)", "|center(10**9)", "|batch(10**9)", "|round(-400)", "|string", "|length", "|first", "|reverse", "|dictsort", "|groupby('a')", "|format(1)",
        "{% for a in range(9999) %}", "{% endfor %}", "{% if a %}", "{% else %}", "{% elif %}", "{% endif %}", "{% set a = [a, a] %}", "{% set a = a ~ a %}", "{% macro m(a) %}", "{% endmacro %}", "{{ m(m) }}", "{% call m() %}", "{% endcall %}",
        "{% generation %}", "{% endgeneration %}", "{% filter upper %}", "{% endfilter %}", "{% raw %}", "{% endraw %}", "{% break %}", "{% continue %}", "{% include 'a' %}", "{% set ns = namespace(a=1) %}", "{% set ns.a = ns %}", "[::-1]", "[1:2:0]", "[-9223372036854775809:]",
    ];

    private readonly List<List<string>> _tokens = [.. templates.Select(Split)];

    /// <summary>The template's number, and what is left of it.</summary>
    public (int Index, string Template) Damage(Random random)
    {
        int index = random.Next(_tokens.Count);
        List<string> tokens = [.. _tokens[index]];
        for (int count = random.Next(1, 1 + random.Next(1, 5)); count > 0; count--)
        {
            int at = random.Next(tokens.Count);
            int length = Math.Min(random.Next(1, 8), tokens.Count - at);
            List<string> other = _tokens[random.Next(_tokens.Count)];
            int from = random.Next(other.Count);
            switch (random.Next(9))
            {
                case 0:
                    tokens.RemoveRange(at, length);
                    break;
                case 1:
                    tokens.InsertRange(at, tokens.GetRange(at, length));
                    break;
                case 2:
                    int there = random.Next(tokens.Count);
                    (tokens[at], tokens[there]) = (tokens[there], tokens[at]);
                    break;
                case 3:
                    tokens[at] = other[from];
                    break;
                case 4:
                    tokens.InsertRange(at, other.GetRange(from, Math.Min(random.Next(1, 20), other.Count - from)));
                    break;
                case 5 or 6:
                    tokens.Insert(at, s_more[random.Next(s_more.Length)]);
                    break;
                case 7:
                    string deep = s_more[random.Next(s_more.Length)];
                    tokens.Insert(at, string.Concat(Enumerable.Repeat(deep, random.Next(4) == 0 ? 5_000 : random.Next(2, 60))));
                    break;
                default:
                    tokens[at] = Scratched(tokens[at], random);
                    break;
            }
            if (tokens.Count == 0)
                tokens.Add("{{");
        }
        return (index, string.Concat(tokens));
    }

    private static string Scratched(string token, Random random)
    {
        var text = new StringBuilder(token);
        int at = random.Next(text.Length);
        char character = Characters[random.Next(Characters.Length)];
        if (random.Next(2) == 0)
            text[at] = character;
        else
            text.Insert(at, character);
        return text.ToString();
    }

    private static List<string> Split(string template) => [.. Token().Matches(template).Select(m => m.Value)];

    [GeneratedRegex(@"\{%[-+]?|[-+]?%\}|\{\{-?|-?\}\}|\{#-?|-?#\}|'(?:\\.|[^'\\])*'|""(?:\\.|[^""\\])*""|\w+|\s+|.", RegexOptions.Singleline)]
    private static partial Regex Token();
}
