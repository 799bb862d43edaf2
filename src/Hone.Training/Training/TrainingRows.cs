using Hone.Formats;
using Hone.Formats.Jobs;
using Hone.Formats.Models;
using Hone.Formats.TrainingData;

namespace Hone.Training.Training;

/// <summary>The job's rows as tokens. The lint has seen them at upload; what it would refuse ends the job here all the same.</summary>
internal static class TrainingRows
{
    private const int NamedErrors = 10;

    /// <returns>
    /// Rows in the order of the files; several for a row whose turns are rendered apart. With preference pairs the better and the worse answer of each follow each other.
    /// </returns>
    public static (EncodedRow[] Rows, EncodedRow[] Validation, bool PreferencePairs) Read(string folder, JobSpec job, BaseModel model, Action<string> warn)
    {
        RowEncoder encoder = RowEncoder.For(model, job.Config);
        (EncodedRow[] rows, bool pairs) = Encode(Path.Combine(folder, job.TrainingData), encoder, warn);
        if (rows.Length == 0)
            throw new JobFailedException("bad_data", $"{job.TrainingData} has no row with a token to learn.");
        if (job.Config.Method is { } method && method == "dpo" != pairs)
            throw new JobFailedException("bad_data", $"{job.TrainingData} holds {(pairs ? "preference pairs" : "answers to learn")}, and the method is {method}. Set the method to {(pairs ? "dpo" : "supervised")}, or leave it to Hone.");
        if (job.ValidationData is not { } name)
            return (rows, [], pairs);
        (EncodedRow[] validation, bool validationPairs) = Encode(Path.Combine(folder, name), encoder, warn);
        if (validation.Length > 0 && validationPairs != pairs)
            throw new JobFailedException("bad_data", $"{name} holds {(validationPairs ? "preference pairs" : "answers to learn")}, {job.TrainingData} does not. Use one kind of row in both.");
        return (rows, validation, pairs);
    }

    private static (EncodedRow[] Rows, bool PreferencePairs) Encode(string path, RowEncoder encoder, Action<string> warn)
    {
        var rows = new List<EncodedRow>();
        var errors = new List<LintIssue>();
        var warnings = new Dictionary<string, (int Count, LintIssue First)>();
        int dropped = 0;
        bool? pairs = null;
        try
        {
            foreach (TrainingRow row in RowReader.Read(path))
            {
                RowEncoding encoding = encoder.Encode(row);
                bool pair = row.Kind == RowKind.Preference;
                if (pairs is not null && pairs != pair)
                    throw new JobFailedException("bad_data", $"{Path.GetFileName(path)}, line {row.Line}: preference pairs and other rows are mixed. Use one kind of row in a file.");
                pairs = pair;
                rows.AddRange(encoding.Preference is { } both ? [both.Chosen, both.Rejected] : encoding.Rows);
                errors.AddRange(encoding.Errors);
                foreach (LintIssue warning in encoding.Warnings)
                    warnings[warning.Code] = warnings.TryGetValue(warning.Code, out var seen) ? (seen.Count + 1, seen.First) : (1, warning);
                dropped += encoding.Dropped ? 1 : 0;
            }
        }
        catch (InvalidFileException e)
        {
            throw new JobFailedException("bad_data", e.Message);
        }
        if (errors.Count > 0)
        {
            string more = errors.Count > NamedErrors ? $" … and {errors.Count - NamedErrors} more" : "";
            throw new JobFailedException("bad_data", $"{Path.GetFileName(path)}: {string.Join(" ", errors.Take(NamedErrors))}{more}");
        }
        foreach ((int count, LintIssue first) in warnings.Values)
            warn($"{Path.GetFileName(path)}: {count} rows: {first}");
        if (dropped > 0)
            warn($"{Path.GetFileName(path)}: {dropped} rows teach nothing and are left out.");
        return ([.. rows], pairs ?? false);
    }
}
