using System.Text.Json;
using Hone.Formats.TrainingData;

namespace Hone.Formats.Tests.TrainingData;

/// <summary>Deliberately broken files, one fault each, and what a linter must say of them (<c>data/bad/make.py</c>).</summary>
public sealed class BadFilesTests
{
    private static readonly string s_folder = Path.Combine(References.Repository, "tests", "Hone.Formats.Tests", "data", "bad");

    public static TheoryData<string> Files()
        => [.. Expected().EnumerateObject().Where(f => !f.Value.TryGetProperty("large", out _)).Select(f => f.Name)];

    [Theory]
    [MemberData(nameof(Files))]
    public void Lint_BrokenFile_SaysWhatIsExpected(string name)
    {
        var expected = Expected().GetProperty(name);
        bool validation = expected.TryGetProperty("train", out var train);
        var report = TrainingFiles.Lint(validation
            ? new LintRequest { TrainingPath = Path.Combine(s_folder, train.GetString()!), ValidationPath = Path.Combine(s_folder, name) }
            : new LintRequest { TrainingPath = Path.Combine(s_folder, name) });

        Assert.Equal(expected.GetProperty("ok").GetBoolean(), report.Ok);
        Assert.Equal(Lines(expected.GetProperty("errors")), report.Errors.Select(e => e.Line));
        Assert.Equal(Lines(expected.GetProperty("warnings")), report.Warnings.Select(e => e.Line));
        foreach (var (issue, what) in report.Errors.Concat(report.Warnings).Zip(Whats(expected.GetProperty("errors")).Concat(Whats(expected.GetProperty("warnings")))))
            Assert.StartsWith(what.Split(',')[0], issue.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Lint_EveryBrokenFile_NamesByteAndHint()
    {
        foreach (string name in Files().Select(r => r.Data))
        {
            byte[] bytes = File.ReadAllBytes(Path.Combine(s_folder, name));
            foreach (var issue in TrainingFiles.Lint(new LintRequest { TrainingPath = Path.Combine(s_folder, name), MinTrainingRows = 1 }).Errors)
            {
                Assert.False(string.IsNullOrWhiteSpace(issue.Hint));
                if (issue.Line is { } line)
                    Assert.Equal(line, bytes.AsSpan(0, (int)issue.Byte!).Count((byte)'\n') + 1);
            }
        }
    }

    private static JsonElement Expected() => JsonDocument.Parse(File.ReadAllBytes(Path.Combine(s_folder, "expected.json"))).RootElement;

    private static IEnumerable<int?> Lines(JsonElement issues) => issues.EnumerateArray().Select(i => i.GetProperty("line") is { ValueKind: JsonValueKind.Number } n ? n.GetInt32() : (int?)null);

    private static IEnumerable<string> Whats(JsonElement issues) => issues.EnumerateArray().Select(i => i.GetProperty("what").GetString()!);
}
