using System.Text.Json;
using Hone.Formats.ChatTemplates;

namespace Hone.Formats.Tests.ChatTemplates;

/// <summary>Damaged templates: they render, or fail with the one exception.</summary>
[Trait("Category", "Slow")]
public sealed class TemplateFuzzTests
{
    private const int Mutations = 2000;
    private const string Damage = "{}()[]%|.,:~-+*/'\"\\\n_ 0x9\ud83d";

    [Fact]
    public void Render_MutatedTemplates_OnlyTemplateErrorsLeave()
    {
        using var document = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(References.Own("chat-templates"), "jinja.json")));
        var cases = document.RootElement.GetProperty("cases").EnumerateArray().ToList();
        var templates = cases.ConvertAll(@case => @case.GetProperty("template").GetString()!);
        var random = new Random(20251123);
        var (rendered, failed) = (0, 0);
        for (var i = 0; i < Mutations; i++)
        {
            var at = random.Next(cases.Count);
            var template = Mutate(templates[at], templates, random);
            try
            {
                var variables = cases[at].GetProperty("context").EnumerateObject().ToDictionary(item => item.Name, item => item.Value);
                ChatTemplate.Parse(template).Render(variables, TimeProvider.System, CancellationToken.None);
                rendered++;
            }
            catch (ChatTemplateException error)
            {
                Assert.True(error.Line > 0, $"{error.Message}\n{template}");
                failed++;
            }
            catch (Exception error)
            {
                Assert.Fail($"Mutation {i}: {error}\n{template}");
            }
        }

        Assert.True(rendered > Mutations / 10 && failed > Mutations / 10, $"{rendered} rendered, {failed} failed");
    }

    private static string Mutate(string template, List<string> others, Random random)
    {
        for (var count = random.Next(1, 4); count > 0; count--)
        {
            var other = others[random.Next(others.Count)];
            var from = random.Next(template.Length);
            var length = Math.Min(random.Next(1, 8), template.Length - from);
            template = random.Next(5) switch
            {
                0 => template.Remove(from, length),
                1 => template.Insert(from, template.Substring(from, length)),
                2 => template.Insert(from, other.Substring(random.Next(other.Length / 2), other.Length / 4)),
                3 => template[..from] + Damage[random.Next(Damage.Length)] + template[(from + 1)..],
                _ => template[..from] + other[random.Next(other.Length)..],
            };
            template = template.Length == 0 ? "{{" : template;
        }

        return template;
    }
}
