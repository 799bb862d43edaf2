using System.Text;
using System.Text.RegularExpressions;
using Hone.Formats.TrainingData;

namespace Hone.Formats.Tests.TrainingData;

/// <summary>What <c>docs/training.md</c> shows is taken, and what is taken stands there.</summary>
public sealed partial class TrainingDocumentTests
{
    private static readonly string s_text = File.ReadAllText(Path.Combine(References.Repository, "docs", "training.md"));

    [Fact]
    public void Settings_AreThoseThatAreRead() =>
        Assert.Equal(TrainingConfigParser.Keys.Order(), SettingRow().Matches(s_text).Select(m => m.Groups["key"].Value).Order());

    /// <summary>A range's ends, and every value that is listed.</summary>
    [Fact]
    public void Settings_ValuesThatAreNamed_AreTaken()
    {
        int tried = 0;
        foreach (Match row in SettingRow().Matches(s_text))
        {
            (string key, string values) = (row.Groups["key"].Value, row.Groups["values"].Value);
            List<string> taken = [], refused = [];
            if (Range().Match(values) is { Success: true } range)
            {
                string low = range.Groups["low"].Value, high = range.Groups["high"].Value;
                (range.Groups["above"].Success ? refused : taken).Add(low);
                (range.Groups["below"].Success ? refused : taken).Add(high);
                refused.AddRange(["-1", "1e9"]);
            }
            else if (values == "true, false")
                taken.AddRange(["true", "false"]);
            else if (values.StartsWith('`') && key != "target_modules")
                taken.AddRange(Code().Matches(values).Select(m => key == "modules_to_save" ? $"[\"{m.Groups[1].Value}\"]" : $"\"{m.Groups[1].Value}\""));
            else
                continue;
            // What goes with another setting alone is given that one.
            string beside = key switch { "use_double_quant" => ",\"precision\":\"nf4\"", "beta" => ",\"method\":\"dpo\"", _ => "" };
            foreach (string value in taken)
                Assert.Empty(Errors(value));
            foreach (string value in refused.Where(v => key != "seed" || v != "1e9"))
                Assert.NotEmpty(Errors(value));
            tried++;

            IReadOnlyList<LintIssue> Errors(string value) => TrainingConfigParser.Parse(Encoding.UTF8.GetBytes($"{{\"{key}\":{value}{beside}}}")).Errors;
        }
        Assert.Equal(26, tried);
    }

    [Fact]
    public void Rows_ThatAreShown_HaveNoFault()
    {
        string[] rows = [.. Rows().Matches(s_text).SelectMany(m => m.Groups[1].Value.Split('\n', StringSplitOptions.RemoveEmptyEntries))];
        Assert.Equal(6, rows.Length);
        foreach (string row in rows)
        {
            string folder = Directory.CreateTempSubdirectory("hone-lint-").FullName;
            try
            {
                string file = Path.Combine(folder, "train.jsonl");
                File.WriteAllText(file, row + "\n");
                LintReport report = TrainingFiles.Lint(new LintRequest { TrainingPath = file, MinTrainingRows = 1 });
                Assert.Empty(report.Errors.Concat(report.Warnings).Select(i => i.ToString()));
            }
            finally
            {
                Directory.Delete(folder, recursive: true);
            }
        }
    }

    [GeneratedRegex(@"^\| `(?<key>\w+)` \| (?<values>[^|]+) \|", RegexOptions.Multiline)]
    private static partial Regex SettingRow();

    [GeneratedRegex(@"(?<above>above )?(?<low>[\de.-]+),? to (?<below>below )?(?<high>[\de.-]+)")]
    private static partial Regex Range();

    [GeneratedRegex("`([^`]+)`")]
    private static partial Regex Code();

    [GeneratedRegex(@"```jsonl\n(.*?)```", RegexOptions.Singleline)]
    private static partial Regex Rows();
}
