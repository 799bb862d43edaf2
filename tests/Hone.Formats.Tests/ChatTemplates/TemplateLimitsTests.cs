using System.Diagnostics;
using System.Text.Json;
using Hone.Formats.ChatTemplates;

namespace Hone.Formats.Tests.ChatTemplates;

/// <summary>Templates are not trusted: whatever they try ends soon, and in an error that names the line.</summary>
[Trait("Category", "Slow")]
public sealed class TemplateLimitsTests
{
    public static TheoryData<string, string, string> Bombs => new()
    {
        { "loops in loops", "\n{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}", "LimitError" },
        { "recursive macro", "{% macro f() %}{{ f() }}{% endmacro %}\n{{ f() }}", "RecursionError" },
        { "mutual macros", "{% macro f(g) %}{{ g(g) }}{% endmacro %}\n{{ f(f) }}", "RecursionError" },
        { "recursive loop", "{% for x in [[1]] recursive %}{{ loop([[1]]) }}{% endfor %}", "RecursionError" },
        { "range", "{{ range(10 ** 9) }}", "OverflowError" },
        { "text times number", "{{ 'a' * 10 ** 9 }}", "LimitError" },
        { "list times number", "{{ [1] * 10 ** 12 }}", "LimitError" },
        { "doubled text", "{% set ns = namespace(s='aa') %}{% for i in range(99) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}", "LimitError" },
        { "doubled list", "{% set ns = namespace(s=[1]) %}{% for i in range(99) %}{% set ns.s = ns.s + ns.s %}{% endfor %}", "LimitError" },
        { "output", "{% set t = 'x' * 1000000 %}{% for i in range(99999) %}{{ t }}{% endfor %}", "LimitError" },
        { "replace", "{{ ('a' * 100000) | replace('a', 'b' * 100000) }}", "LimitError" },
        { "replace nothing", "{{ ('a' * 100000).replace('', 'b' * 100000) }}", "LimitError" },
        { "join", "{{ range(100000) | join('b' * 100000) }}", "LimitError" },
        { "indent", "{{ ('\\n' * 100000) | indent('x' * 100000, blank=true) }}", "LimitError" },
        { "json indent", "{{ range(100000) | list | tojson(indent='x' * 100000) }}", "LimitError" },
        { "center", "{{ 'a' | center(10 ** 9) }}", "LimitError" },
        { "padding", "{{ '%1000000000d' % 1 }}", "LimitError" },
        { "format width", "{{ '{:1000000000}'.format(1) }}", "LimitError" },
        { "precision", "{{ '%.999999999f' % 1.5 }}", "ValueError" },
        { "power", "{{ 10 ** (10 ** 10) }}", "OverflowError" },
        { "digits", "{{ 10 ** 5000 }}", "ValueError" },
        { "batch", "{{ [1] | batch(10 ** 12, 0) | list }}", "LimitError" },
        { "slice", "{{ [1] | slice(10 ** 12) | list }}", "LimitError" },
        { "tabs", "{{ '\\t\\t'.expandtabs(10 ** 9) }}", "LimitError" },
        { "lazy filters", "{% set ns = namespace(i=[1]) %}{% for i in range(99999) %}{% set ns.i = ns.i | map('string') %}{% endfor %}{{ ns.i | list }}", "RecursionError" },
        { "nested lists", "{% set ns = namespace(i=[]) %}{% for i in range(9999) %}{% set ns.i = [ns.i] %}{% endfor %}{{ ns.i }}", "RecursionError" },
        { "compared lists", "{% set ns = namespace(i=[], j=[]) %}{% for i in range(9999) %}{% set ns.i = [ns.i] %}{% set ns.j = [ns.j] %}{% endfor %}{{ ns.i == ns.j }}", "RecursionError" },
        { "nested json", "{% set ns = namespace(i=[]) %}{% for i in range(9999) %}{% set ns.i = [ns.i] %}{% endfor %}{{ ns.i | tojson }}", "RecursionError" },
        { "nested keys", "{% set ns = namespace(i=()) %}{% for i in range(9999) %}{% set ns.i = (ns.i,) %}{% endfor %}{{ {ns.i: 1} }}", "RecursionError" },
        { "shared lists", "{% set ns = namespace(i=[1]) %}{% for i in range(60) %}{% set ns.i = [ns.i, ns.i] %}{% endfor %}{{ ns.i }}", "LimitError" },
        { "sorting", "{% for i in range(100000) %}{{ range(100000) | sort | first }}{% endfor %}", "LimitError" },
        { "searching", "{% set t = 'a' * 1000000 %}{% for i in range(100000) %}{{ t.find('b') }}{% endfor %}", "LimitError" },
        { "counting", "{% set t = 'a' * 1000000 %}{% for i in range(100000) %}{{ t | length }}{% endfor %}", "LimitError" },
        { "comparing", "{% set t = 'a' * 1000000 %}{% set u = t ~ '' %}{% for i in range(100000) %}{{ t == u }}{% endfor %}", "LimitError" },
        { "hashing", "{% set t = 'a' * 1000000 %}{% set d = {t: 1} %}{% for i in range(100000) %}{{ d[t ~ ''] }}{% endfor %}", "LimitError" },
        { "big integers", "{% set n = 10 ** 4000 %}{% for i in range(100000) %}{% set m = n * n %}{% endfor %}", "LimitError" },
        { "shared tuples as keys", "{% set ns = namespace(i=(1,)) %}{% for i in range(60) %}{% set ns.i = (ns.i, ns.i) %}{% endfor %}{{ {ns.i: 1} }}", "RecursionError" },
        { "dates", "{{ strftime_now('%c' * 10000000) }}", "LimitError" },
    };

