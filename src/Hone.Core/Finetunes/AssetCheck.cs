using Hone.Core.Blobs;
using Hone.Core.Models;
using Hone.Formats;
using Hone.Formats.Adapters;
using Hone.Formats.Jobs;
using Hone.Formats.Models;
using Hone.Formats.TrainingData;

namespace Hone.Core.Finetunes;

/// <summary>What the checks of a file found.</summary>
internal sealed record AssetVerdict(IReadOnlyList<string> Errors, IReadOnlyList<string> Warnings)
{
    public LintReport? Report { get; init; }

    /// <summary>The training configuration, where the file is one.</summary>
    public TrainingConfig? Config { get; init; }
}

/// <summary>A whole file, a blob or still to become one.</summary>
internal sealed record CheckedFile(string Path, long Size);

/// <summary>Checks an uploaded file, together with those that the finetune has already, before anything is stored.</summary>
public sealed class AssetCheck(BlobStore blobs, ModelCatalog models, HoneLimits limits)
{
    internal async Task<AssetVerdict> RunAsync(Finetune finetune, string fileName, CheckedFile file, IReadOnlyList<FinetuneAsset> companions, CancellationToken cancellationToken)
    {
        // What rows and settings lack is said in a report, also where they lack everything.
        if (file.Size == 0 && AssetFiles.IsAdapter(fileName))
            return new AssetVerdict([$"{fileName} is empty."], []);
        try
        {
            return fileName switch
            {
                AssetFiles.TrainingConfigFile => await ConfigAsync(file, cancellationToken),
                AssetFiles.TrainingData or AssetFiles.ValidationData => await DataAsync(finetune, fileName, file, companions, cancellationToken),
                _ => await AdapterAsync(finetune, fileName, file, companions, cancellationToken),
            };
        }
        catch (InvalidFileException e)
        {
            // The temporary name means nothing to the one who sent the file.
            string message = e.Message.Replace(file.Path, fileName, StringComparison.Ordinal);
            return new AssetVerdict([message.StartsWith(fileName, StringComparison.Ordinal) ? message : $"{fileName}: {message}"], []);
        }
    }

    private static async Task<AssetVerdict> ConfigAsync(CheckedFile file, CancellationToken cancellationToken)
    {
        (TrainingConfig? config, IReadOnlyList<LintIssue> errors) = TrainingConfigParser.Parse(await File.ReadAllBytesAsync(file.Path, cancellationToken));
        if (config is null || errors.Count > 0)
        {
            var report = new LintReport { Errors = errors, Warnings = [], Stats = new LintStats { Kinds = new Dictionary<string, int>() } };
            return new AssetVerdict([.. errors.Select(e => e.ToString())], []) { Report = report };
        }
        return new AssetVerdict([], []) { Config = config };
    }

    private async Task<AssetVerdict> DataAsync(Finetune finetune, string fileName, CheckedFile file, IReadOnlyList<FinetuneAsset> companions, CancellationToken cancellationToken)
    {
        bool training = fileName == AssetFiles.TrainingData;
        string? config = finetune.ConfigJson;
        if (companions.FirstOrDefault(a => a.FileName == AssetFiles.TrainingConfigFile) is { } configFile)
            config = await File.ReadAllTextAsync(blobs.PathOf(configFile.Sha256), cancellationToken);
        var request = new LintRequest
        {
            TrainingPath = training ? file.Path : null,
            ValidationPath = !training ? file.Path
                : companions.FirstOrDefault(a => a.FileName == AssetFiles.ValidationData) is { } validation ? blobs.PathOf(validation.Sha256) : null,
            Model = await models.OpenAsync(finetune.Model, cancellationToken),
            Config = config is null ? new TrainingConfig() : TrainingConfigParser.Parse(System.Text.Encoding.UTF8.GetBytes(config)).Config ?? new TrainingConfig(),
        };
        LintReport report = await OnOwnThreadAsync(() => Linter.Lint(request, cancellationToken), cancellationToken);
        return new AssetVerdict([.. report.Errors.Select(e => e.ToString())], [.. report.Warnings.Select(w => w.ToString())]) { Report = report };
    }

    /// <summary>One file by itself is checked as far as it goes; the second one, with the first, against the base model.</summary>
    private async Task<AssetVerdict> AdapterAsync(Finetune finetune, string fileName, CheckedFile file, IReadOnlyList<FinetuneAsset> companions, CancellationToken cancellationToken)
    {
        bool isConfig = fileName == AssetFiles.AdapterConfig;
        if (companions.FirstOrDefault(a => AssetFiles.IsAdapter(a.FileName)) is not { } other)
        {
            if (isConfig)
            {
                AdapterConfigResult parsed = AdapterConfig.Parse(await File.ReadAllBytesAsync(file.Path, cancellationToken));
                return new AssetVerdict(parsed.Config is { } read ? [.. parsed.Errors, .. AdapterCheck.RankErrors(read, limits.AdapterRank)] : parsed.Errors, []);
            }
            AdapterCheck.OpenWeights(file.Path).Dispose();
            return new AssetVerdict([], []);
        }
        string config = isConfig ? file.Path : blobs.PathOf(other.Sha256), weights = isConfig ? blobs.PathOf(other.Sha256) : file.Path;
        BaseModel model = await models.OpenAsync(finetune.Model, cancellationToken);
        ModelEntry entry = (await models.FindAsync(finetune.Model, cancellationToken))!;
        var known = new AdapterBase(model.Name is null ? [entry.Id] : [entry.Id, model.Name], await models.Sha256Async(entry, cancellationToken));
        var allowed = new AdapterLimits { MaxRank = limits.AdapterRank, MaxBytes = limits.AdapterBytes + 1, ModelTypes = limits.AdapterModelTypes };
        AdapterReport report = await OnOwnThreadAsync(() => AdapterCheck.Check(config, weights, model, allowed, known, cancellationToken), cancellationToken);
        return new AssetVerdict(report.Errors, report.Warnings);
    }

    /// <summary>A large file takes seconds to minutes; the pool's few threads answer requests meanwhile.</summary>
    private static Task<T> OnOwnThreadAsync<T>(Func<T> check, CancellationToken cancellationToken) =>
        Task.Factory.StartNew(check, cancellationToken, TaskCreationOptions.LongRunning, TaskScheduler.Default);
}
