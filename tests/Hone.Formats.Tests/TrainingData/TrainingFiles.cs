using System.Text;
using Hone.Formats.Jobs;
using Hone.Formats.TrainingData;

namespace Hone.Formats.Tests.TrainingData;

/// <summary>Small training files, written for one lint.</summary>
internal static class TrainingFiles
{
    /// <summary>A sound chat row unlike any other number's.</summary>
    public static string Good(int number) => $$$"""{"messages":[{"role":"user","content":"Question {{{number}}}?"},{"role":"assistant","content":"Answer {{{number}}}."}]}""";

    public static LintReport Lint(LintRequest request) => Linter.Lint(request, TestContext.Current.CancellationToken);

    public static LintReport Lint(byte[] file, TrainingConfig? config = null, byte[]? validation = null)
    {
        string folder = Directory.CreateTempSubdirectory("hone-lint-").FullName;
        try
        {
            string train = Path.Combine(folder, "train.jsonl"), valid = Path.Combine(folder, "valid.jsonl");
            File.WriteAllBytes(train, file);
            if (validation is not null)
                File.WriteAllBytes(valid, validation);
            return Lint(new LintRequest { TrainingPath = train, ValidationPath = validation is null ? null : valid, Config = config ?? new() });
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    /// <summary>Ten sound rows with the given one as line 4.</summary>
    public static LintReport LintRow(string row, TrainingConfig? config = null) => Lint(Around(Encoding.UTF8.GetBytes(row)), config);

    public static byte[] Around(byte[] row)
        => [.. Rows(Enumerable.Range(1, 3).Select(Good)), .. row, (byte)'\n', .. Rows(Enumerable.Range(4, 7).Select(Good))];

    public static byte[] Rows(IEnumerable<string> rows) => Encoding.UTF8.GetBytes(string.Concat(rows.Select(r => r + "\n")));
}