    [Theory]
    [MemberData(nameof(Bombs))]
    public void Render_Bomb_FailsWithItsLine(string name, string template, string errorType)
    {
        var error = Within(() => Assert.Throws<ChatTemplateException>(() => Render(template)));
        Assert.True(error.ErrorType == errorType, $"{name}: {error.Message}");
        Assert.True(error.Line > 0, name);
    }

    public static TheoryData<string, string> DeepTemplates => new()
    {
        { "parentheses", "{{ " + Times("(", 2000) + "1" + Times(")", 2000) + " }}" },
        { "lists", "{{ " + Times("[", 2000) + Times("]", 2000) + " }}" },
        { "dicts", "{{ " + Times("{1:", 2000) + "1" + Times("}", 2000) + " }}" },
        { "signs", "{{ " + Times("-", 2000) + "1 }}" },
        { "nots", "{{ " + Times("not ", 2000) + "1 }}" },
        { "blocks", Times("{% if true %}", 2000) + Times("{% endif %}", 2000) },
        { "loops", Times("{% for a in [1] %}", 2000) + Times("{% endfor %}", 2000) },
        { "macros", Times("{% macro a() %}", 2000) + Times("{% endmacro %}", 2000) },
        { "attributes", "{{ a" + Times(".a", 2000) + " }}" },
        { "filters", "{{ 'a'" + Times("|upper", 2000) + " }}" },
        { "calls", "{{ a" + Times("()", 2000) + " }}" },
        { "sums", "{{ 1" + Times("+1", 2000) + " }}" },
        { "conditions", "{{ " + Times("1 if 1 else ", 2000) + "1 }}" },
        { "arguments", "{{ " + Times("f(", 2000) + Times(")", 2000) + " }}" },
        { "subscripts", "{{ " + Times("a[", 2000) + "1" + Times("]", 2000) + " }}" },
        { "half a million parentheses", "{{ " + Times("(", 500_000) },
    };

    [Theory]
    [MemberData(nameof(DeepTemplates))]
    public void Parse_DeepNesting_FailsWithItsLine(string name, string template)
    {
        var error = Within(() => Assert.Throws<ChatTemplateException>(() => ChatTemplate.Parse(template)));
        Assert.True(error.ErrorType == "TemplateSyntaxError" && error.Line == 1, $"{name}: {error.Message}");
    }

