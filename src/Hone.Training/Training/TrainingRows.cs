using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Hone.Formats;
using Hone.Formats.Jobs;
using Hone.Formats.Models;
using Hone.Formats.TrainingData;

namespace Hone.Training.Training;

/// <summary>The job's rows as tokens. The lint has seen them at upload; what it would refuse ends the job here all the same.</summary>
/// <param name="Rows">
/// Rows in the order of the file; several for a row whose turns are rendered apart. With preference pairs the better and the worse answer of each follow each other.
/// </param>
internal sealed record TrainingRows(EncodedRowFile Rows, EncodedRowFile? ValidationFile) : IDisposable
{
    private const int NamedErrors = 10;

    public IReadOnlyList<EncodedRow> Validation => ValidationFile is null ? [] : ValidationFile;

    public bool PreferencePairs => Rows.PreferencePairs;

    /// <param name="folder">What the job's paths are relative to.</param>
    public static TrainingRows Read(string folder, JobSpec job, BaseModel model, Action<string> warn)
    {
        EncodedRowFile rows = Open(Path.Combine(folder, job.TrainingData), job, model, warn);
        EncodedRowFile? validation = null;
        try
        {
            if (rows.Count == 0)
                throw new JobFailedException("bad_data", $"{job.TrainingData} has no row with a token to learn.");
            bool pairs = rows.PreferencePairs;
            if (job.Config.Method is { } method && method == "dpo" != pairs)
                throw new JobFailedException("bad_data", $"{job.TrainingData} holds {(pairs ? "preference pairs" : "answers to learn")}, and the method is {method}. Set the method to {(pairs ? "dpo" : "supervised")}, or leave it to Hone.");
            if (job.ValidationData is { } name)
            {
                validation = Open(Path.Combine(folder, name), job, model, warn);
                if (validation.Count > 0 && validation.PreferencePairs != pairs)
                    throw new JobFailedException("bad_data", $"{name} holds {(validation.PreferencePairs ? "preference pairs" : "answers to learn")}, {job.TrainingData} does not. Use one kind of row in both.");
            }
            return new TrainingRows(rows, validation);
        }
        catch
        {
            rows.Dispose();
            validation?.Dispose();
            throw;
        }
    }

    private static EncodedRowFile Open(string path, JobSpec job, BaseModel model, Action<string> warn)
    {
        string? folder = job.ModelSha256 is null ? null : job.CacheFolder;
        EncodedRowFile rows = new RowCache(folder, TimeProvider.System).Open(folder is null ? "" : NameOf(path, job, model), target => Encode(path, RowEncoder.For(model, job.Config), target));
        foreach (string warning in rows.Warnings)
            warn($"{Path.GetFileName(path)}: {warning}");
        return rows;
    }

    /// <summary>All that the tokens follow from: the file, the base, the settings, and the code.</summary>
    private static string NameOf(string path, JobSpec job, BaseModel model)
    {
        using FileStream file = File.OpenRead(path);
        string content = Convert.ToHexStringLower(SHA256.HashData(file));
        RowEncoder encoder = RowEncoder.For(model, job.Config);
        string others = string.Create(CultureInfo.InvariantCulture,
            $"{typeof(RowEncoder).Assembly.ManifestModule.ModuleVersionId} {job.ModelSha256} {encoder.MaxLength} {job.Config.TrainOn} {job.Config.Strict} {(encoder.AsksForTheDate ? job.JobId : "")}");
        return $"{content}-{Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(others)))[..32]}";
    }

    private static void Encode(string path, RowEncoder encoder, string target)
    {
        var errors = new List<LintIssue>();
        var warnings = new Dictionary<string, (int Count, LintIssue First)>();
        int dropped = 0, errorCount = 0;
        bool? pairs = null;
        try
        {
            EncodedRowFile.Write(target, Rows(), Notes);
        }
        catch (InvalidFileException e)
        {
            throw new JobFailedException("bad_data", e.Message);
        }

        IEnumerable<EncodedRow> Rows()
        {
            foreach (TrainingRow row in RowReader.Read(path))
            {
                RowEncoding encoding = encoder.Encode(row);
                bool pair = row.Kind == RowKind.Preference;
                if (pairs is not null && pairs != pair)
                    throw new JobFailedException("bad_data", $"{Path.GetFileName(path)}, line {row.Line}: preference pairs and other rows are mixed. Use one kind of row in a file.");
                pairs = pair;
                errorCount += encoding.Errors.Count;
                errors.AddRange(encoding.Errors.Take(NamedErrors - errors.Count));
                foreach (LintIssue warning in encoding.Warnings)
                    warnings[warning.Code] = warnings.TryGetValue(warning.Code, out var seen) ? (seen.Count + 1, seen.First) : (1, warning);
                dropped += encoding.Dropped ? 1 : 0;
                foreach (EncodedRow encoded in encoding.Preference is { } both ? [both.Chosen, both.Rejected] : encoding.Rows)
                    yield return encoded;
            }
            if (errorCount > 0)
            {
                string more = errorCount > NamedErrors ? $" … and {errorCount - NamedErrors} more" : "";
                throw new JobFailedException("bad_data", $"{Path.GetFileName(path)}: {string.Join(" ", errors)}{more}");
            }
        }

        (bool, IReadOnlyList<string>) Notes() =>
            (pairs ?? false, [.. warnings.Values.Select(w => $"{w.Count} rows: {w.First}"), .. dropped > 0 ? [$"{dropped} rows teach nothing and are left out."] : Array.Empty<string>()]);
    }

    public void Dispose()
    {
        Rows.Dispose();
        ValidationFile?.Dispose();
    }
}
