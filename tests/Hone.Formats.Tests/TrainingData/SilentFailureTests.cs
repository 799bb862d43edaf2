using System.Text;
using System.Text.Json;
using Hone.Formats.Jobs;
using Hone.Formats.Models;
using Hone.Formats.Tests.Gguf;
using Hone.Formats.TrainingData;

namespace Hone.Formats.Tests.TrainingData;

/// <summary>Data and templates that other trainers pass and that teach nothing or something wrong, a test each; beside each the same done right, which passes unwarned.</summary>
public sealed partial class SilentFailureTests(SmolLm2Rows rows) : IClassFixture<SmolLm2Rows>
{
    private const string Turns = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

    /// <summary>A chat row whose answer has these fields.</summary>
    private static string Chat(string answer) => """{"messages":[{"role":"user","content":"Hi?"},{"role":"assistant",""" + answer + "}]}";

    private static string Pair(string question, string answer) => JsonSerializer.Serialize(new { messages = new[] { new { role = "user", content = question }, new { role = "assistant", content = answer } } });

    private static string Words(int count) => string.Concat(Enumerable.Repeat("word ", count));

    /// <summary>A preference row.</summary>
    private static string Preference(string question, string better, string worse) => JsonSerializer.Serialize(new
    {
        input = new { messages = new[] { new { role = "user", content = question } } },
        preferred_output = new[] { new { role = "assistant", content = better } },
        non_preferred_output = new[] { new { role = "assistant", content = worse } },
    });

    /// <summary>The issue, with its place, and what its message and its hint say.</summary>
    private static void Is(LintIssue issue, string code, int? line, string? path, params string[] said)
    {
        Assert.Equal((code, line, path), (issue.Code, issue.Line, issue.Path));
        Assert.Equal(line is null, issue.Byte is null);
        Assert.False(string.IsNullOrWhiteSpace(issue.Hint));
        Assert.All(said, s => Assert.Contains(s, issue.Message + " " + issue.Hint, StringComparison.Ordinal));
    }

    private static LintIssue OnlyError(LintReport report)
    {
        Assert.False(report.Ok);
        Assert.Empty(report.Warnings);
        return Assert.Single(report.Errors);
    }

    private static LintIssue OnlyWarning(LintReport report)
    {
        Assert.True(report.Ok, report.ToJson());
        return Assert.Single(report.Warnings);
    }

    private static void Unwarned(LintReport report) => Assert.True(report.Errors.Count + report.Warnings.Count == 0, report.ToJson());

    /// <summary>What a lint says of rows for a small base of this template.</summary>
    private static LintReport LintWith(string template, IEnumerable<string> lines, uint eos = 2)
    {
        using var folder = new TemporaryFolder();
        using BaseModel model = Model(folder, template, eos);
        return TrainingFiles.Lint(new LintRequest { TrainingPath = folder.Write("train.jsonl", TrainingFiles.Rows(lines)), Model = model });
    }

    /// <summary>A small base: one token a byte, then the three special tokens of <see cref="GgufBuilder.TinyLlama"/>.</summary>
    private static BaseModel Model(TemporaryFolder folder, string template, uint eos = 2)
        => BaseModel.Open(folder.Write("model.gguf", GgufBuilder.TinyLlama().Set("llama.context_length", 4096u).Set("tokenizer.ggml.eos_token_id", eos).Set("tokenizer.chat_template", template).Build()));

    private static IEnumerable<string> Around(string row) => Enumerable.Range(1, 3).Select(TrainingFiles.Good).Append(row).Concat(Enumerable.Range(4, 7).Select(TrainingFiles.Good));

    private static TrainingConfig Cut(int maxLength, bool? strict = null) => new() { MaxLength = maxLength, Strict = strict };

    private LintReport LintPreferences(string row, TrainingConfig? config = null)
        => rows.Lint(Encoding.UTF8.GetBytes(string.Concat(Enumerable.Range(1, 10).Select(i => (i == 4 ? row : Preference($"Question {i}?", $"Yes {i}.", $"No {i}.")) + "\n"))), config);
}