    [Fact]
    public void Render_DeepestAllowedNestingOnSmallStack_RendersOrFailsCleanly()
    {
        var sums = string.Join('+', Enumerable.Repeat("1", 1000));
        var template = Times("{% if true %}", 60) + "{{ " + Times("(", 40) + sums + Times(")", 40) + " }}" + Times("{% endif %}", 60);
        var outcome = "";
        var thread = new Thread(
            () =>
            {
                try
                {
                    outcome = Render(template).Text;
                }
                catch (ChatTemplateException error)
                {
                    outcome = error.ErrorType;
                }
            },
            256 * 1024);
        thread.Start();
        thread.Join();
        Assert.Contains(outcome, new[] { "1000", "RecursionError", "TemplateSyntaxError" });
        Assert.Equal("1000", Render(template).Text);
    }

    [Fact]
    public void Bug_ErrorOfAnEndlessWordQuotesAllOfIt()
    {
        var error = Assert.Throws<ChatTemplateException>(() => ChatTemplate.Parse("{{ a " + Times("word", 20_000) + " }}"));
        Assert.StartsWith("Chat template, line 1: TemplateSyntaxError: expected token 'end of print statement', got 'word", error.Message, StringComparison.Ordinal);
        Assert.InRange(error.Message.Length, 2_000, 2_100);
    }

    [Fact]
    public void Bug_FilterNameOfManyPartsTakesTheirSquareInMemory()
    {
        long before = GC.GetAllocatedBytesForCurrentThread();
        Assert.Throws<ChatTemplateException>(() => ChatTemplate.Parse("{{ 'a' | b" + Times(".word", 20_000) + " }}"));
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 32 << 20);
    }

    [Fact]
    public void Render_LongTemplate_RendersInTime()
    {
        var template = Times("{% set a = 1 %}{% if a %}x{% endif %}{{ a }}", 25_000);
        Assert.True(template.Length > 1_000_000);
        Assert.Equal(Times("x1", 25_000), Within(() => Render(template).Text));
    }

    [Fact]
    public void Render_NamespaceThatHoldsItself_PrintsOnce() =>
        Assert.Equal("<Namespace {'me': <Namespace {...}>}>", Render("{% set ns = namespace() %}{% set ns.me = ns %}{{ ns }}").Text);

    [Fact]
    public void Render_Cancelled_Throws() =>
        Assert.ThrowsAny<OperationCanceledException>(() => ChatTemplate.Parse(Bombs.First().Data.Item2)
            .Render(new Dictionary<string, JsonElement>(), TimeProvider.System, new CancellationToken(canceled: true)));

    [Fact]
    public void Render_SurrogateHalfInInput_SaysSo()
    {
        using var document = JsonDocument.Parse("""{"a":"\ud83d"}""");
        var variables = document.RootElement.EnumerateObject().ToDictionary(item => item.Name, item => item.Value);
        var error = Assert.Throws<ChatTemplateException>(() => ChatTemplate.Parse("{{ a }}").Render(variables, TimeProvider.System, CancellationToken.None));
        Assert.Equal("UnicodeEncodeError", error.ErrorType);
    }

    private static string Times(string text, int count) => string.Concat(Enumerable.Repeat(text, count));

    private static RenderedChat Render(string template) =>
        ChatTemplate.Parse(template).Render(new Dictionary<string, JsonElement>(), TimeProvider.System, CancellationToken.None);

    /// <summary>A second suffices on an idle core; the bound leaves room for a busy machine and still tells an endless run.</summary>
    private static T Within<T>(Func<T> action)
    {
        var limit = TimeSpan.FromSeconds(60);
        var clock = Stopwatch.StartNew();
        var result = action();
        Assert.True(clock.Elapsed < limit, $"took {clock.Elapsed}");
        return result;
    }
}
