using System.Text;

namespace Hone.Formats.Tests.TrainingData;

public sealed class LinterFuzzTests
{
    private static readonly string[] s_seeds =
    [
        """{"messages":[{"role":"system","content":"Be kind."},{"role":"user","content":"Caf\u00e9 \ud83d\ude00 😀?","name":"Ada"},{"role":"assistant","content":"Yes.\n","weight":1}],"tools":[{"type":"function","function":{"name":"look","parameters":{"type":"object","properties":{"day":{"type":"string"}}}}}],"parallel_tool_calls":false}""",
        """{"messages":[{"role":"user","content":[{"type":"text","text":"Hi"}]},{"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"look","arguments":"{\"day\":1}"}}]},{"role":"tool","tool_call_id":"c1","content":"open"},{"role":"assistant","content":"Open."}]}""",
        """{"input":{"messages":[{"role":"user","content":"Hi"}]},"preferred_output":[{"role":"assistant","content":"a"}],"non_preferred_output":[{"role":"assistant","content":"b"}]}""",
        """{"prompt":"P","completion":" C","metadata":{"a":[1,2.5e3,true,null]}}""",
    ];

    /// <summary>Bytes changed, dropped, doubled, swapped for JSON's own signs: whatever comes, a report.</summary>
    [Fact]
    [Trait("Category", "Slow")]
    public void Lint_MutatedRows_AlwaysEndInAReport()
    {
        var random = new Random(20260);
        byte[][] pieces = [.. new[] { "\"", "{", "}", "[", "]", ",", ":", "null", "true", "0", "1e999", "-", "\\", "\\u", "\\ud800", "\u00e9", "\uFEFF", "\r", "\t", "\0", "[]", "{}", "\"role\"", "\"content\"", "\"weight\":" }
            .Select(Encoding.UTF8.GetBytes), [0xFF], [0xC3], [0xED, 0xA0, 0x80]];
        int broken = 0;
        for (int i = 0; i < 2000; i++)
        {
            var row = new List<byte>(Encoding.UTF8.GetBytes(s_seeds[i % s_seeds.Length]));
            for (int edits = random.Next(1, 5); edits > 0; edits--)
            {
                int at = random.Next(row.Count);
                switch (random.Next(5))
                {
                    case 0:
                        row[at] = (byte)random.Next(256);
                        break;
                    case 1:
                        row.RemoveRange(at, random.Next(1, row.Count - at + 1));
                        break;
                    case 2:
                        row.InsertRange(at, pieces[random.Next(pieces.Length)]);
                        break;
                    case 3:
                        row.InsertRange(random.Next(row.Count), row.Slice(at, random.Next(row.Count - at)));
                        break;
                    default:
                        row.RemoveAt(at);
                        row.InsertRange(at, pieces[random.Next(pieces.Length)]);
                        break;
                }
                if (row.Count == 0)
                    row.Add((byte)'x');
            }
            var report = TrainingFiles.Lint(TrainingFiles.Around([.. row]));
            broken += report.Ok ? 0 : 1;
            Assert.All(report.Errors, e => Assert.False(string.IsNullOrEmpty(e.Message) || string.IsNullOrEmpty(e.Hint) || e.Line is < 4));
            Assert.Contains("\"ok\":", report.ToJson(), StringComparison.Ordinal);
        }
        Assert.InRange(broken, 1200, 1999);
    }
}
